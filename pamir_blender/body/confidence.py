"""How far each limb of a fitted body may be believed."""

from __future__ import annotations

import numpy as np
import torch

from ..camera import CROP_SIZE, crop_to_box
from ..contracts import Body, Landmarks
from .landmarks import LandmarkModel
from .model import BodyModel

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


def body_confidence(
    landmarks: Landmarks, model: BodyModel, landmark_model: LandmarkModel, body: Body
) -> dict[str, float]:
    """:func:`limb_confidence` of any body beside what the detector saw."""
    points = landmark_positions(model, landmark_model, body)
    picture = body.placement.body_to_box(points)[:, :2]
    residual = np.linalg.norm(picture - crop_to_box(landmarks.image), axis=1) / body.placement.scale
    about = points - points[23:25].mean(axis=0)
    seen = landmark_model.metres(landmarks)
    return limb_confidence(landmarks, residual, np.abs(about[:, 2] - seen[:, 2]))


def landmark_positions(model: BodyModel, landmark_model: LandmarkModel, body: Body) -> np.ndarray:
    """The 33 landmarks (33, 3) float64 on a posed body, metres in the body frame."""
    device = model.template.device
    with torch.no_grad():
        betas = torch.as_tensor(np.asarray(body.betas, np.float32))[None]
        pose = torch.as_tensor(np.asarray(body.pose, np.float32))[None]
        _, transforms = model.pose_joints(betas.to(device), pose.to(device))
        return landmark_model.positions(betas, transforms.cpu())[0].double().numpy()
