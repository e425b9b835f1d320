"""The small picture of a hypothesis, packed into the .blend so that it outlives the result folder."""

from __future__ import annotations

from pathlib import Path

import bpy

from .ownership import claim

_MOST_BYTES = 4_000_000
_MOST_PIXELS = 1024


def load(folder: Path, owner: str) -> bpy.types.Image | None:
    """``thumbnail.png`` of a result folder, packed, if there is one that is a picture of sensible size."""
    path = folder / "thumbnail.png"
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        image = bpy.data.images.load(str(path), check_existing=False)
    except (OSError, RuntimeError):
        return None  # the picture is an extra: a folder without one is whole
    claim(image, owner)
    if not 0 < max(image.size) <= _MOST_PIXELS:
        bpy.data.images.remove(image)
        return None
    image.name = "PaMIR thumbnail"
    image.pack()
    return image
