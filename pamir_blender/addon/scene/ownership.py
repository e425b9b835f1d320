"""Which datablocks belong to which character.

Each datablock the add-on makes carries the character's id. Finding them again by that id, instead of
keeping references, is what survives undo, renaming and file loading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import bpy

CHARACTER = "pamir_character"
ROLE = "pamir_role"

_Datablock = TypeVar("_Datablock", bound=bpy.types.ID)


def claim(datablock: _Datablock, owner: str, role: str = "") -> _Datablock:
    """Mark ``datablock`` as part of the character ``owner``, objects also with their ``role``; return it."""
    datablock[CHARACTER] = owner
    if role:
        datablock[ROLE] = role
    return datablock


def owned(owner: str) -> list[bpy.types.ID]:
    """Every datablock of the character ``owner``."""
    kinds = (
        bpy.data.objects, bpy.data.meshes, bpy.data.armatures, bpy.data.cameras, bpy.data.materials,
        bpy.data.images, bpy.data.actions, bpy.data.collections,
    )  # fmt: skip
    return [block for kind in kinds for block in kind if block.get(CHARACTER) == owner]


def remove_character(owner: str) -> int:
    """Delete every datablock of the character ``owner`` and nothing else; returns how many went."""
    doomed = owned(owner)
    bpy.data.batch_remove(doomed)
    return len(doomed)


def find_object(owner: str, role: str) -> bpy.types.Object | None:
    """The object that plays ``role`` in the character ``owner``: armature, body, clothed or camera."""

    def among(objects: Iterable[bpy.types.Object]) -> bpy.types.Object | None:
        return next((o for o in objects if o.get(CHARACTER) == owner and o.get(ROLE) == role), None)

    collection = find_collection(owner)
    # Panels ask at every redraw: look where it usually is before looking through the whole file.
    found = among(collection.objects) if collection is not None else None
    return found or among(bpy.data.objects)


def find_collection(owner: str) -> bpy.types.Collection | None:
    """The collection of the character ``owner``."""
    return next((c for c in bpy.data.collections if c.get(CHARACTER) == owner), None)


def character_of(datablock: bpy.types.ID | None) -> str:
    """The id of the character ``datablock`` belongs to, or an empty string."""
    found = datablock.get(CHARACTER, "") if datablock is not None else ""
    return found if isinstance(found, str) else ""
