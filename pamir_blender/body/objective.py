"""The terms a body has to please: the detector's landmarks, the mask, and what bodies and poses are like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..camera import crop_to_box
from ..contracts import Landmarks
from .landmarks import HEAD_LANDMARKS, LandmarkModel
from .model import BodyModel
from .pose_prior import limit_penalty, rest_penalty, standing_pose
from .silhouette import Silhouette, outside_distance, uncovered_distance
from .skinning import rodrigues

FEET = (29, 30, 31, 32)
HANDS = (17, 18, 19, 20, 21, 22)


@dataclass(frozen=True)
class Weights:
    """Strength of each term; lengths are metres on the body."""

    image_sigma: float = 0.012
    world_sigma: float = 0.05
    head: float = 1.5
    hands: float = 0.3
    feet: float = 0.7
    limits: float = 300.0
    rest: float = 0.25
    betas: float = 0.25
    outside: float = 60.0
    outside_sigma: float = 0.015
    uncovered: float = 12.0
    uncovered_reach: float = 0.03
    balance_sigma: float = 0.05
    tilt_sigma: float = 0.1


@dataclass
class Parameters:
    """What is searched, for B hypotheses at once; ``root`` (B, 3, 3) is the start that ``turn`` (B, 3) turns.

    ``pose`` (B, 23, 3) radians; ``betas`` (B, 10); ``log_scale`` (B,), box units per metre; ``shift`` (B, 2)
    box x, y; ``tilt`` (B,) radians by which the detector's metres lean towards the viewer as a whole.
    """

    root: Tensor
    turn: Tensor
    pose: Tensor
    betas: Tensor
    log_scale: Tensor
    shift: Tensor
    tilt: Tensor

    def rotations(self) -> Tensor:
        """(B, 24, 3, 3)."""
        root = rodrigues(self.turn) @ self.root
        return torch.cat([root[:, None], rodrigues(self.pose)], dim=1)

    def project(self, points: Tensor) -> Tensor:
        """Body points (B, N, 3) to box x, y (B, N, 2)."""
        return points[..., :2] * self.log_scale.exp()[:, None, None] + self.shift[:, None]


class LandmarkEvidence:
    """Observed landmarks with how far each is to be believed."""

    def __init__(self, landmarks: Landmarks, model: LandmarkModel, weights: Weights) -> None:
        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(np.asarray(values), dtype=torch.float32)

        self.image = tensor(crop_to_box(landmarks.image))
        self.world = tensor(landmarks.world)
        seen = tensor(np.clip(landmarks.visibility, 0, 1))
        spread = tensor(np.full(33, 0.03) if landmarks.spread is None else landmarks.spread)
        role = torch.ones(33)
        role[list(HEAD_LANDMARKS)] = weights.head
        role[list(HANDS)] = weights.hands
        role[list(FEET)] = weights.feet
        self.image_share = role * (0.03 + 0.97 * seen**2)
        self.image_sigma = torch.sqrt(weights.image_sigma**2 + model.spread**2 + (0.3 * spread) ** 2)
        self.world_share = role * (0.25 + 0.75 * seen)
        self.world_sigma = torch.sqrt(weights.world_sigma**2 + spread**2)


def _robust(squared: Tensor) -> Tensor:
    """Pseudo-Huber of squared, normalised residuals: quadratic near zero, linear far out."""
    return 2 * (torch.sqrt(1 + squared) - 1)


def landmark_cost(parameters: Parameters, points: Tensor, evidence: LandmarkEvidence) -> Tensor:
    """(B,): reprojection of the landmarks ``points`` (B, 33, 3) and their place about the hips in 3D."""
    scale = parameters.log_scale.exp().detach()[:, None, None]
    flat = (parameters.project(points) - evidence.image) / scale
    image = _robust((flat**2).sum(-1) / evidence.image_sigma**2)
    about = _lean(points - points[:, 23:25].mean(dim=1, keepdim=True), parameters.tilt)
    deep = _robust(((about - evidence.world) ** 2).sum(-1) / evidence.world_sigma**2)
    return (image * evidence.image_share).sum(-1) + (deep * evidence.world_share).sum(-1)


def _lean(points: Tensor, angle: Tensor) -> Tensor:
    """Points (B, N, 3) turned about the x axis by ``angle`` (B,), positive bending the head to the viewer."""
    x, y, z = points.unbind(-1)
    sine, cosine = torch.sin(angle)[:, None], torch.cos(angle)[:, None]
    return torch.stack([x, cosine * y - sine * z, cosine * z + sine * y], dim=-1)


def balance_cost(parameters: Parameters, points: Tensor, weights: Weights) -> Tensor:
    """(B,): how far from above its feet a standing body's middle is in depth, landmarks (B, 33, 3).

    The detector's errors in depth are mostly one lean of the whole body, which one picture cannot show;
    gravity can. The picture's vertical counts as upright. Seated and lying bodies, whose hips are low over
    their feet, are left alone.
    """
    ankles = points[:, 27:33]
    share = torch.softmax(-ankles[..., 1] / 0.05, dim=1)
    support = (share[..., None] * ankles).sum(dim=1)
    hips, chest = points[:, 23:25].mean(dim=1), points[:, 11:13].mean(dim=1)
    standing = torch.sigmoid((hips[:, 1] - support[:, 1] - 0.62) / 0.05).detach()
    ahead = (hips + chest)[:, 2] / 2 - support[:, 2]
    upright = standing * (ahead / weights.balance_sigma) ** 2
    return upright + (parameters.tilt / weights.tilt_sigma) ** 2


def prior_cost(parameters: Parameters, weights: Weights) -> Tensor:
    """(B,): joint limits, ease of the pose, and betas as normal variables."""
    pose = torch.cat([torch.zeros_like(parameters.pose[:, :1]), parameters.pose], dim=1)
    usual = standing_pose().to(pose)
    return (
        weights.limits * limit_penalty(pose)
        + weights.rest * rest_penalty(pose, usual)
        + weights.betas * (parameters.betas**2).sum(dim=1)
    )


def silhouette_cost(
    parameters: Parameters, vertices: Tensor, silhouette: Silhouette, weights: Weights
) -> Tensor:
    """(B,): body vertices (B, N, 3) outside the mask, and outline that no vertex is near.

    People wear clothes: leaving the mask is an error, not filling it only a hint.
    """
    scale = parameters.log_scale.exp().detach()[:, None]
    points = parameters.project(vertices)
    outside = torch.relu(outside_distance(silhouette, points)) / scale
    cost = weights.outside * _robust((outside / weights.outside_sigma) ** 2).mean(dim=1)
    if len(silhouette.contour):
        reach = weights.uncovered_reach
        gap = uncovered_distance(silhouette, points, reach * float(scale.mean())) / scale
        cost = cost + weights.uncovered * (gap / reach).mean(dim=1)
    return cost


def landmark_points(parameters: Parameters, model: BodyModel, landmarks: LandmarkModel) -> Tensor:
    """(B, 33, 3) body metres."""
    _, transforms = model.pose_joints(parameters.betas, parameters.rotations())
    return landmarks.positions(parameters.betas, transforms)
