"""Fewer triangles, the same shape, still closed."""

from __future__ import annotations

import fast_simplification
import numpy as np

from .mesh import is_closed

_AGGRESSIVENESS = (4.0, 2.0, 1.0)  # of the quadric collapse: the gentler, the fewer edges it breaks


def decimate(vertices: np.ndarray, faces: np.ndarray, target_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """About ``target_faces`` triangles by quadric edge collapse: (V, 3) float32, (F, 3) int32.

    A mesh that is small enough comes back as it is. A closed mesh stays closed: should every attempt tear it,
    the original comes back, since a finer mesh does less harm than a torn one.
    """
    vertices, faces = vertices.astype(np.float32), faces.astype(np.int32)
    if len(faces) <= target_faces:
        return vertices, faces
    closed = is_closed(faces)
    for aggressiveness in _AGGRESSIVENESS:
        small, small_faces = fast_simplification.simplify(
            vertices, faces, target_count=target_faces, agg=aggressiveness
        )
        if not closed or is_closed(small_faces):
            return small.astype(np.float32), small_faces.astype(np.int32)
    return vertices, faces
