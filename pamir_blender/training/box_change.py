"""From the box of a whole picture to the box of the crop that the photo front end cuts from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import CROP_SIZE, CropWindow, box_to_crop, crop_to_box
from .metrics import Mesh


@dataclass(frozen=True)
class BoxChange:
    """A similarity between two boxes; depth grows with the picture, and its zero stays.

    ``window`` the crop's place in a picture of ``side`` pixels that shows the first box exactly.
    """

    window: CropWindow
    side: int

    @property
    def factor(self) -> float:
        """Second box's units per first box's unit."""
        return self.window.scale * self.side / CROP_SIZE

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the first box in the second."""
        points = np.asarray(points)
        pixels = box_to_crop(points) * (self.side / CROP_SIZE)
        plane = crop_to_box(self.window.photo_to_crop(pixels))
        return np.concatenate([plane, points[..., 2:] * self.factor], axis=-1).astype(points.dtype)

    def points_back(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the second box in the first."""
        points = np.asarray(points)
        return ((points - self.points(np.zeros(3))) / self.factor).astype(points.dtype)

    def mesh(self, mesh: Mesh) -> Mesh:
        """A mesh of the first box in the second."""
        return self.points(mesh[0]), mesh[1]
