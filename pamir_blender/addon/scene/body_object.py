"""The SMPL body: skinned, its betas and this pose's corrective as shape keys."""

from __future__ import annotations

import bpy
import numpy as np

from .mesh_data import create_mesh, skin_to_armature
from .ownership import claim
from .read_result import MAX_BETA, BodyData
from .rest_frame import RestFrame

POSE_CORRECTIVE = "pose_corrective"
SLIDER = 5.0
SKIN = (0.55, 0.62, 0.75)


def beta_key(index: int) -> str:
    """The name of the shape key of beta ``index``."""
    return f"beta_{index}"


def create_body(
    name: str, body: BodyData, frame: RestFrame, armature: bpy.types.Object, owner: str
) -> bpy.types.Object:
    """A new body object, in no collection yet.

    Basis is SMPL's template; ``beta_0`` to ``beta_9`` hold the shape directions at the estimated betas;
    ``pose_corrective`` at 1 is the posedirs' term of the estimated pose, which fits that pose only.
    """
    mesh = create_mesh(name, frame.to_blender(body.template), body.faces, owner)
    obj = claim(bpy.data.objects.new(name, mesh), owner, "body")
    obj.shape_key_add(name="Basis", from_mix=False)
    for i, beta in enumerate(body.betas):
        key = _add_key(obj, beta_key(i), frame.to_blender(body.template + body.shapedirs[:, :, i]))
        reach = min(max(SLIDER, abs(float(beta))), MAX_BETA)
        key.slider_min, key.slider_max = -reach, reach
        key.value = float(beta)
    key = _add_key(obj, POSE_CORRECTIVE, frame.to_blender(body.template + body.pose_corrective))
    key.value = 1.0
    material = claim(bpy.data.materials.new(name), owner)
    material.diffuse_color = (*SKIN, 1.0)  # the viewport's; renders rarely show the body
    mesh.materials.append(material)
    skin_to_armature(obj, body.skin, armature)
    return obj


def read_betas(obj: bpy.types.Object) -> np.ndarray:
    """The betas (10,) that the body's shape keys now stand at."""
    keys = obj.data.shape_keys.key_blocks
    return np.array([keys[beta_key(i)].value for i in range(10)], np.float64)


def _add_key(obj: bpy.types.Object, name: str, points: np.ndarray) -> bpy.types.ShapeKey:
    key = obj.shape_key_add(name=name, from_mix=False)
    key.data.foreach_set("co", np.ascontiguousarray(points, np.float32).ravel())
    return key
