"""Reconstructs the example picture through the real add-on in real Blender (as a module).

Run by the Python of a Blender environment; leaves demo.blend, demo.glb and demo.png in the output folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# A throw-away profile: the demo must neither read nor change the user's own Blender settings.
os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="pamir-demo-")

import bpy  # noqa: E402  (the profile above must be set before Blender starts)
import numpy as np  # noqa: E402

import pamir_blender  # noqa: E402

VIEWS = {"front": 0.0, "side": 90.0, "back": 180.0}
TILE = (480, 640)


@contextmanager
def step(name: str, timings: dict[str, float]) -> Iterator[None]:
    """Print a step and note how long it took."""
    print(f"[demo] {name} ...", flush=True)
    began = time.monotonic()
    yield
    timings[name] = time.monotonic() - began


def find(role: str) -> bpy.types.Object:
    """The character's object of a role, looked up anew: references do not survive operators that undo."""
    return next(thing for thing in bpy.data.objects if thing.get("pamir_role") == role)


def render_view(character: bpy.types.Object, angle: float, path: Path) -> None:
    """Render the clothed mesh, turned by ``angle`` degrees about the vertical, with Workbench."""
    scene = bpy.context.scene
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated = character.evaluated_get(depsgraph)
    corners = np.array([character.matrix_world @ v.co for v in evaluated.data.vertices])
    low, high = corners.min(0), corners.max(0)
    centre = (low + high) / 2
    turn = np.radians(angle)
    direction = np.array([np.sin(turn), -np.cos(turn), 0.0])
    data = bpy.data.cameras.new("demo view")
    camera = bpy.data.objects.new("demo view", data)
    scene.collection.objects.link(camera)
    data.type = "ORTHO"
    data.ortho_scale = 1.08 * max(high[2] - low[2], (high[:2] - low[:2]).max() * TILE[1] / TILE[0])
    camera.location = centre + 6.0 * direction
    camera.rotation_euler = (np.pi / 2, 0.0, turn)
    before = scene.camera
    scene.camera = camera
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    scene.camera = before
    bpy.data.objects.remove(camera)
    bpy.data.cameras.remove(data)


def pixels_of(path: Path, size: tuple[int, int]) -> np.ndarray:
    """An image file scaled to fit ``size`` (width, height) on white: (height, width, 3), rows top down."""
    image = bpy.data.images.load(str(path), check_existing=False)
    scale = min(size[0] / image.size[0], size[1] / image.size[1])
    image.scale(max(1, round(image.size[0] * scale)), max(1, round(image.size[1] * scale)))
    width, height = image.size
    pixels = np.array(image.pixels[:]).reshape(height, width, image.channels)[::-1]
    bpy.data.images.remove(image)
    if pixels.shape[2] == 4:
        pixels = pixels[..., :3] * pixels[..., 3:] + 1.0 - pixels[..., 3:]
    canvas = np.ones((size[1], size[0], 3))
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    canvas[top : top + height, left : left + width] = pixels[..., :3]
    return canvas


def save_pixels(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) floats in [0, 1] as a PNG."""
    height, width = pixels.shape[:2]
    image = bpy.data.images.new("demo sheet", width, height)
    rgba = np.concatenate([pixels[::-1], np.ones((height, width, 1))], axis=2)
    image.pixels.foreach_set(np.ascontiguousarray(rgba, np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def workbench() -> None:
    """Workbench pictures on a transparent background; the texture holds the photo's light already."""
    scene = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.shading.light = "FLAT"
    scene.display.shading.show_cavity = True
    scene.display.shading.cavity_type = "BOTH"
    scene.display.shading.color_type = "TEXTURE"
    scene.display.shading.show_shadows = False
    scene.render.film_transparent = True
    scene.render.resolution_x, scene.render.resolution_y = TILE
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform = "Standard"


def main() -> int:
    """Run the demo; the exit code is 0 only if every file was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", type=Path, required=True, help="the worker's Python")
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "person.png")
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    options = parser.parse_args()
    timings: dict[str, float] = {}
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)

    with step("start Blender with the add-on", timings):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        pamir_blender.register()
    from pamir_blender.addon import preferences

    # Not resolved: the interpreter of a virtual environment is a link, and following it would leave it.
    preferences.get_preferences().worker_python = str(options.backend.absolute())
    preferences.get_preferences().results_folder = str(out / "results")
    bpy.context.scene.pamir.photo_path = str(options.photo.resolve())
    with step("reconstruct the example", timings):
        if bpy.ops.pamir.reconstruct() != {"FINISHED"}:
            print("[demo] the reconstruction failed", file=sys.stderr)
            return 1
    with step("save the .blend", timings):
        bpy.ops.wm.save_as_mainfile(filepath=str(out / "demo.blend"))
    with step("export the .glb", timings):
        for thing in bpy.data.objects:
            thing.select_set(thing.get("pamir_role") in ("armature", "clothed"))
        bpy.context.view_layer.objects.active = find("armature")
        bpy.ops.export_scene.gltf(filepath=str(out / "demo.glb"), use_selection=True, export_format="GLB")
    with step("render front, side and back", timings):
        for thing in bpy.data.objects:
            thing.hide_render = thing.get("pamir_role") != "clothed"
        workbench()
        sheet = [pixels_of(options.photo, TILE)]
        with tempfile.TemporaryDirectory() as folder:
            for name, angle in VIEWS.items():
                path = Path(folder) / f"{name}.png"
                render_view(find("clothed"), angle, path)
                sheet.append(pixels_of(path, TILE))
        save_pixels(np.concatenate(sheet, axis=1), out / "demo.png")

    pamir_blender.unregister()
    for name in ("demo.blend", "demo.glb", "demo.png"):
        print(f"[demo] {out / name}  {(out / name).stat().st_size / 1e6:.1f} MB")
    print("[demo] where the time went:")
    for name, seconds in timings.items():
        print(f"[demo]   {seconds:6.1f} s  {name}")
    return 0


if __name__ == "__main__":
    code = main()
    shutil.rmtree(os.environ["BLENDER_USER_RESOURCES"], ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # bpy's own clean-up at interpreter exit can crash; everything is written by now
