"""SMPL's pose <-> the armature's pose bones, exactly, both ways.

SMPL turns each joint in axes parallel to the body's own at rest (Loper et al. 2015, section 3); Blender
turns each bone in the bone's rest axes. With ``R`` a bone's rest orientation in the armature and ``C`` the
turn from character to Blender axes, the bone's own rotation is ``R^T C A C^T R`` for SMPL's rotation ``A``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Quaternion

from ... import camera
from ...contracts import JOINT_NAMES, JOINT_PARENTS
from ...errors import RequestError
from .armature import REST_SHIFT
from .rotations import BLENDER_AXES, axis_angle_to_matrix, matrix_to_axis_angle, nearest_rotation


@dataclass(frozen=True)
class ArmaturePose:
    """What an armature's pose says in SMPL's terms.

    ``pose`` (24, 3) axis-angle, angles in [0, pi]; ``offset`` (3,) metres, ``character = skinned + offset``.
    """

    pose: np.ndarray
    offset: np.ndarray


def apply_pose(armature: bpy.types.Object, pose: np.ndarray, offset: np.ndarray) -> None:
    """Pose the bones with SMPL's ``pose`` (24, 3) and body ``offset`` (3,), see :class:`ArmaturePose`."""
    bones, rest = _bones(armature)
    turned = BLENDER_AXES @ axis_angle_to_matrix(pose) @ BLENDER_AXES.T
    local = np.swapaxes(rest, 1, 2) @ turned @ rest
    move = camera.character_to_blender(np.asarray(offset, np.float64) - _rest_shift(armature))
    for i, bone in enumerate(bones):
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = _quaternion(local[i])
        bone.location = rest[i].T @ move if JOINT_PARENTS[i] < 0 else (0.0, 0.0, 0.0)
        bone.scale = (1.0, 1.0, 1.0)


def set_joints(armature: bpy.types.Object, pose: np.ndarray, joints: Iterable[int]) -> None:
    """Turn the bones of ``joints`` as ``pose`` (24, 3) says, in each bone's own rotation mode."""
    bones, rest = _bones(armature)
    turned = BLENDER_AXES @ axis_angle_to_matrix(pose) @ BLENDER_AXES.T
    for joint in joints:
        bone = bones[joint]
        quaternion = _quaternion(rest[joint].T @ turned[joint] @ rest[joint])
        if bone.rotation_mode == "QUATERNION":
            bone.rotation_quaternion = quaternion
        elif bone.rotation_mode == "AXIS_ANGLE":
            axis, angle = quaternion.to_axis_angle()
            bone.rotation_axis_angle = (angle, *axis)
        else:
            bone.rotation_euler = quaternion.to_euler(bone.rotation_mode, bone.rotation_euler)


def require_bones(armature: bpy.types.Object) -> None:
    """Raise :class:`RequestError` unless ``armature`` is ours and has all of SMPL's bones."""
    _bones(armature)


def _quaternion(rotation: np.ndarray) -> Quaternion:
    """From a rotation matrix (3, 3), worked out in double precision for turns of any size."""
    vector = matrix_to_axis_angle(rotation[None])[0]
    angle = float(np.linalg.norm(vector))
    return Quaternion(vector / angle, angle) if angle > 0 else Quaternion()


def read_pose(armature: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None = None) -> ArmaturePose:
    """The armature's present pose as SMPL parameters; scaled bones count as unscaled.

    Without ``depsgraph`` the bones' own channels are read; with it, the evaluated pose, which includes
    constraints, drivers and animation.
    """
    bones, rest = _bones(armature)
    if depsgraph is None:
        local = np.array([bone.matrix_basis.to_3x3() for bone in bones], np.float64)
        turned = rest @ nearest_rotation(local) @ np.swapaxes(rest, 1, 2)
        move = rest[0] @ np.array(bones[0].location, np.float64)
    else:
        evaluated = armature.evaluated_get(depsgraph).pose.bones
        posed = [evaluated[name].matrix for name in JOINT_NAMES]
        world = nearest_rotation(np.array([m.to_3x3() for m in posed], np.float64) @ np.swapaxes(rest, 1, 2))
        turned = np.stack([world[i] if p < 0 else world[p].T @ world[i] for i, p in enumerate(JOINT_PARENTS)])
        move = np.array(posed[0].translation - bones[0].bone.head_local, np.float64)
    pose = matrix_to_axis_angle(BLENDER_AXES.T @ turned @ BLENDER_AXES)
    return ArmaturePose(pose, camera.blender_to_character(move) + _rest_shift(armature))


def _bones(armature: bpy.types.Object) -> tuple[list[bpy.types.PoseBone], np.ndarray]:
    """The 24 pose bones in SMPL's order and their rest orientations (24, 3, 3)."""
    if armature.pose is None or REST_SHIFT not in armature:
        raise RequestError(f"{armature.name} is not an armature that PaMIR made.")
    found = [armature.pose.bones.get(name) for name in JOINT_NAMES]
    missing = [name for name, bone in zip(JOINT_NAMES, found, strict=True) if bone is None]
    if missing:
        raise RequestError(
            f"The armature {armature.name} lacks the bones {', '.join(missing)}. "
            "Give the PaMIR bones their original names back, or undo to before they were renamed."
        )
    rest = np.array([bone.bone.matrix_local.to_3x3() for bone in found], np.float64)
    return found, nearest_rotation(rest)


def _rest_shift(armature: bpy.types.Object) -> np.ndarray:
    return np.array(list(armature[REST_SHIFT]), np.float64)
