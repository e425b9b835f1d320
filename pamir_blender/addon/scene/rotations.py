"""Axis-angle vectors and rotation matrices in float64; numpy only."""

from __future__ import annotations

import numpy as np

BLENDER_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""The rotation of :func:`pamir_blender.camera.character_to_blender`, for turning rotations: B = C A C^T."""


def axis_angle_to_matrix(vectors: np.ndarray) -> np.ndarray:
    """Axis-angle (N, 3) radians to rotation matrices (N, 3, 3), by Rodrigues' formula."""
    vectors = np.asarray(vectors, np.float64)
    angle = np.linalg.norm(vectors, axis=-1)[:, None, None]
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)
    safe = np.maximum(angle, 1e-12)
    # sin(a)/a and (1 - cos a)/a^2, the latter in its half-angle form, which does not cancel for small angles.
    first = np.where(angle > 1e-12, np.sin(safe) / safe, 1.0)
    second = np.where(angle > 1e-12, 0.5 * (np.sin(safe / 2) / (safe / 2)) ** 2, 0.5)
    return np.eye(3) + first * cross + second * (cross @ cross)


def nearest_rotation(matrices: np.ndarray) -> np.ndarray:
    """Matrices (N, 3, 3) to the nearest proper rotations (N, 3, 3); scale and shear are dropped."""
    u, _, vt = np.linalg.svd(matrices)
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def matrix_to_axis_angle(matrices: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 3, 3) to axis-angle (N, 3) with angles in [0, pi], stable near 0 and pi."""
    m = np.asarray(matrices, np.float64)
    # Shepperd's method: of the four candidate quaternions, (w, x, y, z) each scaled by 4 times one
    # component, take the one whose own component is largest.
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    w = np.stack([1 + xx + yy + zz, wx, wy, wz], axis=-1)
    x = np.stack([wx, 1 + xx - yy - zz, xy, xz], axis=-1)
    y = np.stack([wy, xy, 1 - xx + yy - zz, yz], axis=-1)
    z = np.stack([wz, xz, yz, 1 - xx - yy + zz], axis=-1)
    candidates = np.stack([w, x, y, z], axis=1)
    best = np.argmax(np.einsum("nii->ni", candidates), axis=1)
    quaternion = candidates[np.arange(len(m)), best]
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    quaternion = np.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[:, 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[:, :1])
    factor = np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)
    return quaternion[:, 1:] * factor
