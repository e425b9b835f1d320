"""Making the armature and the SMPL body follow a hypothesis."""

from __future__ import annotations

import bpy
import numpy as np

from ... import camera
from .armature import set_rest_joints
from .body_object import POSE_CORRECTIVE, beta_key
from .pose import apply_pose, require_bones
from .read_result import MAX_BETA
from .record import Follow

_CORRECTIVE = "pamir_corrective_"


def armature_follows(
    armature: bpy.types.Object, body: bpy.types.Object | None, follow: Follow, uid: str
) -> None:
    """Give the armature the rest joints and the pose of a hypothesis, and the body its shape."""
    require_bones(armature)
    moved = set_rest_joints(armature, follow.joints_rest, follow.frame, follow.top)
    apply_pose(armature, follow.pose, follow.offset)
    if body is not None and body.data.shape_keys is not None:
        _move(body, moved)
        _shape(body, follow.betas)
        _correct(body, uid)


def keep_corrective(body: bpy.types.Object, corrective: np.ndarray, uid: str) -> None:
    """Store the posedirs' term (V, 3) of a hypothesis' pose with the body, for when it is followed."""
    if len(corrective) != len(body.data.vertices):
        return  # another body model: the hypothesis is shown without it
    attribute = body.data.attributes.new(_CORRECTIVE + uid, "FLOAT_VECTOR", "POINT")
    turned = camera.character_to_blender(corrective)
    attribute.data.foreach_set("vector", np.ascontiguousarray(turned, np.float32).ravel())


def drop_corrective(body: bpy.types.Object, uid: str) -> None:
    """Forget what :func:`keep_corrective` stored."""
    attribute = body.data.attributes.get(_CORRECTIVE + uid)
    if attribute is not None:
        body.data.attributes.remove(attribute)


def copy_corrective(body: bpy.types.Object, source: str, target: str) -> None:
    """Store the corrective of the hypothesis ``source`` for ``target`` too."""
    found = _stored(body, source)
    if found is not None:
        attribute = body.data.attributes.new(_CORRECTIVE + target, "FLOAT_VECTOR", "POINT")
        attribute.data.foreach_set("vector", found)


def _stored(body: bpy.types.Object, uid: str) -> np.ndarray | None:
    attribute = body.data.attributes.get(_CORRECTIVE + uid)
    if attribute is None:
        return None
    found = np.empty(3 * len(body.data.vertices), np.float32)
    attribute.data.foreach_get("vector", found)
    return found


def _move(body: bpy.types.Object, by: np.ndarray) -> None:
    """The armature's rest frame moved: the body's points move along."""
    if np.abs(by).max() < 1e-9:
        return
    step = np.tile(by.astype(np.float32), len(body.data.vertices))
    points = np.empty_like(step)
    for owner in (*(key.data for key in body.data.shape_keys.key_blocks), body.data.vertices):
        owner.foreach_get("co", points)
        owner.foreach_set("co", points + step)
    body.data.update()


def _shape(body: bpy.types.Object, betas: np.ndarray) -> None:
    keys = body.data.shape_keys.key_blocks
    for i, beta in enumerate(betas):
        key = keys.get(beta_key(i))
        if key is None:
            continue
        reach = min(max(abs(float(beta)), key.slider_max), MAX_BETA)
        key.slider_min, key.slider_max = min(key.slider_min, -reach), reach
        key.value = float(beta)


def _correct(body: bpy.types.Object, uid: str) -> None:
    keys = body.data.shape_keys.key_blocks
    key, found = keys.get(POSE_CORRECTIVE), _stored(body, uid)
    if key is None:
        return
    basis = np.empty(3 * len(body.data.vertices), np.float32)
    keys[0].data.foreach_get("co", basis)
    key.data.foreach_set("co", basis if found is None else basis + found)
