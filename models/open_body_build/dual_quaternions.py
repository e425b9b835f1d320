"""Blending rigid motions as dual quaternions (Kavan et al. 2007)."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pamir_blender.contracts import JOINT_PARENTS


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of quaternions (..., 4), real part last."""
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector = aw * bv + bw * av + np.cross(av, bv)
    return np.concatenate([vector, aw * bw - (av * bv).sum(-1, keepdims=True)], axis=-1)


def blend_rigid(
    weights: np.ndarray, rotations: np.ndarray, shifts: np.ndarray
) -> tuple[Rotation, np.ndarray]:
    """One rigid motion per vertex: V rotations and (V, 3) shifts.

    ``weights`` (V, 24); ``rotations`` (24, 3, 3) and ``shifts`` (24, 3) of the joints, SMPL's tree.
    """
    real = Rotation.from_matrix(rotations).as_quat()
    for joint, parent in enumerate(JOINT_PARENTS):  # neighbours on the same half of the sphere
        if parent >= 0 and real[joint] @ real[parent] < 0:
            real[joint] *= -1
    dual = 0.5 * _product(np.concatenate([shifts, np.zeros((24, 1))], axis=1), real)
    blend, blend_dual = weights @ real, weights @ dual
    norm = np.linalg.norm(blend, axis=1, keepdims=True)
    blend, blend_dual = blend / norm, blend_dual / norm
    return Rotation.from_quat(blend), 2 * _product(blend_dual, blend * [-1, -1, -1, 1])[:, :3]
