"""A first pose straight from world landmarks: one frame per body part, no iteration."""

from __future__ import annotations

import numpy as np
import torch

from .landmarks import LandmarkModel
from .model import BodyModel
from .pose_prior import clamp_to_limits
from .skinning import matrix_to_axis_angle

_ARMS = ((11, 13, 15, 17, 19, 16, 1.0), (12, 14, 16, 18, 20, 17, -1.0))
_LEGS = ((23, 25, 27, 29, 31, 1), (24, 26, 28, 30, 32, 2))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rotation with columns ``first``, ``second`` made square to it, and their cross product."""
    x = _unit(first)
    y = second - x * (second @ x)
    if np.linalg.norm(y) < 1e-6:  # parallel: any direction square to the first serves
        y = np.eye(3)[int(np.argmin(np.abs(x)))]
        y = y - x * (y @ x)
    y = _unit(y)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _turn(rest: tuple[np.ndarray, np.ndarray], seen: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The world rotation that takes a pair of rest directions to the pair seen."""
    return _frame(*seen) @ _frame(*rest).T


def _hinge(upper: np.ndarray, lower: np.ndarray, straight: np.ndarray) -> np.ndarray:
    """The axis a limb bends about; ``straight`` decides as far as the limb is stretched."""
    bend = np.cross(_unit(upper), _unit(lower))
    share = np.clip((np.linalg.norm(bend) - 0.15) / 0.35, 0, 1)
    return share * _unit(bend) + (1 - share) * _unit(straight)


def pose_from_world(world: np.ndarray, model: BodyModel, landmarks: LandmarkModel) -> np.ndarray:
    """Pose (24, 3) axis-angle from world landmarks (33, 3) in the body frame's axes.

    Torso and head from the frames of hips, shoulders and face; limbs from the directions of their bones
    and the plane they bend in. All joints but the root are inside their limits.
    """
    rest = landmarks.template.numpy().astype(np.float64)
    seen = world.astype(np.float64)
    turned = np.tile(np.eye(3), (24, 1, 1))  # world rotations

    def middle(points: np.ndarray, a: int, b: int) -> np.ndarray:
        return (points[a] + points[b]) / 2

    spine = [middle(p, 11, 12) - middle(p, 23, 24) for p in (rest, seen)]
    root = _turn((spine[0], rest[23] - rest[24]), (spine[1], seen[23] - seen[24]))
    chest = _turn((spine[0], rest[11] - rest[12]), (spine[1], seen[11] - seen[12]))
    twist = matrix_to_axis_angle(torch.from_numpy(root.T @ chest)).numpy()
    face = [(p[7] - p[8], p[0] - middle(p, 7, 8)) for p in (rest, seen)]
    head = _turn(face[0], face[1])
    nod = matrix_to_axis_angle(torch.from_numpy(chest.T @ head)).numpy()
    pose = np.zeros((24, 3))
    pose[0] = matrix_to_axis_angle(torch.from_numpy(root)).numpy()
    pose[[3, 6, 9]] = twist / 3
    pose[[12, 15]] = nod / 2
    turned[0] = root
    turned[[9, 13, 14]] = chest

    for shoulder, elbow, wrist, little, index, joint, side in _ARMS:
        upper, lower = seen[elbow] - seen[shoulder], seen[wrist] - seen[elbow]
        rest_axis = np.array([0.0, -side, 0.0])
        axis = _hinge(upper, lower, chest @ rest_axis)
        out = np.array([side, 0.0, 0.0])
        turned[joint] = _turn((out, rest_axis), (upper, axis))
        turned[joint + 2] = _turn((out, rest_axis), (lower, axis))
        knuckles = (seen[little] + seen[index]) / 2 - seen[wrist]
        turned[joint + 4] = _turn((out, np.array([0, 0, 1.0])), (knuckles, seen[index] - seen[little]))
    for hip, knee, ankle, heel, toe, joint in _LEGS:
        upper, lower, foot = seen[knee] - seen[hip], seen[ankle] - seen[knee], seen[toe] - seen[heel]
        straight = np.cross(_unit(foot), _unit(lower)) + 0.5 * root[:, 0]
        axis = _hinge(upper, lower, straight)
        bones = [rest[knee] - rest[hip], rest[ankle] - rest[knee]]
        turned[joint] = _turn((bones[0], np.array([1.0, 0, 0])), (upper, axis))
        turned[joint + 3] = _turn((bones[1], np.array([1.0, 0, 0])), (lower, axis))
        turned[joint + 6] = _turn((rest[toe] - rest[heel], np.array([0, 1.0, 0])), (foot, -lower))

    chains = {16: 13, 18: 16, 20: 18, 17: 14, 19: 17, 21: 19, 1: 0, 4: 1, 7: 4, 2: 0, 5: 2, 8: 5}
    for joint, parent in chains.items():
        relative = turned[parent].T @ turned[joint]
        pose[joint] = matrix_to_axis_angle(torch.from_numpy(relative)).numpy()
    # Hands are the least certain landmarks: half of what they say, the rest is up to the fit.
    pose[[20, 21]] *= 0.5
    return clamp_to_limits(torch.from_numpy(pose).float()[None])[0].numpy()
