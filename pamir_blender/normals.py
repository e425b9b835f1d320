"""Normals of triangle meshes; faces are counter-clockwise from outside."""

from __future__ import annotations

import numpy as np


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) float64 normals of length twice the face's area, outward for counter-clockwise faces."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 area-weighted unit normals; (0, 0, 1) for vertices without a face."""
    by_face = face_normals(vertices, faces)
    normals = np.empty((len(vertices), 3))
    for axis in range(3):
        share = np.repeat(by_face[:, axis], 3)
        normals[:, axis] = np.bincount(faces.ravel(), share, len(vertices))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals[length[:, 0] < 1e-30] = (0.0, 0.0, 1.0)
    return (normals / np.where(length < 1e-30, 1.0, length)).astype(np.float32)
