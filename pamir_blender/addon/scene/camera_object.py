"""The camera that sees the character exactly as the photo does, with the photo as its background.

The artist's render settings are left alone. An orthographic camera matches the photo in a render of any
other shape too, if it is fitted to the side that limits the photo in the frame; :func:`fit_to_frame` picks
that side for the present settings, and :func:`frame_photo` gives the scene the photo's own resolution when
the artist asks for it.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

import bpy

from ...image_header import claims_too_much
from ...plain_files import is_file
from .ownership import claim
from .read_result import CameraData

RESOLUTION = "pamir_photo_resolution"
SCALE = "pamir_photo_ortho_scale"
NEAR, FAR = 0.01, 1000.0


def create_camera(
    name: str, camera: CameraData, photo: str, render: bpy.types.RenderSettings, owner: str
) -> bpy.types.Object:
    """A new camera object, in no collection yet. A photo that is no longer there is left out."""
    data = claim(bpy.data.cameras.new(name), owner)
    data.type = "ORTHO"
    data.clip_start, data.clip_end = NEAR, FAR
    data[RESOLUTION] = list(camera.resolution)
    data[SCALE] = camera.ortho_scale
    fit_to_frame(data, render)
    _show_photo(data, photo, owner)
    obj = claim(bpy.data.objects.new(name, data), owner, "camera")
    obj.location = camera.location
    obj.rotation_euler = (math.pi / 2, 0.0, 0.0)
    return obj


def fit_to_frame(data: bpy.types.Camera, render: bpy.types.RenderSettings) -> None:
    """Fit the photo inside a frame of ``render``'s shape, touching its top and bottom or its sides."""
    width, height = data[RESOLUTION]
    frame = (render.resolution_x * render.pixel_aspect_x) / (render.resolution_y * render.pixel_aspect_y)
    metres_per_pixel = data[SCALE] / max(width, height)
    upright = frame >= width / height
    data.sensor_fit = "VERTICAL" if upright else "HORIZONTAL"
    data.ortho_scale = metres_per_pixel * (height if upright else width)


def frame_photo(scene: bpy.types.Scene, camera: bpy.types.Object) -> None:
    """Make ``camera`` the scene's camera and render at the photo's own resolution."""
    width, height = camera.data[RESOLUTION]
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
    fit_to_frame(camera.data, scene.render)


def relink_photo(collection: bpy.types.Collection, before: str, now: str) -> None:
    """Let the backgrounds of the collection's cameras that showed the file ``before`` show ``now``."""
    for obj in collection.all_objects:
        if obj.type != "CAMERA":
            continue
        for background in obj.data.background_images:
            image = background.image
            if image is None or _plain(bpy.path.abspath(image.filepath)) != _plain(before):
                continue
            with suppress(RuntimeError):  # opens in the backend but not in Blender: leave the old one
                background.image = bpy.data.images.load(now, check_existing=True)


def _plain(path: str) -> str:
    """Without "..": Blender keeps paths relative to the .blend. Links are not followed."""
    return os.path.normcase(os.path.normpath(path))


def _show_photo(data: bpy.types.Camera, photo: str, owner: str) -> None:
    if not photo or not is_file(photo):
        return
    known = {image.name_full for image in bpy.data.images}
    try:
        if claims_too_much(Path(photo)):  # not the file that the result was made from
            return
        image = bpy.data.images.load(photo, check_existing=True)
    except (RuntimeError, OSError):
        # The photo opens in the backend but not in Blender (HEIC, for one): the camera still matches.
        return
    if image.name_full not in known:
        claim(image, owner)
    background = data.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.display_depth = "BACK"
    background.frame_method = "FIT"
    data.show_background_images = True
