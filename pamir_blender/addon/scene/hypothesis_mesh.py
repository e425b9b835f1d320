"""The clothed meshes of hypotheses: one is worn by the armature, the others stand still in their own pose.

Only one hypothesis can follow the one armature. Every other mesh is held in the pose it was made in by a
shape key, its armature modifier off, so that whatever shows it (the panel, the outliner, a render, a .blend
opened without the add-on) shows it right.
"""

from __future__ import annotations

import bpy
import numpy as np

from ... import camera
from .ownership import ROLE, owned
from .read_result import BodyData, ClothedData
from .skinning import joint_transforms, skin

HYPOTHESIS = "pamir_hypothesis"
WORN, RESTING = "clothed", "resting"
"""Roles: the mesh that follows the armature, and the meshes that do not."""
POSED = "pamir_posed"
"""Name of the mesh attribute and of the shape key that hold the posed points, the armature's space."""


def mesh_of(collection: bpy.types.Collection, uid: str) -> bpy.types.Object | None:
    """The clothed object of a hypothesis, unless the artist deleted it."""
    return next((o for o in collection.all_objects if o.get(HYPOTHESIS) == uid and is_mesh(o)), None)


def is_mesh(obj: bpy.types.Object) -> bool:
    """Whether ``obj`` is the clothed mesh of some hypothesis."""
    return obj.type == "MESH" and obj.get(ROLE) in (WORN, RESTING)


def remember_posed(obj: bpy.types.Object, clothed: ClothedData, body: BodyData) -> None:
    """Store where the points of the clothed mesh are in the pose it was made in."""
    points = skin(clothed.vertices_rest, clothed.skin, joint_transforms(body.pose, body.joints_rest))
    attribute = obj.data.attributes.new(POSED, "FLOAT_VECTOR", "POINT")
    posed = camera.character_to_blender(points + body.offset)
    attribute.data.foreach_set("vector", np.ascontiguousarray(posed, np.float32).ravel())


def posed_points(obj: bpy.types.Object) -> np.ndarray | None:
    """(V, 3) metres in the armature's space, or None if an edit of the mesh took them away."""
    attribute = obj.data.attributes.get(POSED)
    if attribute is None or attribute.domain != "POINT" or attribute.data_type != "FLOAT_VECTOR":
        return None
    points = np.empty(3 * len(obj.data.vertices), np.float32)
    attribute.data.foreach_get("vector", points)
    return points.reshape(-1, 3)


def let_rest(obj: bpy.types.Object) -> None:
    """Take the mesh off the armature and hold it in its own pose."""
    obj[ROLE] = RESTING
    _deform(obj, False)
    points = posed_points(obj)
    if points is None or _key(obj) is not None:
        return
    if obj.data.shape_keys is None:
        obj.shape_key_add(name="Basis", from_mix=False)
    key = obj.shape_key_add(name=POSED, from_mix=False)
    key.data.foreach_set("co", points.ravel())
    key.value = 1.0


def let_wear(obj: bpy.types.Object) -> None:
    """Put the mesh on the armature again."""
    obj[ROLE] = WORN
    key = _key(obj)
    if key is not None:
        obj.shape_key_remove(key)
        if len(obj.data.shape_keys.key_blocks) == 1:
            obj.shape_key_clear()
    obj.delta_location = (0.0, 0.0, 0.0)
    _deform(obj, True)


def remove(owner: str, uid: str) -> None:
    """Delete the mesh of a hypothesis, and of its material and pictures what nothing else uses."""
    mine = [block for block in owned(owner) if block.get(HYPOTHESIS) == uid]
    objects = [block for block in mine if isinstance(block, bpy.types.Object)]
    bpy.data.batch_remove(objects)
    while unused := [block for block in owned(owner) if block.users == 0]:  # a material holds on to its image
        bpy.data.batch_remove(unused)


def _key(obj: bpy.types.Object) -> bpy.types.ShapeKey | None:
    keys = obj.data.shape_keys
    return keys.key_blocks.get(POSED) if keys is not None else None


def _deform(obj: bpy.types.Object, on: bool) -> None:
    for modifier in obj.modifiers:
        if modifier.type == "ARMATURE":
            modifier.show_viewport = modifier.show_render = on
