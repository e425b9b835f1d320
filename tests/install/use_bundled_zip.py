"""Run by a Python with bpy, in user folders of its own: install a zip with a backend, unpack, reconstruct.

``python use_bundled_zip.py ZIP PHOTO REPORT``; what came of it is written to REPORT as JSON.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import bpy

MODULE = "bl_ext.user_default.pamir_blender"


def online():
    try:
        urllib.request.urlopen("https://pypi.org", timeout=3)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def main(archive, photo, report):
    found = {"online": online(), "blender": bpy.app.version_string}
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True)
    settings = sys.modules[f"{MODULE}.addon.preferences"].settings
    found["before"] = settings().worker_python
    began = time.monotonic()
    found["unpack"] = list(bpy.ops.pamir.unpack_backend())
    found["unpack_seconds"] = time.monotonic() - began
    found["python"], found["packages"] = settings().worker_python, str(settings().worker_packages)
    found["findings"] = [f.text for f in sys.modules[f"{MODULE}.addon.findings"].latest() if f.good]
    found["complaints"] = [f.text for f in sys.modules[f"{MODULE}.addon.findings"].latest() if not f.good]
    scene = bpy.context.scene.pamir
    scene.photo_path, scene.resolution = photo, "128"
    began = time.monotonic()
    found["reconstruct"] = list(bpy.ops.pamir.reconstruct())
    found["reconstruct_seconds"] = time.monotonic() - began
    found["error"] = bpy.context.window_manager.pamir.error
    found["roles"] = sorted(o["pamir_role"] for o in bpy.data.objects if "pamir_role" in o)
    found["faces"] = {
        o["pamir_role"]: len(o.data.polygons)
        for o in bpy.data.objects
        if "pamir_role" in o and o.type == "MESH"
    }
    # Blender's own NumPy is what it was: the bundle reached nobody but the worker.
    import numpy

    found["numpy"] = [numpy.__version__, numpy.__file__]
    bpy.ops.preferences.addon_disable(module=MODULE)
    Path(report).write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # Blender as a module may crash when the interpreter ends
