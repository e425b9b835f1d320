"""The mirror solution of a limb in depth. numpy only: Blender and the backend both use it.

By weak perspective a bone that points to the viewer and one that points away from him by as much look the
same. So one picture leaves a foreshortened limb two poses, mirror images of each other in the view plane.
Poses are SMPL's (24, 3) axis-angle in radians; the view looks along the body frame's z.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .contracts import JOINT_PARENTS
from .errors import RequestError
from .joint_limits import JOINT_HIGH, JOINT_LOW
from .rotations import axis_angle, rotation_matrix

FLIP_LIMBS: dict[str, tuple[int, ...]] = {
    "left_arm": (16, 18, 20, 22),
    "right_arm": (17, 19, 21, 23),
    "left_leg": (1, 4, 7, 10),
    "right_leg": (2, 5, 8, 11),
}
"""Joints of each limb that can be flipped, from the trunk outwards."""

# The axis that elbow or knee bend about, in the T-pose: it says which way round a mirrored bone is twisted.
_HINGES = {"arm": np.array([0.0, 1.0, 0.0]), "leg": np.array([1.0, 0.0, 0.0])}
# Radians beyond the limits that are still let pass: upper and lower bone are not in line at rest, and making
# up for that turns a knee a few degrees sideways.
_SLACK = 0.15
_VIEW_MIRROR = np.diag([1.0, 1.0, -1.0])


def flip_depth(pose: np.ndarray, joints_rest: np.ndarray, limb: str) -> np.ndarray:
    """``pose`` (24, 3) with the bones of ``limb`` reflected in the view plane, (24, 3) float64.

    ``joints_rest`` (24, 3) are the T-pose's joints in metres. The root and all other limbs stay; the bend of
    elbow or knee keeps its size and its anatomical side, and what a joint limit forbids after that is given
    up. Flipping twice gives the first pose back where no limit intervened. Raises :class:`RequestError` for
    anything that is not one of :data:`FLIP_LIMBS`.
    """
    joints = _joints(limb)
    old = np.asarray(pose, np.float64)
    flipped = old.copy()
    before = _world_rotations(old)
    carrier = before[JOINT_PARENTS[joints[0]]]
    for place, joint in enumerate(joints):
        # Mirroring the world makes a rotation improper; mirroring the bone across its own axis undoes that
        # and leaves the bone's direction alone.
        twin = _VIEW_MIRROR @ before[joint] @ _bone_mirror(joints_rest, joints, place, limb)
        local = axis_angle(carrier.T @ twin)
        if place > 0:
            # A pose beyond the limits already is not made to obey them.
            low = np.minimum(JOINT_LOW[joint] - _SLACK, old[joint])
            high = np.maximum(JOINT_HIGH[joint] + _SLACK, old[joint])
            local = np.clip(local, low, high)
        flipped[joint] = local
        carrier = carrier @ rotation_matrix(local)
    return flipped


def foreshortening(pose: np.ndarray, joints_rest: np.ndarray, limb: str) -> float:
    """How much of ``limb`` lies along the view: 0 in the image plane, 1 straight at the viewer or away.

    The share of depth in its two long bones' lengths. Arguments and errors as for :func:`flip_depth`.
    """
    joints = _joints(limb)
    world = _world_rotations(np.asarray(pose, np.float64))
    depth = length = 0.0
    for joint, child in pairwise(joints[:3]):
        bone = world[joint] @ (np.asarray(joints_rest[child], float) - joints_rest[joint])
        depth += abs(float(bone[2]))
        length += float(np.linalg.norm(bone))
    return depth / length if length > 0 else 0.0


def _joints(limb: str) -> tuple[int, ...]:
    if limb not in FLIP_LIMBS:
        raise RequestError(f"A limb to flip is one of {', '.join(FLIP_LIMBS)}, not {limb!r}.")
    return FLIP_LIMBS[limb]


def _bone_mirror(joints_rest: np.ndarray, joints: tuple[int, ...], place: int, limb: str) -> np.ndarray:
    """(3, 3) reflection in rest space that leaves the bone at ``joints[place]`` alone."""
    start = min(place, len(joints) - 2)  # the last joint carries no bone: it goes with the one before
    bone = np.asarray(joints_rest[joints[start + 1]], float) - joints_rest[joints[start]]
    bone /= max(float(np.linalg.norm(bone)), 1e-12)
    hinge = _HINGES[limb.rpartition("_")[2]]
    normal = hinge - bone * (hinge @ bone)
    normal /= max(float(np.linalg.norm(normal)), 1e-12)
    return np.eye(3) - 2.0 * np.outer(normal, normal)


def _world_rotations(pose: np.ndarray) -> np.ndarray:
    """(24, 3, 3) rotations of all joints in the body frame."""
    world = np.empty((24, 3, 3))
    for joint, parent in enumerate(JOINT_PARENTS):
        local = rotation_matrix(pose[joint])
        world[joint] = local if parent < 0 else world[parent] @ local
    return world
