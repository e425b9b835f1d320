"""A small picture of the chosen photo for the panel, without adding an image to the .blend file."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews

from ..image_header import MAX_SHOWN_PIXELS, picture_size

_KEPT = 32
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
    bpy.utils.previews.remove(_collection)
    _collection = None
