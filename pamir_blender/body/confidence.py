"""How far each limb of a fitted body may be believed."""

from __future__ import annotations

import numpy as np

from ..camera import CROP_SIZE
from ..contracts import Landmarks

_LIMB_LANDMARKS: dict[str, tuple[int, ...]] = {
    "torso": (11, 12, 23, 24),
    "head": (0, 2, 5, 7, 8),
    "left_arm": (13, 15),
    "right_arm": (14, 16),
    "left_leg": (25, 27, 31),
    "right_leg": (26, 28, 32),
}


def limb_confidence(
    landmarks: Landmarks, residual: np.ndarray, depth_residual: np.ndarray
) -> dict[str, float]:
    """Confidence in [0, 1] per limb.

    The product of what the detector saw (visibility, inside the crop), how well its views of the person
    agree, and how close the body came: ``residual`` (33,) metres on the picture and ``depth_residual``
    (33,) metres towards the viewer.
    """
    inside = ((landmarks.image > 0) & (landmarks.image < CROP_SIZE)).all(axis=1)
    seen = np.where(inside, np.clip(landmarks.visibility, 0, 1), 0.0)
    spread = np.zeros(33) if landmarks.spread is None else landmarks.spread
    agree = np.exp(-((np.maximum(spread - 0.02, 0) / 0.12) ** 2))
    near = np.exp(-((residual / 0.08) ** 2)) * np.exp(-((depth_residual / 0.25) ** 2))
    score = seen * agree * near
    return {limb: float(score[list(points)].mean()) for limb, points in _LIMB_LANDMARKS.items()}
