"""Pose correctives: what linear blend skinning loses against dual-quaternion skinning."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pamir_blender.contracts import JOINT_PARENTS

from .dual_quaternions import blend_rigid

POSES = 700
RIDGE = 0.05

# Standard deviation, in radians about x, y, z, of the random poses each joint is fitted on.
_SPREAD = {
    1: (0.7, 0.35, 0.3), 2: (0.7, 0.35, 0.3), 3: (0.3, 0.25, 0.2), 4: (0.8, 0.1, 0.1), 5: (0.8, 0.1, 0.1),
    6: (0.25, 0.25, 0.2), 7: (0.35, 0.2, 0.2), 8: (0.35, 0.2, 0.2), 9: (0.2, 0.2, 0.15),
    10: (0.25, 0.05, 0.05), 11: (0.25, 0.05, 0.05), 12: (0.3, 0.35, 0.2), 13: (0.1, 0.15, 0.2),
    14: (0.1, 0.15, 0.2), 15: (0.25, 0.35, 0.2), 16: (0.5, 0.6, 0.7), 17: (0.5, 0.6, 0.7),
    18: (0.4, 0.9, 0.2), 19: (0.4, 0.9, 0.2), 20: (0.4, 0.3, 0.4), 21: (0.4, 0.3, 0.4),
    22: (0.1, 0.1, 0.4), 23: (0.1, 0.1, 0.4),
}  # fmt: skip


def random_poses(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 24, 3, 3) rotations; the elbow bends forward, the knee backward, arms mostly hang."""
    vectors = np.zeros((count, 24, 3))
    for joint, spread in _SPREAD.items():
        vectors[:, joint] = rng.normal(size=(count, 3)) * spread
    vectors[:, (4, 5), 0] = np.abs(vectors[:, (4, 5), 0])
    vectors[:, 18, 1], vectors[:, 19, 1] = -np.abs(vectors[:, 18, 1]), np.abs(vectors[:, 19, 1])
    vectors[:, 16, 2] -= 0.6
    vectors[:, 17, 2] += 0.6
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(count, 24, 3, 3)


def _world(rotations: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (P, 24, 3, 3) and shifts (P, 24, 3) from rest to posed space."""
    world, place = rotations.copy(), np.tile(joints, (len(rotations), 1, 1))
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent >= 0:
            offset = joints[joint] - joints[parent]
            place[:, joint] = place[:, parent] + world[:, parent] @ offset
            world[:, joint] = world[:, parent] @ rotations[:, joint]
    return world, place - np.einsum("pjab,jb->pja", world, joints)


def fit_correctives(
    template: np.ndarray, joints: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, float]]:
    """posedirs (V, 3, 207) by ridge regression on random poses, and residuals in millimetres.

    A joint's rotation only corrects vertices it moves, which keeps the matrix sparse.
    """

    def residuals(rotations: np.ndarray) -> np.ndarray:
        out = np.empty((len(rotations), len(template), 3), dtype=np.float32)
        world, shift = _world(rotations, joints)
        for index in range(len(rotations)):
            turn, move = blend_rigid(weights, world[index], shift[index])
            goal = turn.apply(template) + move
            blend = np.einsum("vj,jab->vab", weights, world[index])
            # Nearly singular blends (a bone turned by half a circle) have no meaningful rest offset.
            inverse = np.linalg.pinv(blend, rcond=0.2)
            out[index] = np.einsum("vab,vb->va", inverse, goal - weights @ shift[index]) - template
        return out

    rotations = random_poses(POSES + 60, rng)
    features = (rotations[:, 1:] - np.eye(3)).reshape(len(rotations), -1)
    offsets = residuals(rotations)
    train, test = slice(0, POSES), slice(POSES, None)
    posedirs = np.zeros((len(template), 3, 207))
    moved = weights[:, 1:] > 0.01
    patterns, member = np.unique(moved, axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        group = np.flatnonzero(member.ravel() == index)
        columns = np.flatnonzero(np.repeat(pattern, 9))
        if not len(columns) or (weights[group] > 0.01).sum(axis=1).max() < 2:
            continue
        x = features[train][:, columns]
        y = offsets[train][:, group].reshape(POSES, -1)
        gram = x.T @ x + RIDGE * POSES / 100 * np.eye(len(columns))
        solution = np.linalg.solve(gram, x.T @ y).reshape(len(columns), len(group), 3)
        posedirs[group[:, None, None], np.arange(3)[None, :, None], columns] = solution.transpose(1, 2, 0)
    predicted = np.einsum("pf,vcf->pvc", features[test], posedirs, optimize=True)
    before = np.linalg.norm(offsets[test], axis=2) * 1000
    after = np.linalg.norm(offsets[test] - predicted, axis=2) * 1000
    report = {
        "lbs_residual_mean_mm": before.mean(), "lbs_residual_p99_mm": np.percentile(before, 99),
        "corrected_mean_mm": after.mean(), "corrected_p99_mm": np.percentile(after, 99),
    }  # fmt: skip
    return posedirs, {key: float(value) for key, value in report.items()}
