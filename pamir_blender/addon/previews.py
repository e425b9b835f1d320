"""A small picture of the chosen photo for the panel, without adding an image to the .blend file."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews
import numpy as np

from ..image_header import MAX_SHOWN_PIXELS, picture_size

_KEPT = 32
_wanted: set[str] = set()
_collection: bpy.utils.previews.ImagePreviewCollection | None = None


def photo_icon(path: str) -> int:
    """The icon id of a preview of the image at ``path``, or 0 when there is none to show."""
    if _collection is None or not path:
        return 0
    file = Path(bpy.path.abspath(path))
    try:
        if not file.is_file():  # a pipe, for one, would be waited for
            return 0
        key = f"{file}|{file.stat().st_mtime_ns}"
        key.encode("utf-8")
        if key not in _collection:
            if not shows_safely(file):
                return 0
            if len(_collection) >= _KEPT:
                _collection.clear()
            _collection.load(key, str(file), "IMAGE")
    except (OSError, ValueError):
        return 0
    return _collection[key].icon_id


def packed_icon(image: bpy.types.Image | None) -> int:
    """The icon id of a small image that is packed in the file, or 0 while there is none.

    Only looked up here: the picture is unpacked by a timer, not while a panel is drawn.
    """
    if _collection is None or image is None:
        return 0
    key = _key(image)
    if key in _collection:
        return _collection[key].icon_id
    _wanted.add(image.name_full)
    if not bpy.app.background and not bpy.app.timers.is_registered(load_wanted):
        bpy.app.timers.register(load_wanted, first_interval=0.0)
    return 0


def _key(image: bpy.types.Image) -> str:
    return f"packed {image.session_uid} {image.name_full}"


def load_wanted() -> None:
    """Make the icons that panels asked for from the pictures packed in the file."""
    for image in [image for image in bpy.data.images if image.name_full in _wanted]:
        if _collection is None or image.channels != 4 or _key(image) in _collection:
            continue
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        icon = _collection.new(_key(image))
        icon.image_size = image.size
        icon.image_pixels_float.foreach_set(pixels)
        icon.icon_size = image.size
        icon.icon_pixels_float.foreach_set(pixels)
    _wanted.clear()


def shows_safely(file: Path) -> bool:
    """Whether Blender may decode the whole picture: its header is known here and claims no absurd size."""
    size = picture_size(file)
    return size is not None and size[0] * size[1] <= MAX_SHOWN_PIXELS


def register() -> None:
    """Make the collection of previews."""
    global _collection
    _collection = bpy.utils.previews.new()


def unregister() -> None:
    """Free the collection of previews."""
    global _collection
    if bpy.app.timers.is_registered(load_wanted):
        bpy.app.timers.unregister(load_wanted)
    _wanted.clear()
    bpy.utils.previews.remove(_collection)
    _collection = None
