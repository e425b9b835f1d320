"""Rotated square regions of a photo: where a person stands, and their pixels for a network."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MARGIN = 1.25
"""The landmark network was trained on squares this much larger than the circle around the body."""


@dataclass(frozen=True)
class Region:
    """A square of ``size`` photo pixels about ``centre`` (u, v).

    It is turned clockwise in the image by ``angle`` radians.
    """

    centre: tuple[float, float]
    size: float
    angle: float = 0.0

    def to_photo(self, side: int) -> np.ndarray:
        """(2, 3) affine map from pixels of a ``side`` x ``side`` picture of the region to photo pixels."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        linear = np.array([[cos, -sin], [sin, cos]]) * (self.size / side)
        offset = np.asarray(self.centre) - linear @ [side / 2, side / 2]
        return np.column_stack([linear, offset])

    def from_photo(self, side: int) -> np.ndarray:
        """(2, 3) affine map from photo pixels to pixels of the ``side`` x ``side`` picture."""
        return cv2.invertAffineTransform(self.to_photo(side))

    def scaled(self, factor: float) -> Region:
        """The same region in a copy of the photo enlarged by ``factor``."""
        centre = (self.centre[0] * factor, self.centre[1] * factor)
        return Region(centre, self.size * factor, self.angle)

    def corners(self) -> np.ndarray:
        """(4, 2) photo pixels."""
        return apply(self.to_photo(1), np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float))


def person_region(hips: np.ndarray, reach: np.ndarray, margin: float = MARGIN) -> Region:
    """The region of a person from two alignment points (2,) in photo pixels.

    ``hips`` is the middle of the hips; ``reach`` lies on the circle around the whole body, above the head
    along the body's axis. BlazePose (Bazarevsky et al. 2020, section 2.2) turns the body upright by them.
    """
    axis = np.asarray(reach, float) - hips
    angle = np.arctan2(axis[0], -axis[1])
    return Region((float(hips[0]), float(hips[1])), float(2 * margin * np.hypot(*axis)), float(angle))


def apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map ``points`` (..., 2) by a (2, 3) affine matrix."""
    return points @ affine[:, :2].T + affine[:, 2]


def shift_centres(affine: np.ndarray) -> np.ndarray:
    """The same map for OpenCV, which puts pixel (0, 0)'s centre at (0, 0) instead of (0.5, 0.5)."""
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ [0.5, 0.5] - 0.5
    return shifted


def shrink(image: np.ndarray, scale: float) -> np.ndarray:
    """``image`` (H, W, ...) averaged down to ``scale`` of its size; itself if ``scale`` is 1 or more."""
    if scale >= 1:
        return image
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def sample_region(
    image: np.ndarray, region: Region, side: int, border: int = cv2.BORDER_REPLICATE
) -> np.ndarray:
    """The region's pixels (side, side, C) of ``image`` (H, W, C) uint8, averaged where it is shrunk."""
    height, width = image.shape[:2]
    corners = region.corners()
    low = np.clip(np.floor(corners.min(0)).astype(int) - 2, 0, [width - 1, height - 1])
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 2, low + 1, [width, height])
    patch = image[low[1] : high[1], low[0] : high[0]]
    forward = region.from_photo(side)
    forward[:, 2] += forward[:, :2] @ low  # now from the patch's pixels
    shrink = region.size / side
    if shrink > 1.5:  # bilinear sampling alone would skip pixels
        small = np.maximum(np.round(np.array(patch.shape[1::-1]) / shrink), 1).astype(int)
        factors = np.array(patch.shape[1::-1]) / small
        patch = cv2.resize(patch, tuple(int(s) for s in small), interpolation=cv2.INTER_AREA)
        forward[:, :2] *= factors
    return cv2.warpAffine(
        patch, shift_centres(forward), (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=0
    )
