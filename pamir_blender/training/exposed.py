"""What of a subject's surface is the outside of the person, and not skin under a skirt or a scalp under hair.

Subjects are soups of overlapping closed parts. Their buried surfaces bound nothing: occupancy is the same on
both sides. As samples they would teach hidden skin where a photo's other side shows cloth or hair, and as a
true mesh they would be asked of every reconstruction.
"""

from __future__ import annotations

import numpy as np

from .subjects import PosedSubject

MARGIN = 0.004
"""Metres outside the surface at which a point must be free; more than half the thickness of a hair card."""


def is_exposed(posed: PosedSubject, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) bool: whether surface ``points`` (N, 3) with outward unit ``normals`` have free space before them.

    Subject frame, metres.
    """
    return ~posed.is_inside((points + normals * MARGIN).astype(np.float32))


def exposed_faces(posed: PosedSubject) -> np.ndarray:
    """(F', 3) int32 those of the subject's faces whose middle is exposed; vertex numbers stay."""
    faces = posed.subject.faces
    a, b, c = (posed.vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return faces[is_exposed(posed, (a + b + c) / 3, normals)].astype(np.int32)
