"""All measures of one reconstruction against its case, as plain numbers."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from skimage.transform import SimilarityTransform

from ...body.model import BodyModel
from ...camera import box_to_crop
from ...rasterise import fragments, nearest
from ..metrics import Mesh, surface_scores
from .case import Case

PELVIS = 0
_DEPTH_SIZE = 192


def regressed_joints(model: BodyModel, vertices: np.ndarray) -> np.ndarray:
    """(24, 3) joints of a posed body's vertices (V, 3), by the model's joint regressor, in their frame."""
    return model.joint_regressor.numpy().astype(np.float64) @ np.asarray(vertices, np.float64)


def joint_error(found: np.ndarray, truth: np.ndarray, scale: float, *, depth_free: bool = False) -> float:
    """MPJPE in centimetres: the mean distance of joints (24, 3) box over those whose truth is known.

    Nothing is aligned, but that with ``depth_free`` both pelvises are put at the same depth; where the
    true pelvis is unknown, the mean depth of the known joints is used.
    """
    known = np.isfinite(truth).all(axis=1)
    if not known.any():
        return float("nan")
    difference = (found - truth)[known]
    if depth_free:
        shift = (found - truth)[PELVIS, 2] if known[PELVIS] else difference[:, 2].mean()
        difference = difference - [0, 0, shift]
    return float(np.linalg.norm(difference, axis=1).mean() / scale * 100.0)


def aligned_error(found: np.ndarray, truth: np.ndarray) -> float:
    """The mean distance of joints (N, 3) after the best similarity transform (Umeyama), in their unit."""
    transform = SimilarityTransform.from_estimate(found, truth)
    return float(np.linalg.norm(transform(found) - truth, axis=1).mean())


def front_depth(mesh: Mesh, size: int = _DEPTH_SIZE) -> np.ndarray:
    """(size, size) float32 depth z of what the viewer sees of a mesh in the box, -inf for nothing."""
    vertices, faces = mesh
    corners = (box_to_crop(vertices) * (size / box_to_crop(np.array([0.5, 0.0]))[0]))[faces]
    pieces = fragments(corners, (size, size))
    depth = pieces.interpolate(np.asarray(vertices, np.float32)[faces][:, :, 2:])[:, 0]
    return nearest(pieces, depth, (size, size))[1]


def depth_offset(predicted: Mesh, truth: Mesh) -> float:
    """How far in z ``predicted`` must move so that half of what both show lies before the truth.

    0 where they share no pixel. Under weak perspective no picture says how deep a person stands.
    """
    first, second = front_depth(predicted), front_depth(truth)
    both = np.isfinite(first) & np.isfinite(second)
    return float(np.median(second[both] - first[both])) if both.any() else 0.0


def scores_of(
    case: Case,
    mesh: Mesh,
    body_vertices: np.ndarray | None,
    model: BodyModel,
    *,
    samples: int = 10_000,
    seed: int = 0,
) -> dict[str, float | None]:
    """Every measure of ``mesh``; ``body_vertices`` (V, 3) of the body it was made with, None without one.

    Keys: those of :class:`~pamir_blender.training.metrics.SurfaceScores`, ``mpjpe`` in centimetres (None
    where no true joint is known) and ``depth_shift`` in centimetres. A measure that is no number is None.
    """
    offset = depth_offset(mesh, case.truth) if case.depth_free else 0.0
    moved = (mesh[0] + np.array([0, 0, offset], mesh[0].dtype), mesh[1])
    found: dict[str, float | None] = dict(
        asdict(surface_scores(moved, case.truth, case.scale, samples=samples, seed=seed))
    )
    found["mpjpe"] = None
    if case.true_joints is not None and body_vertices is not None:
        joints = regressed_joints(model, body_vertices)
        found["mpjpe"] = joint_error(joints, case.true_joints, case.scale, depth_free=case.depth_free)
    found["depth_shift"] = offset / case.scale * 100.0
    return {key: value if value is not None and np.isfinite(value) else None for key, value in found.items()}
