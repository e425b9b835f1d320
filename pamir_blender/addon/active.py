"""Which character the panel and the operators are about."""

from __future__ import annotations

import bpy

from .scene import ownership


def active_character(context: bpy.types.Context) -> str:
    """The id of the active object's character, else of the scene's only one, else an empty string."""
    found = ownership.character_of(context.active_object)
    if found and ownership.find_collection(found) is not None:
        return found
    ids = {ownership.character_of(c) for c in context.scene.collection.children_recursive} - {""}
    return ids.pop() if len(ids) == 1 else ""


def active_collection(context: bpy.types.Context) -> bpy.types.Collection | None:
    """The collection of the active character."""
    character = active_character(context)
    return ownership.find_collection(character) if character else None


def active_part(context: bpy.types.Context, role: str) -> bpy.types.Object | None:
    """The active character's armature, body, clothed or camera object."""
    character = active_character(context)
    return ownership.find_object(character, role) if character else None
