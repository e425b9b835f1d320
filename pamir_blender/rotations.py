"""Single rotations, axis-angle and matrix. numpy only: Blender and the backend both use it."""

from __future__ import annotations

import numpy as np


def rotation_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula: (3,) radians to (3, 3)."""
    angle = float(np.linalg.norm(axis_angle))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = np.asarray(axis_angle, np.float64) / angle
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * skew + (1.0 - np.cos(angle)) * skew @ skew


def axis_angle(rotation: np.ndarray) -> np.ndarray:
    """The inverse of :func:`rotation_matrix`: (3, 3) to (3,) radians, at most pi long."""
    # By the quaternion's largest component (Shepperd 1978), which is exact enough at every angle.
    trace = np.trace(rotation)
    squares = np.array([1 + trace, *(1 + 2 * np.diag(rotation) - trace)])
    skew = np.array([rotation[j, i] - rotation[i, j] for i, j in ((1, 2), (2, 0), (0, 1))])
    table = np.empty((4, 4))
    table[0, 0], table[0, 1:], table[1:, 0] = squares[0], skew, skew
    table[1:, 1:] = rotation + rotation.T
    table[[1, 2, 3], [1, 2, 3]] = squares[1:]
    quaternion = table[int(squares.argmax())]
    quaternion = quaternion / np.linalg.norm(quaternion)
    if quaternion[0] < 0:
        quaternion = -quaternion
    sine = float(np.linalg.norm(quaternion[1:]))
    if sine < 1e-12:
        return 2.0 * quaternion[1:]
    return quaternion[1:] * (2.0 * np.arctan2(sine, quaternion[0]) / sine)
