"""The small picture of a hypothesis, packed into the .blend so that it outlives the result folder."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...image_header import picture_size
from ...plain_files import why_not_plain
from .ownership import claim

_MOST_BYTES = 4_000_000
_MOST_PIXELS = 1024


def load(folder: Path, owner: str) -> bpy.types.Image | None:
    """``thumbnail.png`` of a result folder, packed, if there is one that is a picture of sensible size."""
    path = folder / "thumbnail.png"
    try:
        if why_not_plain(path, _MOST_BYTES) or max(picture_size(path) or (_MOST_PIXELS + 1,)) > _MOST_PIXELS:
            return None
        image = bpy.data.images.load(str(path), check_existing=False)
    except (OSError, RuntimeError):
        return None  # the picture is an extra: a folder without one is whole
    claim(image, owner)
    if not max(image.size):
        bpy.data.images.remove(image)
        return None
    image.name = "PaMIR thumbnail"
    image.pack()
    return image
