"""A body from a photo's landmarks and mask: analytic start, then gradient descent (SMPLify's idea)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..camera import Placement, crop_to_box
from ..contracts import Body, Photo
from ..errors import Cancelled
from .confidence import limb_confidence
from .inverse_kinematics import pose_from_world
from .landmarks import LandmarkModel, load_landmark_model
from .model import BodyModel
from .objective import (
    LandmarkEvidence,
    Parameters,
    Weights,
    balance_cost,
    landmark_cost,
    landmark_points,
    prior_cost,
    silhouette_cost,
)
from .silhouette import prepare_silhouette, spread_vertices, subset
from .skinning import matrix_to_axis_angle, rodrigues

LANDMARK_STEPS = 120
MASK_STEPS = 60
MASK_VERTICES = 1200
_RATES = {"turn": 0.02, "pose": 0.03, "betas": 0.08, "log_scale": 0.01, "shift": 0.005, "tilt": 0.01}


def fit_body(
    photo: Photo,
    model: BodyModel,
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    seed: int = 0,
    landmarks: LandmarkModel | None = None,
    weights: Weights | None = None,
) -> Body:
    """Estimate betas, pose and placement of the person in ``photo``.

    The body's middle depth is put at box z = 0. Nothing is random: ``seed`` is there because every
    estimator takes one. ``landmarks`` saves loading the landmark file again.

    Raises:
        Cancelled: ``cancelled`` returned True between two steps.
        BodyModelError: the landmark file is missing.
    """
    landmarks = landmarks or load_landmark_model(model)
    weights = weights or Weights()
    evidence = LandmarkEvidence(photo.landmarks, landmarks, weights)
    parameters = _start(photo, model, landmarks, evidence)
    silhouette = prepare_silhouette(photo.crop_mask)
    skin = subset(model, spread_vertices(model, MASK_VERTICES))
    total = LANDMARK_STEPS + MASK_STEPS

    def landmarks_only() -> Tensor:
        points = landmark_points(parameters, model, landmarks)
        return (
            landmark_cost(parameters, points, evidence)
            + balance_cost(parameters, points, weights)
            + prior_cost(parameters, weights)
        )

    def with_mask() -> Tensor:
        rotations = parameters.rotations()
        body = skin(parameters.betas, rotations)
        points = landmarks.positions(parameters.betas, body.transforms)
        return (
            landmark_cost(parameters, points, evidence)
            + balance_cost(parameters, points, weights)
            + prior_cost(parameters, weights)
            + silhouette_cost(parameters, body.vertices, silhouette, weights)
        )

    def tick(step: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("The body was not finished.")
        if progress is not None:
            progress(step / total)

    _descend(parameters, landmarks_only, LANDMARK_STEPS, 1.0, tick, 0)
    _descend(parameters, with_mask, MASK_STEPS, 0.5, tick, LANDMARK_STEPS)
    return _finish(photo, model, landmarks, parameters)


def _start(
    photo: Photo, model: BodyModel, landmarks: LandmarkModel, evidence: LandmarkEvidence
) -> Parameters:
    """Average shape, analytic pose, and the scale and shift that match it to the picture best."""
    pose = torch.from_numpy(pose_from_world(photo.landmarks.world, model, landmarks)).float()[None]
    parameters = Parameters(
        rodrigues(pose[:, 0]), torch.zeros(1, 3), pose[:, 1:].clone(), torch.zeros(1, 10), torch.zeros(1),
        torch.zeros(1, 2), torch.zeros(1),
    )  # fmt: skip
    with torch.no_grad():
        points = landmark_points(parameters, model, landmarks)[0, :, :2]
    share = evidence.image_share / evidence.image_share.sum()
    middle, seen_middle = share @ points, share @ evidence.image
    flat, seen = points - middle, evidence.image - seen_middle
    # The ratio of spreads, unlike a least-squares scale, does not shrink when single limbs are wrong.
    scale = torch.sqrt((share @ (seen**2)).sum() / (share @ (flat**2)).sum())
    parameters.log_scale = scale.log()[None]
    parameters.shift = (seen_middle - scale * middle)[None]
    return parameters


def _descend(
    parameters: Parameters,
    cost: Callable[[], Tensor],
    steps: int,
    rate: float,
    tick: Callable[[int], None],
    done: int,
) -> None:
    """Adam with a cosine-shaped rate on all of ``parameters``, in place."""
    groups = []
    for name, step in _RATES.items():
        value = getattr(parameters, name).detach().requires_grad_(True)
        setattr(parameters, name, value)
        groups.append({"params": [value], "lr": step * rate, "full": step * rate})
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.98))
    for step in range(steps):
        if step % 5 == 0:
            tick(done + step)
        for group in optimiser.param_groups:
            group["lr"] = group["full"] * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        optimiser.zero_grad()
        cost().sum().backward()
        optimiser.step()
    for name in _RATES:
        setattr(parameters, name, getattr(parameters, name).detach())


def _finish(photo: Photo, model: BodyModel, landmarks: LandmarkModel, parameters: Parameters) -> Body:
    with torch.no_grad():
        rotations = parameters.rotations()
        body = model(parameters.betas, rotations)
        points = landmarks.positions(parameters.betas, body.transforms)
        projected = parameters.project(points)[0].numpy()
    scale = float(parameters.log_scale.exp())
    z = body.vertices[0, :, 2]
    depth = -scale * float(z.min() + z.max()) / 2
    shift = parameters.shift[0].tolist()
    residual = np.linalg.norm(projected - crop_to_box(photo.landmarks.image), axis=1) / scale
    about = points[0] - points[0, 23:25].mean(dim=0)
    deep = np.abs((about.numpy() - photo.landmarks.world)[:, 2])
    return Body(
        betas=parameters.betas[0].numpy().astype(np.float32),
        pose=matrix_to_axis_angle(rotations)[0].numpy().astype(np.float32),
        placement=Placement(scale, (float(shift[0]), float(shift[1]), depth)),
        model=model.name,
        confidence=limb_confidence(photo.landmarks, residual, deep),
    )
