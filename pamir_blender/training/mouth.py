"""The pocket of air behind an avatar's lips, which counts as full.

The training avatars have mouths behind their closed lips. Networks that were taught them left a pocket of air
in every head, and where the lips came out thin it broke through the surface as a pit below the nose. Nobody's
open mouth is modelled here, so the pocket is labelled as inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.transform import SimilarityTransform

_BEHIND_NOSE = np.array([0.0, -0.042, -0.071])
"""Metres from the tip of the nose to the pocket's middle, in the T-pose."""
_RADII = np.array([0.034, 0.036, 0.043])
_HEAD = 0.12  # metres about the head's middle whose skin tells where the head is
_MIDDLE = np.array([0.0, 0.0, -0.09])  # from the nose
_LEAST = 30  # vertices of a head


@dataclass(frozen=True)
class Mouth:
    """An ellipsoid about ``middle`` (3,); the rows of ``axes`` (3, 3) are lengths to radii."""

    middle: np.ndarray
    axes: np.ndarray

    def holds(self, points: np.ndarray) -> np.ndarray:
        """(N,) bool: which of ``points`` (N, 3) lie in the pocket."""
        return np.linalg.norm((points - self.middle) @ self.axes.T, axis=1) < 1.0


def find_mouth(template: np.ndarray, vertices: np.ndarray) -> Mouth | None:
    """The mouth of a body with T-pose ``template`` (V, 3) metres, posed as ``vertices`` (V, 3).

    None where the template has no head to speak of.
    """
    template = np.asarray(template, np.float64)
    upper = template[:, 1] > template[:, 1].max() - 0.25
    ahead = np.where(upper & (np.abs(template[:, 0]) < 0.03), template[:, 2], -np.inf)
    nose = template[ahead.argmax()]
    head = np.linalg.norm(template - nose - _MIDDLE, axis=1) < _HEAD
    if not np.isfinite(ahead.max()) or head.sum() < _LEAST:
        return None
    # The head moves rigidly; betas make it larger or smaller.
    pose = SimilarityTransform.from_estimate(template[head], np.asarray(vertices, np.float64)[head])
    if not pose:
        return None
    turn = pose.params[:3, :3]
    return Mouth(pose((nose + _BEHIND_NOSE)[None])[0], np.diag(1 / _RADII) @ np.linalg.inv(turn))
