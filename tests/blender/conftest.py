"""Real Blender as a module, with user files of its own, in a fresh file for each test.

Run with a Python that has bpy: ``python -m pytest tests/blender``.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
_user_files = tempfile.mkdtemp(prefix="pamir-blender-tests-")
# Before bpy is imported for the first time.
os.environ["BLENDER_USER_RESOURCES"] = _user_files
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import bpy  # noqa: E402
import synthetic_person as person  # noqa: E402

import pamir_blender  # noqa: E402

_status = {"rc": 1}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    _status["rc"] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Blender as a module may crash or hang when the interpreter ends: end the process ourselves."""
    shutil.rmtree(_user_files, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status["rc"])


@pytest.fixture(autouse=True)
def fresh_file():
    """Blender's default scene."""
    bpy.ops.wm.read_homefile(use_factory_startup=True)


@pytest.fixture
def addon(tmp_path):
    """The add-on, registered by a script, with the made-up backend."""
    from pamir_blender.addon.jobs import runner
    from pamir_blender.addon.preferences import Defaults, get_preferences

    pamir_blender.register()
    preferences = get_preferences()
    preferences.worker_python = sys.executable
    preferences.results_folder = str(tmp_path / "results")
    runner.arguments = [str(HERE / "fake_backend.py")]
    yield pamir_blender.addon
    with contextlib.suppress(ValueError, RuntimeError):
        pamir_blender.unregister()
    runner.arguments = None
    preferences.__dict__.update(vars(Defaults()))


@pytest.fixture
def photo(tmp_path):
    """Makes a photo whose name tells the made-up backend what to do."""

    def make(story):
        return str(person.write_photo(tmp_path / f"{story}.png"))

    return make


class Gate:
    """Holds back the made-up backend for photos named "gated": see ``fake_backend.Backend.do_gated``."""

    def __init__(self, folder):
        self._folder = folder

    @property
    def reached(self):
        """Whether a job waits there, or has waited."""
        return (self._folder / "waiting").exists()

    def open(self):
        (self._folder / "go").touch()


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


@pytest.fixture
def arrays():
    """The arrays of the person that the made-up backend reconstructs."""
    return person.scene_arrays()


@pytest.fixture
def result_folder(tmp_path, photo, arrays):
    """A finished result folder."""
    return person.write_folder(tmp_path / "a result", arrays, photo("fine"))


@pytest.fixture
def character(addon, photo):
    """Reconstructs a photo whose name says how it goes from then on, and finds the character's parts."""

    def make(story="fine", extra=""):
        bpy.context.scene.pamir.photo_path = photo(f"{story} {extra}".strip())
        assert bpy.ops.pamir.reconstruct() == {"FINISHED"}
        return next(c for c in bpy.data.collections if c.get("pamir_character"))

    return make


@pytest.fixture
def snapshot():
    """Everything in Blender that a failed or cancelled job must leave as it was."""

    def take():
        scene, layer = bpy.context.scene, bpy.context.view_layer
        kinds = [p.identifier for p in bpy.data.bl_rna.properties if p.type == "COLLECTION"]
        data = {kind: sorted((b.name_full, b.users) for b in getattr(bpy.data, kind)) for kind in kinds}
        # Blender makes these by itself the first time anything is drawn, rendered or previewed.
        for kind in ("window_managers", "workspaces", "screens", "brushes"):
            data.pop(kind, None)
        return {
            "data": data,
            "selected": sorted(o.name for o in layer.objects if o.select_get()),
            "active": layer.objects.active and layer.objects.active.name,
            "mode": bpy.context.mode,
            "scene": (scene.name, len(scene.collection.children_recursive)),
            "camera": scene.camera and scene.camera.name,
            "render": (scene.render.resolution_x, scene.render.resolution_y, scene.render.engine),
        }

    return take
