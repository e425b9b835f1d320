"""What the stages hand to each other. Frames are those of :mod:`pamir_blender.camera`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .camera import CharacterFrame, CropWindow, Placement

JOINT_NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hand", "right_hand",
)  # fmt: skip
"""SMPL's 24 joints in SMPL's order."""

JOINT_PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
)  # fmt: skip
"""Parent of each joint; -1 for the root."""

LIMBS: dict[str, tuple[int, ...]] = {
    "torso": (0, 3, 6, 9),
    "head": (12, 15),
    "left_arm": (13, 16, 18, 20, 22),
    "right_arm": (14, 17, 19, 21, 23),
    "left_leg": (1, 4, 7, 10),
    "right_leg": (2, 5, 8, 11),
}
"""Joints of each limb for which a confidence is reported."""


LANDMARK_MIRROR = np.array(
    [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + (1 if i % 2 else -1) for i in range(11, 33))]
)
"""Index of each BlazePose landmark's mirror image: left and right swap in a mirrored picture."""


@dataclass(frozen=True)
class Landmarks:
    """The 33 BlazePose landmarks of one person.

    ``image`` (33, 2) float32 crop pixels; ``depth`` (33,) float32 box units, relative to the hips' middle,
    positive to the viewer; ``world`` (33, 3) float32 metres about the hips' middle in the body frame's
    axes (x right in the image, y up, z to the viewer); ``visibility`` and ``presence`` (33,) in [0, 1].
    ``spread`` (33,) float32 metres: how far several views of the person (other margins, mirrored) disagree
    about ``world``; None if there was only one view.
    """

    image: np.ndarray
    depth: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    spread: np.ndarray | None = None


@dataclass(frozen=True)
class Photo:
    """One photo, one person in it, and the crop that the networks see.

    ``image`` (H, W, 3) uint8 sRGB, upright, full resolution; ``mask`` (H, W) float32 in [0, 1], 1 = person;
    ``person_box`` (x0, y0, x1, y1) photo pixels; ``crop`` (512, 512, 3) uint8, background white;
    ``crop_mask`` (512, 512) float32 in [0, 1]; ``digest`` SHA-256 of the file's bytes (and of the mask's);
    ``mask_source`` one of "detector", "alpha", "file"; ``warnings`` sentences for the artist.
    """

    source: str
    digest: str
    image: np.ndarray
    mask: np.ndarray
    person_box: tuple[float, float, float, float]
    window: CropWindow
    crop: np.ndarray
    crop_mask: np.ndarray
    landmarks: Landmarks
    mask_source: str = "detector"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Body:
    """Parameters of one posed body.

    ``betas`` (10,) float32; ``pose`` (24, 3) float32 axis-angle, row 0 the root; ``placement`` body to box;
    ``model`` name of the body model they belong to; ``confidence`` in [0, 1] per limb of :data:`LIMBS`.
    """

    betas: np.ndarray
    pose: np.ndarray
    placement: Placement
    model: str
    confidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in the box frame.

    ``vertices`` (V, 3) float32; ``faces`` (F, 3) int32, counter-clockwise from outside;
    ``colors`` (V, 3) uint8 sRGB, or None.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None = None


@dataclass(frozen=True)
class PosedBody:
    """A body's arrays, all that later stages need of the body model.

    Rest space is SMPL's T-pose in metres; ``character = LBS(rest) + offset``.

    ``body`` its parameters; ``frame`` the character frame; ``vertices`` (V, 3) float32 posed, box frame;
    ``faces`` (F, 3) int32; ``template`` (V, 3), ``shapedirs`` (V, 3, 10) and ``pose_corrective`` (V, 3):
    the rest vertices are ``template + shapedirs @ betas + pose_corrective``; ``joints_template`` (24, 3) and
    ``joints_shapedirs`` (24, 3, 10) likewise; ``joints_rest`` (24, 3); ``transforms`` (24, 4, 4) rest to
    posed, body frame; ``skinning_weights`` (V, 24), rows sum to 1; ``offset`` (3,) metres.
    """

    body: Body
    frame: CharacterFrame
    vertices: np.ndarray
    faces: np.ndarray
    template: np.ndarray
    shapedirs: np.ndarray
    pose_corrective: np.ndarray
    joints_template: np.ndarray
    joints_shapedirs: np.ndarray
    joints_rest: np.ndarray
    transforms: np.ndarray
    skinning_weights: np.ndarray
    offset: np.ndarray

    def in_character(self) -> np.ndarray:
        """Posed vertices (V, 3) in the character frame, metres."""
        return self.frame.box_to_character(self.vertices).astype(np.float32)

    def character_transforms(self) -> np.ndarray:
        """(24, 4, 4) from rest space to the character frame."""
        moved = self.transforms.copy()
        moved[:, :3, 3] += self.offset
        return moved
