"""The small picture of a hypothesis, packed into the .blend so that it outlives the result folder."""

from __future__ import annotations

from pathlib import Path

import bpy

from .hypothesis_mesh import HYPOTHESIS
from .ownership import CHARACTER, claim

_ROLE = "pamir_thumbnail"
_MOST_BYTES = 4_000_000
_MOST_PIXELS = 1024


def keep(folder: Path, owner: str, uid: str) -> None:
    """Pack ``thumbnail.png`` of a result folder, if there is one that is a picture of sensible size."""
    path = folder / "thumbnail.png"
    try:
        if path.stat().st_size > _MOST_BYTES:
            return
        image = bpy.data.images.load(str(path), check_existing=False)
    except (OSError, RuntimeError):
        return  # the picture is an extra: a folder without one is whole
    claim(image, owner)
    if not 0 < max(image.size) <= _MOST_PIXELS:
        bpy.data.images.remove(image)
        return
    image.name = f"thumbnail {uid[:6]}"
    image[HYPOTHESIS], image[_ROLE] = uid, True
    image.use_fake_user = True  # nothing but the list uses it
    image.pack()


def find(owner: str, uid: str) -> bpy.types.Image | None:
    """The picture of a hypothesis."""
    return next(
        (
            image
            for image in bpy.data.images
            if image.get(HYPOTHESIS) == uid and image.get(CHARACTER) == owner and image.get(_ROLE)
        ),
        None,
    )


def find_any(uid: str) -> bpy.types.Image | None:
    """The picture of a hypothesis, whichever character it belongs to."""
    found = (image for image in bpy.data.images if image.get(HYPOTHESIS) == uid and image.get(_ROLE))
    return next(found, None)


def copy(owner: str, source: str, target: str) -> None:
    """Give the hypothesis ``target`` a picture of its own that looks like that of ``source``."""
    image = find(owner, source)
    if image is not None:
        twin = image.copy()
        twin[HYPOTHESIS] = target
        twin.use_fake_user = True
