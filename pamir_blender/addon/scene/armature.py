"""The armature: SMPL's 24 joints as bones, in the T-pose, standing on the floor."""

from __future__ import annotations

import bpy
import numpy as np

from ...contracts import JOINT_NAMES, JOINT_PARENTS
from .ownership import claim
from .read_result import BodyData
from .rest_frame import RestFrame

REST_SHIFT = "pamir_rest_shift"
SHORTEST_BONE = 0.02
"""Metres. Blender deletes bones without length."""

_FORWARD = (0.0, -1.0, 0.0)
_UP = (0.0, 0.0, 1.0)
_FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")
_TAIL_AT = {
    "pelvis": "spine1", "spine1": "spine2", "spine2": "spine3", "spine3": "neck", "neck": "head",
    "left_hip": "left_knee", "left_knee": "left_ankle", "left_ankle": "left_foot",
    "right_hip": "right_knee", "right_knee": "right_ankle", "right_ankle": "right_foot",
    "left_collar": "left_shoulder", "left_shoulder": "left_elbow", "left_elbow": "left_wrist",
    "left_wrist": "left_hand", "right_collar": "right_shoulder", "right_shoulder": "right_elbow",
    "right_elbow": "right_wrist", "right_wrist": "right_hand",
}  # fmt: skip


def create_armature(name: str, body: BodyData, frame: RestFrame, owner: str) -> bpy.types.Object:
    """A new armature object, in no collection yet, with the joints of ``body`` as bones at rest.

    ``owner`` marks the new datablocks (see :mod:`.ownership`).
    """
    data = claim(bpy.data.armatures.new(name), owner)
    armature = claim(bpy.data.objects.new(name, data), owner, "armature")
    heads = frame.to_blender(body.joints_rest)
    tails = _tails(heads, top=float(frame.to_blender(body.shaped_template())[:, 2].max()))
    _build_bones(armature, heads, tails)
    data.display_type = "STICK"
    armature.show_in_front = True
    armature[REST_SHIFT] = [float(c) for c in frame.shift]
    for bone in armature.pose.bones:
        bone.rotation_mode = "QUATERNION"
    return armature


def _tails(heads: np.ndarray, top: float) -> np.ndarray:
    """(24, 3): each bone points to the joint it moves; toes, fingers and the head point on."""
    index = {name: i for i, name in enumerate(JOINT_NAMES)}
    tails = np.empty_like(heads)
    for name, i in index.items():
        if name in _TAIL_AT:
            tails[i] = heads[index[_TAIL_AT[name]]]
        elif name == "head":
            tails[i] = (heads[i][0], heads[i][1], max(top, heads[i][2]))
        elif name in ("left_hand", "right_hand"):
            tails[i] = 2 * heads[i] - heads[JOINT_PARENTS[i]]
        else:
            reach = np.linalg.norm(heads[i] - heads[JOINT_PARENTS[i]])
            tails[i] = heads[i] + 0.5 * reach * np.array(_FORWARD)
    short = np.linalg.norm(tails - heads, axis=1) < SHORTEST_BONE
    tails[short] = heads[short] + np.array([0.0, 0.0, SHORTEST_BONE])
    return tails


def _build_bones(armature: bpy.types.Object, heads: np.ndarray, tails: np.ndarray) -> None:
    """Add the bones in Edit Mode, in a scene of its own: the artist's mode and selection stay as they are."""
    workshop = bpy.data.scenes.new("PaMIR workshop")
    try:
        workshop.collection.objects.link(armature)
        view_layer = workshop.view_layers[0]
        view_layer.objects.active = armature
        with bpy.context.temp_override(
            scene=workshop, view_layer=view_layer, object=armature, active_object=armature,
            selected_objects=[armature], selected_editable_objects=[armature],
        ):  # fmt: skip
            bpy.ops.object.mode_set(mode="EDIT")
            try:
                _add_edit_bones(armature.data, heads, tails)
            finally:
                bpy.ops.object.mode_set(mode="OBJECT")
    finally:
        bpy.data.scenes.remove(workshop)


def _add_edit_bones(data: bpy.types.Armature, heads: np.ndarray, tails: np.ndarray) -> None:
    bones = []
    for i, name in enumerate(JOINT_NAMES):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = heads[i].tolist(), tails[i].tolist()
        # The local z axis looks forward (up on the feet), which makes x the hinge of knees and elbows.
        bone.align_roll(_UP if name in _FEET else _FORWARD)
        if JOINT_PARENTS[i] >= 0:
            bone.parent = bones[JOINT_PARENTS[i]]
            bone.use_connect = False
        bones.append(bone)
