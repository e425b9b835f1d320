"""What the artist made of a hypothesis' body: Pose Mode and the beta sliders as an exact body."""

from __future__ import annotations

from dataclasses import dataclass, replace

import bpy
import numpy as np

from ...body_state import BodyState
from ...contracts import JOINT_NAMES
from ...errors import RequestError
from . import ownership
from .body_object import read_betas
from .pose import read_pose
from .record import edited_of, state_of
from .rotations import axis_angle_to_matrix, matrix_to_axis_angle

SAME_ANGLE = 2e-4
"""Radians. Blender keeps rotations in single precision; a bone closer than this to its stored pose is taken
for untouched, and its stored numbers are used: an untouched body then gives the very same mesh."""
SAME_PLACE = 2e-5
"""Metres, likewise for the pelvis' location."""
SAME_BETA = 1e-6


@dataclass(frozen=True)
class EditedBody:
    """The body as it stands in Blender.

    ``state`` all of it; ``turned`` joints that differ from the hypothesis; ``edited`` those and the ones the
    artist had posed for the hypothesis before; ``moved`` and ``reshaped``: whether its place or its betas
    differ from the hypothesis.
    """

    state: BodyState
    turned: tuple[str, ...]
    edited: tuple[str, ...]
    moved: bool
    reshaped: bool

    @property
    def changed(self) -> bool:
        """Whether it differs from the hypothesis at all."""
        return bool(self.turned) or self.moved or self.reshaped


def read_edited_body(
    collection: bpy.types.Collection,
    record: bpy.types.PropertyGroup,
    depsgraph: bpy.types.Depsgraph | None = None,
) -> EditedBody:
    """The artist's body, counted from the hypothesis ``record`` that the armature follows.

    With ``depsgraph``, constraints, drivers and animation count. Raises :class:`RequestError` when the pose
    cannot be read, or is beyond what a body can do.
    """
    owner = ownership.character_of(collection)
    armature, body = ownership.find_object(owner, "armature"), ownership.find_object(owner, "body")
    problem = why_unreadable(armature)
    if problem:
        raise RequestError(problem)
    stored = state_of(record)
    found = read_pose(armature, depsgraph if armature.visible_get() else None)
    pose, turned = _poses(np.array(stored.pose), found.pose)
    state = replace(stored, pose=tuple(tuple(row) for row in pose.tolist()))
    offset = (np.array(stored.translation) - stored.frame_origin) / stored.frame_scale
    moved = bool(np.abs(found.offset - offset).max() > SAME_PLACE)
    if moved:
        place = np.array(stored.frame_origin) + found.offset * stored.frame_scale
        state = replace(state, translation=tuple(place.tolist()))
    betas = np.array(stored.betas)
    if body is not None and body.data.shape_keys is not None:
        betas = _betas(body, betas)
    reshaped = bool(np.abs(betas - stored.betas).max() > SAME_BETA)
    if reshaped:
        state = replace(state, betas=tuple(betas.tolist()))
    names = tuple(name for name, is_turned in zip(JOINT_NAMES, turned, strict=True) if is_turned)
    before = edited_of(record)
    edited = tuple(name for name in JOINT_NAMES if name in names or name in before)
    return EditedBody(state, names, edited, moved, reshaped)


def why_unreadable(armature: bpy.types.Object | None) -> str:
    """Why the pose cannot be read now, as a sentence, or an empty string."""
    if armature is None:
        return "The armature was deleted. Undo that first"
    if armature.mode == "EDIT":
        return "Leave the armature's Edit Mode first"
    if armature.data.pose_position == "REST":
        return "The armature shows its rest position. Set it to Pose Position first"
    return ""


def _poses(stored: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pose (24, 3) with stored numbers where nothing was turned, and which joints were (24,)."""
    between = np.swapaxes(axis_angle_to_matrix(stored), 1, 2) @ axis_angle_to_matrix(found)
    turned = np.linalg.norm(matrix_to_axis_angle(between), axis=1) > SAME_ANGLE
    return np.where(turned[:, None], found, stored), turned


def _betas(body: bpy.types.Object, stored: np.ndarray) -> np.ndarray:
    try:
        found = read_betas(body)
    except KeyError as error:
        raise RequestError(
            f"The body {body.name} lacks the shape key {error}. Undo to before it was renamed or removed."
        ) from error
    return np.where(np.abs(found - stored) > SAME_BETA, found, stored)
