"""Every conversion between the five frames of this project. No sign is flipped anywhere else.

==============  ===========================================================================
photo           pixels of the upright photo, u right, v down; pixel (0, 0) spans [0, 1]^2,
                so its centre is (0.5, 0.5)
crop            the same for the 512 x 512 crop that the networks see
box             the model's unit box [-0.5, 0.5]^3: x right in the image, y up, z to the viewer
body            SMPL's posed space in metres, y up, +z to the viewer at identity root rotation
character       metres, y up, z to the viewer, the floor under the lowest body vertex at y = 0,
                the pelvis above the origin
blender         the character frame turned to Blender's axes, z up, facing -y
==============  ===========================================================================

The camera is weak perspective (PaMIR section 3): box x and y are the crop's pixels, z is free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CROP_SIZE = 512
"""Side of the crop in pixels; one box unit is this many crop pixels."""


@dataclass(frozen=True)
class CropWindow:
    """The similarity from photo to crop pixels: ``crop = scale * photo + offset``.

    ``scale`` is crop pixels per photo pixel; ``offset`` is (u, v) in crop pixels.
    """

    scale: float
    offset: tuple[float, float]

    def photo_to_crop(self, points: np.ndarray) -> np.ndarray:
        """Photo pixels (..., 2) to crop pixels (..., 2)."""
        return np.asarray(points) * self.scale + np.asarray(self.offset)

    def crop_to_photo(self, points: np.ndarray) -> np.ndarray:
        """Crop pixels (..., 2) to photo pixels (..., 2)."""
        return (np.asarray(points) - np.asarray(self.offset)) / self.scale


def crop_to_box(points: np.ndarray) -> np.ndarray:
    """Crop pixels (..., 2) to box x, y (..., 2)."""
    points = np.asarray(points)
    return np.stack([points[..., 0] / CROP_SIZE - 0.5, 0.5 - points[..., 1] / CROP_SIZE], axis=-1)


def box_to_crop(points: np.ndarray) -> np.ndarray:
    """Box points (..., 2 or 3) to crop pixels (..., 2)."""
    points = np.asarray(points)
    return np.stack([(points[..., 0] + 0.5) * CROP_SIZE, (0.5 - points[..., 1]) * CROP_SIZE], axis=-1)


@dataclass(frozen=True)
class Placement:
    """Where the posed body stands in the box: ``box = scale * body + translation``.

    ``scale`` is box units per metre, ``translation`` (3,) box units.
    """

    scale: float
    translation: tuple[float, float, float]

    def body_to_box(self, points: np.ndarray) -> np.ndarray:
        """Posed body metres (..., 3) to box (..., 3)."""
        return np.asarray(points) * self.scale + np.asarray(self.translation)

    def box_to_body(self, points: np.ndarray) -> np.ndarray:
        """Box (..., 3) to posed body metres (..., 3)."""
        return (np.asarray(points) - np.asarray(self.translation)) / self.scale


@dataclass(frozen=True)
class CharacterFrame:
    """The character frame inside the box: ``character = (box - origin) / scale``.

    ``scale`` is box units per metre, ``origin`` (3,) box units: pelvis x and z, lowest body vertex y.
    """

    scale: float
    origin: tuple[float, float, float]

    def box_to_character(self, points: np.ndarray) -> np.ndarray:
        """Box (..., 3) to character metres (..., 3)."""
        return (np.asarray(points) - np.asarray(self.origin)) / self.scale

    def character_to_box(self, points: np.ndarray) -> np.ndarray:
        """Character metres (..., 3) to box (..., 3)."""
        return np.asarray(points) * self.scale + np.asarray(self.origin)

    def body_offset(self, placement: Placement) -> np.ndarray:
        """(3,) metres: ``character = body + offset`` for a body placed by ``placement``."""
        return (np.asarray(placement.translation) - np.asarray(self.origin)) / self.scale


def character_to_blender(points: np.ndarray) -> np.ndarray:
    """Character (x, y, z) to Blender (x, -z, y), (..., 3) both; also for directions."""
    points = np.asarray(points)
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def blender_to_character(points: np.ndarray) -> np.ndarray:
    """Blender (x, y, z) to character (x, z, -y), (..., 3) both; also for directions."""
    points = np.asarray(points)
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


@dataclass(frozen=True)
class BlenderCamera:
    """An orthographic Blender camera that shows the character exactly as the photo does.

    ``location`` (3,) metres in Blender axes; it looks along +y with +z up (Euler XYZ (90, 0, 0) degrees).
    ``ortho_scale`` is the metres spanned by the photo's longer side.
    """

    location: tuple[float, float, float]
    ortho_scale: float
    resolution: tuple[int, int]


def blender_camera(
    window: CropWindow, frame: CharacterFrame, photo_size: tuple[int, int], distance: float = 5.0
) -> BlenderCamera:
    """The matched camera of a photo of ``photo_size`` (width, height) pixels.

    ``distance`` is metres from the pelvis towards the viewer.
    """
    width, height = photo_size
    centre = crop_to_box(window.photo_to_crop(np.array([width / 2, height / 2])))
    x, y, _ = frame.box_to_character(np.array([centre[0], centre[1], frame.origin[2]]))
    metres_per_pixel = window.scale / CROP_SIZE / frame.scale
    location = character_to_blender(np.array([x, y, distance]))
    return BlenderCamera(
        tuple(float(c) for c in location), float(max(width, height) * metres_per_pixel), (width, height)
    )
