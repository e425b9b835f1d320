"""Turning the whole body about the pelvis, in the photo's camera space."""

from __future__ import annotations

import bpy
import numpy as np

from ...errors import RequestError
from . import ownership
from .pose import read_pose, set_joints
from .rotations import axis_angle_to_matrix, matrix_to_axis_angle


def follow_sliders(collection: bpy.types.Collection) -> None:
    """Turn the root by what the yaw and pitch sliders moved since they were last followed."""
    character = collection.pamir
    before, now = tuple(character.turned), (character.yaw, character.pitch)
    if before == now:
        return
    armature = ownership.find_object(ownership.character_of(collection), "armature")
    if armature is None:
        raise RequestError(f"The armature of {collection.name} was deleted. Undo that first.")
    pose = read_pose(armature).pose
    root = axis_angle_to_matrix(pose[:1])[0]
    pose[0] = matrix_to_axis_angle((turned(*now) @ turned(*before).T @ root)[None])[0]
    set_joints(armature, pose, (0,))
    character.turned = now


def turned(yaw: float, pitch: float) -> np.ndarray:
    """(3, 3): first ``pitch`` about the camera's right, then ``yaw`` about its up, radians, body frame.

    Positive yaw turns the body to its own left, positive pitch bows it to the camera.
    """
    about_up, about_right = axis_angle_to_matrix(np.array([[0.0, yaw, 0.0], [pitch, 0.0, 0.0]]))
    return about_up @ about_right
