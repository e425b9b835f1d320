"""Comparing a body with a person's mask: inside it, and filling it as far as clothes allow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..camera import CROP_SIZE, crop_to_box
from .model import BodyModel

CONTOUR_POINTS = 300


@dataclass(frozen=True)
class Silhouette:
    """A mask made ready for fitting.

    ``distance`` (S, S) box units: positive outside the mask, negative inside, zero at its outline;
    ``slope`` (S, S, 2) its derivative by box x and y; ``contour`` (C, 2) box x, y of points spread evenly
    along the outline. Where the mask touches the crop's border the person goes on outside the photo, so
    these points are left out.
    """

    distance: np.ndarray
    slope: np.ndarray
    contour: np.ndarray

    def sample(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance (N,) and slope (N, 2) at box points (N, 2), bilinear; beyond the crop the border's."""
        size = self.distance.shape[0]
        u = ((points[:, 0] + 0.5) * size - 0.5).astype(np.float32)
        v = ((0.5 - points[:, 1]) * size - 0.5).astype(np.float32)
        options = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
        distance = cv2.remap(self.distance, u[:, None], v[:, None], **options)[:, 0]
        slope = cv2.remap(self.slope, u[:, None], v[:, None], **options)[:, 0]
        return distance.astype(np.float64), slope.astype(np.float64)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Index (C,) of the box point (N, 2) nearest to each outline point, and their distance (C,)."""
        distance, index = cKDTree(points).query(self.contour) if len(self.contour) else (np.zeros(0),) * 2
        return index.astype(np.int64), distance


def prepare_silhouette(mask: np.ndarray) -> Silhouette:
    """``mask`` (512, 512) float32 in [0, 1] in crop pixels."""
    inside = (mask > 0.5).astype(np.uint8)
    outer = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    inner = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    distance = ((outer - inner) / CROP_SIZE).astype(np.float32)
    down, right = np.gradient(cv2.GaussianBlur(distance, (0, 0), 1.5), 1 / CROP_SIZE)
    slope = np.stack([right, -down], axis=-1).astype(np.float32)
    outlines, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    points = [outline[:, 0, :] for outline in outlines if len(outline) >= 20]
    contour = np.concatenate(points).astype(np.float64) if points else np.zeros((0, 2))
    clear = ((contour > 2) & (contour < CROP_SIZE - 3)).all(axis=1)
    contour = contour[clear]
    contour = contour[np.linspace(0, len(contour) - 1, min(len(contour), CONTOUR_POINTS)).astype(int)]
    return Silhouette(distance, slope, crop_to_box(contour + 0.5))


def spread_vertices(model: BodyModel, count: int) -> Tensor:
    """Indices of about ``count`` vertices spread evenly over the template, always the same ones.

    The template is cut into cubes small enough that this many hold a vertex; each gives its first.
    """
    template = model.template.cpu().numpy()
    low, high = 0.01, 0.2
    for _ in range(7):
        size = (low * high) ** 0.5
        cells = np.unique(np.floor(template / size).astype(np.int64), axis=0, return_index=True)[1]
        low, high = (low, size) if len(cells) < count else (size, high)
    return torch.from_numpy(np.sort(cells))


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
