"""Comparing a body with a person's mask: inside it, and filling it as far as clothes allow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import CROP_SIZE, crop_to_box
from .model import BodyModel

CONTOUR_POINTS = 300


@dataclass(frozen=True)
class Silhouette:
    """A mask made ready for gradients.

    ``distance`` (1, 1, S, S) box units: positive outside the mask, negative inside, zero at its outline;
    ``contour`` (C, 2) box x, y of points spread evenly along the outline. Where the mask touches the crop's
    border the person goes on outside the photo, so these points are left out.
    """

    distance: Tensor
    contour: Tensor


def prepare_silhouette(mask: np.ndarray) -> Silhouette:
    """``mask`` (512, 512) float32 in [0, 1] in crop pixels."""
    inside = (mask > 0.5).astype(np.uint8)
    outer = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    inner = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    distance = (outer - inner) / CROP_SIZE
    outlines, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    points = [outline[:, 0, :] for outline in outlines if len(outline) >= 20]
    contour = np.concatenate(points).astype(np.float64) if points else np.zeros((0, 2))
    clear = ((contour > 2) & (contour < CROP_SIZE - 3)).all(axis=1)
    contour = contour[clear]
    contour = contour[np.linspace(0, len(contour) - 1, min(len(contour), CONTOUR_POINTS)).astype(int)]
    return Silhouette(
        torch.from_numpy(distance.astype(np.float32))[None, None],
        torch.from_numpy(crop_to_box(contour + 0.5).astype(np.float32)),
    )


def outside_distance(silhouette: Silhouette, points: Tensor) -> Tensor:
    """(B, N) box units by which box points (B, N, 2) lie outside the mask; negative inside."""
    grid = torch.stack([2 * points[..., 0], -2 * points[..., 1]], dim=-1)
    count = points.shape[0]
    sampled = F.grid_sample(
        silhouette.distance.expand(count, -1, -1, -1),
        grid[:, None],
        align_corners=False,
        padding_mode="border",
    )
    return sampled[:, 0, 0]


def uncovered_distance(silhouette: Silhouette, points: Tensor, reach: float) -> Tensor:
    """(B, C) box units from each outline point to the nearest box point (B, N, 2), saturating at ``reach``.

    Saturation (Geman and McClure's function, scaled) lets clothes and hair stand off the body.
    """
    squared = torch.cdist(silhouette.contour.expand(points.shape[0], -1, -1), points).amin(dim=2) ** 2
    return reach * torch.sqrt(squared / (squared + reach**2) + 1e-8)


def spread_vertices(model: BodyModel, count: int) -> Tensor:
    """Indices of about ``count`` vertices spread evenly over the template, always the same ones.

    The template is cut into cubes small enough that this many hold a vertex; each gives its first.
    """
    template = model.template.numpy()
    low, high = 0.005, 0.3
    for _ in range(20):
        size = (low * high) ** 0.5
        cells = np.unique(np.floor(template / size).astype(np.int64), axis=0, return_index=True)[1]
        low, high = (low, size) if len(cells) < count else (size, high)
    return torch.from_numpy(np.sort(cells))


def subset(model: BodyModel, indices: Tensor) -> BodyModel:
    """A body model of some vertices only, with the same joints; it has no faces."""
    part = BodyModel(
        model.name, model.template[indices], model.faces[:0], model.shapedirs[indices],
        model.posedirs[indices], model.joint_regressor[:, indices], model.skinning_weights[indices],
    )  # fmt: skip
    part.joint_template, part.joint_shapedirs = model.joint_template, model.joint_shapedirs
    return part


def rasterise(vertices: np.ndarray, faces: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """(size, size) bool: the silhouette of a box-frame mesh, vertices (V, 3), faces (F, 3)."""
    pixels = np.stack([(vertices[:, 0] + 0.5) * size, (0.5 - vertices[:, 1]) * size], axis=1) - 0.5
    triangles = np.round(pixels[faces] * 16).astype(np.int32)
    image = np.zeros((size, size), np.uint8)
    for triangle in triangles:
        cv2.fillConvexPoly(image, triangle, 1, lineType=cv2.LINE_8, shift=4)
    return image.astype(bool)


def silhouette_iou(vertices: np.ndarray, faces: np.ndarray, mask: np.ndarray) -> float:
    """Overlap of a box-frame mesh's silhouette with a mask (S, S)."""
    drawn, wanted = rasterise(vertices, faces, mask.shape[0]), mask > 0.5
    union = np.logical_or(drawn, wanted).sum()
    return float(np.logical_and(drawn, wanted).sum() / union) if union else 0.0
