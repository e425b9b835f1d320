"""A body from a photo's landmarks and mask: analytic start, then robust least squares (SMPLify's idea)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ..camera import Placement
from ..contracts import Body, Photo
from ..errors import Cancelled
from .confidence import body_confidence, landmark_positions
from .inverse_kinematics import pose_from_world
from .landmarks import LandmarkModel, load_landmark_model
from .least_squares import minimise
from .model import BodyModel
from .objective import BETAS, PARAMETERS, POSE, SCALE, SHIFT, LandmarkEvidence, Objective, Weights
from .silhouette import prepare_silhouette
from .skinning import matrix_to_axis_angle, rodrigues

LANDMARK_STEPS = 40
MASK_STEPS = 25


def fit_body(
    photo: Photo,
    model: BodyModel,
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    seed: int = 0,
    landmarks: LandmarkModel | None = None,
    weights: Weights | None = None,
    prior: Body | None = None,
) -> Body:
    """Estimate betas, pose and placement of the person in ``photo``.

    The body's middle depth is put at box z = 0. Nothing is random: ``seed`` is there because every
    estimator takes one. ``landmarks`` saves loading the landmark file again. ``prior`` is another estimate of
    the same body, whose depth the fit takes into account.

    Raises:
        Cancelled: ``cancelled`` returned True between two steps.
        BodyModelError: the landmark file is missing.
    """
    landmarks = landmarks or load_landmark_model(model)
    weights = weights or Weights()
    known = None if prior is None else landmark_positions(model, landmarks, prior)
    evidence = LandmarkEvidence(photo.landmarks, landmarks, weights, known)
    start = torch.from_numpy(pose_from_world(evidence.start, model, landmarks))
    root = rodrigues(start[0].double()).numpy()
    total = LANDMARK_STEPS + MASK_STEPS

    def tick(step: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("The body was not finished.")
        if progress is not None:
            progress(step / total)

    free = Objective(model, landmarks, evidence, root, weights)
    found = minimise(_placed(free, start.numpy(), evidence), free.evaluate, LANDMARK_STEPS, tick)
    if (photo.crop_mask > 0.5).any():
        silhouette = prepare_silhouette(photo.crop_mask)
        masked = Objective(model, landmarks, evidence, root, weights, silhouette)
        found = minimise(found, masked.evaluate, MASK_STEPS, lambda step: tick(LANDMARK_STEPS + step))
    return _finish(photo, model, landmarks, free, found)


def _placed(objective: Objective, pose: np.ndarray, evidence: LandmarkEvidence) -> np.ndarray:
    """Parameters of the average shape in ``pose`` (24, 3), with the scale and shift that fit the picture."""
    x = np.zeros(PARAMETERS)
    x[POSE] = pose.ravel()
    x[:3] = 0  # the root starts as it is
    points = objective.points.positions(objective.posture(x), x[BETAS])[:, :2]
    share = evidence.image_share / evidence.image_share.sum()
    middle, seen_middle = share @ points, share @ evidence.image
    # The ratio of spreads, unlike a least-squares scale, does not shrink when single limbs are wrong.
    spread, seen = ((points - middle) ** 2).sum(axis=1), ((evidence.image - seen_middle) ** 2).sum(axis=1)
    scale = np.sqrt((share @ seen) / (share @ spread))
    x[SCALE] = np.log(scale)
    x[SHIFT] = seen_middle - scale * middle
    return x


def _finish(
    photo: Photo, model: BodyModel, landmarks: LandmarkModel, objective: Objective, x: np.ndarray
) -> Body:
    pose = torch.tensor(x[POSE].reshape(1, 24, 3))
    rotations = rodrigues(pose)
    rotations[0, 0] = rotations[0, 0] @ torch.from_numpy(objective.root)
    pose[0, 0] = matrix_to_axis_angle(rotations[0, 0])
    betas = torch.from_numpy(x[BETAS]).float()
    with torch.no_grad():
        device = model.template.device
        z = model(betas[None].to(device), rotations.float().to(device)).vertices[0, :, 2]
    scale = float(np.exp(x[SCALE]))
    body = Body(
        betas=betas.numpy(),
        pose=pose[0].numpy().astype(np.float32),
        placement=Placement(scale, (float(x[83]), float(x[84]), -scale * float(z.min() + z.max()) / 2)),
        model=model.name,
    )
    return replace(body, confidence=body_confidence(photo.landmarks, model, landmarks, body))
