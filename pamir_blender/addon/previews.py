"""A small picture of the chosen photo for the panel, without adding an image to the .blend file."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews

_KEPT = 32
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


def register() -> None:
    """Make the collection of previews."""
    global _collection
    _collection = bpy.utils.previews.new()


def unregister() -> None:
    """Free the collection of previews."""
    global _collection
    bpy.utils.previews.remove(_collection)
    _collection = None
