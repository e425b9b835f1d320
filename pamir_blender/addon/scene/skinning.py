"""Linear blend skinning and its inverse in numpy (Loper et al. 2015, eqs. 2-4).

Points and joints are in SMPL's rest frame, metres; ``character = skin(rest) + body_offset``.
"""

from __future__ import annotations

import numpy as np

from ...contracts import JOINT_PARENTS
from .read_result import SkinWeights
from .rotations import axis_angle_to_matrix


def joint_transforms(pose: np.ndarray, joints_rest: np.ndarray) -> np.ndarray:
    """(24, 4, 4) from rest to posed space for ``pose`` (24, 3) and ``joints_rest`` (24, 3)."""
    turned = axis_angle_to_matrix(pose)
    world = np.tile(np.eye(4), (24, 1, 1))
    for joint, parent in enumerate(JOINT_PARENTS):
        local = np.eye(4)
        local[:3, :3] = turned[joint]
        local[:3, 3] = joints_rest[joint] - (joints_rest[parent] if parent >= 0 else 0.0)
        world[joint] = local if parent < 0 else world[parent] @ local
    world[:, :3, 3] -= np.einsum("nij,nj->ni", world[:, :3, :3], joints_rest)
    return world


def skin(points: np.ndarray, weights: SkinWeights, transforms: np.ndarray) -> np.ndarray:
    """Rest points (V, 3) to posed points (V, 3)."""
    blended = _blend(weights, transforms)
    return np.einsum("vij,vj->vi", blended[:, :, :3], points) + blended[:, :, 3]


def unskin(points: np.ndarray, weights: SkinWeights, transforms: np.ndarray) -> np.ndarray:
    """The rest points (V, 3) that :func:`skin` takes to ``points`` (V, 3)."""
    blended = _blend(weights, transforms)
    return np.linalg.solve(blended[:, :, :3], (points - blended[:, :, 3])[..., None])[..., 0]


def _blend(weights: SkinWeights, transforms: np.ndarray) -> np.ndarray:
    """(V, 3, 4): each vertex's weighted transform."""
    values = weights.values / weights.values.sum(axis=1, keepdims=True)
    return np.einsum("vk,vkij->vij", values, transforms[weights.joints, :3])
