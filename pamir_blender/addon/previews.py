"""A small picture of the chosen photo for the panel, without adding an image to the .blend file."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews
import numpy as np

from .scene import thumbnail

_KEPT = 32
_wanted: set[str] = set()
_collection: bpy.utils.previews.ImagePreviewCollection | None = None


def photo_icon(path: str) -> int:
    """The icon id of a preview of the image at ``path``, or 0 when there is none to show."""
    if _collection is None or not path:
        return 0
    file = Path(bpy.path.abspath(path))
    try:
        key = f"{file}|{file.stat().st_mtime_ns}"
    except (OSError, ValueError):
        return 0
    if key not in _collection:
        if len(_collection) >= _KEPT:
            _collection.clear()
        _collection.load(key, str(file), "IMAGE")
    return _collection[key].icon_id


def hypothesis_icon(uid: str) -> int:
    """The icon id of a hypothesis' picture, or 0 while there is none.

    Only looked up here: the picture is unpacked by a timer, not while a panel is drawn.
    """
    if _collection is None or not uid or bpy.app.background:
        return 0
    found = _collection.get(f"hypothesis {uid}")
    if found is not None:
        return found.icon_id
    if uid not in _wanted:
        _wanted.add(uid)
        if not bpy.app.timers.is_registered(load_wanted):
            bpy.app.timers.register(load_wanted, first_interval=0.0)
    return 0


def load_wanted() -> None:
    """Make the icons that panels asked for from the pictures packed in the file."""
    for uid in tuple(_wanted):
        _wanted.discard(uid)
        image = thumbnail.find_any(uid)
        if image is None or _collection is None:
            continue
        icon = _collection.new(f"hypothesis {uid}")
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        icon.image_size = image.size
        if image.channels == 4:
            icon.image_pixels_float.foreach_set(pixels)


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
