"""The armature: SMPL's 24 joints as bones, in the T-pose, standing on the floor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np

from ...contracts import JOINT_NAMES, JOINT_PARENTS
from .ownership import claim
from .read_result import BodyData
from .rest_frame import RestFrame

REST_SHIFT = "pamir_rest_shift"
REST_TOLERANCE = 1e-6
"""Metres. Rest joints closer than this are the same ones: Blender keeps them in single precision."""
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
    tails = _tails(heads, top=top_of_head(body, frame))
    with _edit_mode(armature):
        _add_edit_bones(armature.data, heads, tails)
    data.display_type = "STICK"
    armature.show_in_front = True
    armature[REST_SHIFT] = [float(c) for c in frame.shift]
    for bone in armature.pose.bones:
        bone.rotation_mode = "QUATERNION"
    return armature


def top_of_head(body: BodyData, frame: RestFrame) -> float:
    """Metres above the floor, in the T-pose."""
    return float(frame.to_blender(body.shaped_template())[:, 2].max())


def set_rest_joints(
    armature: bpy.types.Object, joints_rest: np.ndarray, frame: RestFrame, top: float
) -> np.ndarray:
    """Move the rest pose of an existing armature to other joints (24, 3); bones the artist added stay.

    Returns by how much SMPL's rest frame moved in the armature, (3,) metres in Blender's axes. The armature
    must not be in Edit Mode, and must have all of SMPL's bones.
    """
    before = RestFrame(np.array(list(armature[REST_SHIFT]), np.float64))
    heads = frame.to_blender(joints_rest)
    bones = armature.data.bones
    found = np.array([bones[name].head_local for name in JOINT_NAMES], np.float64)
    if np.abs(found - heads).max() > REST_TOLERANCE:
        with _edit_mode(armature):
            edit_bones = [armature.data.edit_bones[name] for name in JOINT_NAMES]
            _place(edit_bones, heads, _tails(heads, top))
    armature[REST_SHIFT] = [float(c) for c in frame.shift]
    return frame.to_blender(np.zeros(3)) - before.to_blender(np.zeros(3))


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


@contextmanager
def _edit_mode(armature: bpy.types.Object) -> Iterator[None]:
    """Edit Mode in a scene of its own: the artist's selection stays as it is, and so does Pose Mode."""
    posing = armature.mode == "POSE"
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
                yield
            finally:
                bpy.ops.object.mode_set(mode="OBJECT")
                if posing:
                    bpy.ops.object.mode_set(mode="POSE")
    finally:
        bpy.data.scenes.remove(workshop)


def _add_edit_bones(data: bpy.types.Armature, heads: np.ndarray, tails: np.ndarray) -> None:
    bones = [data.edit_bones.new(name) for name in JOINT_NAMES]
    _place(bones, heads, tails)
    for bone, parent in zip(bones, JOINT_PARENTS, strict=True):
        if parent >= 0:
            bone.parent = bones[parent]
            bone.use_connect = False


def _place(bones: list[bpy.types.EditBone], heads: np.ndarray, tails: np.ndarray) -> None:
    for name, bone, head, tail in zip(JOINT_NAMES, bones, heads.tolist(), tails.tolist(), strict=True):
        bone.head, bone.tail = head, tail
        # The local z axis looks forward (up on the feet), which makes x the hinge of knees and elbows.
        bone.align_roll(_UP if name in _FEET else _FORWARD)
