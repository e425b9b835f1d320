"""A mouth is not a hole: the field filled behind the lips.

The training avatars have mouths behind their closed lips, and the networks learned them: a pocket of air in
every head. Where the lips came out thin it broke through the surface, as a pit below the nose. Nobody's open
mouth is modelled here, so the pocket is filled, a few millimetres inside the skin.
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.transform import SimilarityTransform
from torch import Tensor

from .field import Query

_BEHIND_NOSE = np.array([0.0, -0.042, -0.071])
"""Metres from the tip of the nose to the pocket's middle, in the T-pose."""
_RADII = np.array([0.034, 0.036, 0.043])
_HEAD = 0.12  # metres about the head's middle whose skin tells where the head is
_MIDDLE = np.array([0.0, 0.0, -0.09])  # from the nose
_LEAST = 30  # vertices of a head


class Mouth:
    """The pocket in the box: an ellipsoid. ``middle`` (3,) and ``axes`` (3, 3), rows box units to radii."""

    def __init__(self, middle: np.ndarray, axes: np.ndarray) -> None:
        self.middle = torch.from_numpy(np.asarray(middle, np.float32))
        self.axes = torch.from_numpy(np.asarray(axes, np.float32))

    def over(self, query: Query) -> Query:
        """The field of ``query`` with the pocket filled."""
        return lambda points: torch.maximum(query(points), self.occupancy(points))

    def occupancy(self, points: Tensor) -> Tensor:
        """(N,) of the pocket alone at box points (N, 3), one half at its border."""
        local = (points - self.middle.to(points)) @ self.axes.to(points).T
        return torch.sigmoid(20.0 * (1.0 - local.norm(dim=1)))


def find_mouth(template: np.ndarray, vertices: np.ndarray) -> Mouth | None:
    """The mouth of a body with T-pose ``template`` (V, 3) metres, posed as ``vertices`` (V, 3) in the box.

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
