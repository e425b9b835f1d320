"""Where the 33 BlazePose landmarks sit on a body model.

A landmark is a point fixed to the skin or inside the flesh: it follows the betas as the skin around it
does, and the pose by skinning weights of its own. Nothing else of the mesh is needed to place it, which
keeps fitting fast. Positions on the open body were calibrated by running the detector on renders of known
bodies (``pamir_blender/training/calibrate_landmarks.py``); other models get theirs by correspondence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..contracts import Landmarks
from ..errors import BodyModelError
from ..paths import models_dir
from .landmark_depth import DEPTH_FILE, LandmarkDepth, load_landmark_depth
from .model import BodyModel
from .skinning import linear_blend_skinning

LANDMARK_FILE = models_dir() / "landmark_regressor.npz"
LANDMARK_FORMAT = "pamir-landmarks-2"

LANDMARK_NAMES: tuple[str, ...] = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky",
    "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index",
    "right_foot_index",
)  # fmt: skip
HEAD_LANDMARKS = tuple(range(11))

# Joints that carry each landmark, left side or middle; a joint centre is carried by both bones it joins.
_CARRIERS: dict[str, dict[int, float]] = {
    **{name: {15: 1.0} for name in LANDMARK_NAMES[:11]},
    "left_shoulder": {13: 0.5, 16: 0.5},
    "left_elbow": {16: 0.5, 18: 0.5},
    "left_wrist": {18: 0.5, 20: 0.5},
    "left_pinky": {20: 1.0},
    "left_index": {20: 1.0},
    "left_thumb": {20: 1.0},
    "left_hip": {0: 0.5, 1: 0.5},
    "left_knee": {1: 0.5, 4: 0.5},
    "left_ankle": {4: 0.5, 7: 0.5},
    "left_heel": {7: 1.0},
    "left_foot_index": {7: 0.5, 10: 0.5},
}
_NEIGHBOURS = 12


def landmark_weights() -> np.ndarray:
    """(33, 24) skinning weights of the landmarks, the same for every body model."""
    weights = np.zeros((33, 24))
    for index, name in enumerate(LANDMARK_NAMES):
        right = name.startswith("right") and index >= 11
        for joint, share in _CARRIERS[name.replace("right", "left") if right else name].items():
            weights[index, joint + (1 if right and joint else 0)] = share
    return weights


@dataclass(frozen=True)
class LandmarkModel:
    """Landmarks of one body model: ``template`` (33, 3) and ``shapedirs`` (33, 3, 10) in metres in T-pose,
    ``weights`` (33, 24), ``spread`` (33,) metres: how far the detector usually is from these points, and
    ``hunch`` (33,) metres: how much too far ahead of the hips the detector usually puts its 3D landmarks,
    ``depth`` what corrects the rest of their depths, where the whole of the landmarks tells it.
    """

    template: Tensor
    shapedirs: Tensor
    weights: Tensor
    spread: Tensor = field(default_factory=lambda: torch.full((33,), 0.02))
    hunch: Tensor = field(default_factory=lambda: torch.zeros(33))
    depth: LandmarkDepth | None = None

    def metres(self, landmarks: Landmarks) -> np.ndarray:
        """The person's landmarks about the hips' middle (33, 3) float64, the detector's known errors taken
        back."""
        world = self.upright(landmarks.world)
        if self.depth is not None:
            world[:, 2] += self.depth(landmarks, world)
        return world

    def upright(self, world: np.ndarray) -> np.ndarray:
        """The detector's metres (33, 3) without the hunch that it sees in everyone, float64.

        It puts shoulders, head and knees ahead of the hips, as if everybody stood with bent knees. In a
        picture from the side it sees better: only the hunch's part along the viewing direction is taken back.
        """
        corrected = world.astype(np.float64)
        corrected[:, 2] -= self.hunch.numpy() * facing(corrected)
        return corrected

    def rest(self, betas: Tensor) -> Tensor:
        """(B, 33, 3) in T-pose of shapes ``betas`` (B, 10)."""
        return self.template + torch.einsum("lcs,bs->blc", self.shapedirs, betas)

    def positions(self, betas: Tensor, transforms: Tensor) -> Tensor:
        """(B, 33, 3) body metres under the joints' ``transforms`` (B, 24, 4, 4)."""
        return linear_blend_skinning(self.rest(betas), self.weights, transforms)


def facing(world: np.ndarray) -> np.ndarray:
    """Cosine of the torso's yaw, of landmarks (..., 33, 3): 1 faces the viewer, 0 is seen from the side."""
    across = world[..., [11, 23], :].mean(axis=-2) - world[..., [12, 24], :].mean(axis=-2)
    return across[..., 0] / np.maximum(np.hypot(across[..., 0], across[..., 2]), 1e-6)


def shapedirs_near(points: np.ndarray, model: BodyModel, weights: np.ndarray) -> np.ndarray:
    """(L, 3, 10): how points (L, 3) of the T-pose move with the betas, from the skin around them.

    ``weights`` (L, 24): only skin that shares a joint with a point counts for it.
    """
    template = model.template.cpu().numpy()
    related = (model.skinning_weights.cpu().numpy() @ weights.T).T > 0.05
    out = np.empty((len(points), 3, 10))
    for index, point in enumerate(points):
        distance = np.linalg.norm(template - point, axis=1) + np.where(related[index], 0, 1.0)
        near = np.argsort(distance, kind="stable")[:_NEIGHBOURS]
        share = 1 / (distance[near] ** 2 + 1e-5)
        out[index] = np.einsum("n,ncs->cs", share / share.sum(), model.shapedirs.cpu().numpy()[near])
    return out


def load_landmark_model(
    model: BodyModel, path: Path = LANDMARK_FILE, *, depth: Path | None = DEPTH_FILE
) -> LandmarkModel:
    """The landmarks of ``model``; without ``depth`` the detector's depths are corrected by the hunch alone.

    Raises:
        BodyModelError: one of the files is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            if str(data["format"]) != LANDMARK_FORMAT:
                raise ValueError(f"format {data['format']}")
            template = data["template"].astype(np.float64)
            spread = data["spread"].astype(np.float64)
            hunch = data["hunch"].astype(np.float64)
            boxes = {name: data[f"box_{name}"].astype(np.float64) for name in _PARTS}
            joints = data["joints"].astype(np.float64)
        shapes = (template.shape, spread.shape, hunch.shape)
        finite = all(np.isfinite(values).all() for values in (template, spread, hunch))
        if shapes != ((33, 3), (33,), (33,)) or not finite:
            raise ValueError("wrong shapes")
    except (OSError, KeyError, ValueError) as error:
        raise BodyModelError(
            f"{path} is missing or damaged ({error}). Reinstall the project, or build it again with "
            "python -m pamir_blender.training.calibrate_landmarks."
        ) from error
    weights = landmark_weights()
    if model.name != "open":
        template = _transfer(template, weights, boxes, joints, model)
    shapedirs = shapedirs_near(template, model, weights)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32)

    return LandmarkModel(
        tensor(template),
        tensor(shapedirs),
        tensor(weights),
        tensor(spread),
        tensor(hunch),
        load_landmark_depth(depth) if depth is not None else None,
    )


# Parts whose outline, not whose joints, says where landmarks are: joint sets of the skin they own.
_PARTS: dict[str, tuple[int, ...]] = {
    "head": (15,), "left_foot": (7, 10), "right_foot": (8, 11), "left_hand": (20, 22), "right_hand": (21, 23),
}  # fmt: skip
_PART_LANDMARKS: dict[str, tuple[int, ...]] = {
    "head": HEAD_LANDMARKS, "left_foot": (29, 31), "right_foot": (30, 32),
    "left_hand": (17, 19, 21), "right_hand": (18, 20, 22),
}  # fmt: skip


def part_boxes(model: BodyModel) -> dict[str, np.ndarray]:
    """Two corners (2, 3) in metres that pin each part's landmarks, found on any topology.

    The head spans from nose tip to crown in height, its width, and nose to back of the head; hands and
    feet span their skin's box beyond the wrist and below the ankle.
    """
    template, weights = model.template.cpu().numpy().astype(np.float64), model.skinning_weights.cpu().numpy()
    boxes = {}
    for name, joints in _PARTS.items():
        skin = template[weights[:, list(joints)].sum(axis=1) > 0.5]
        low, high = skin.min(axis=0), skin.max(axis=0)
        if name == "head":
            nose = skin[np.argmax(np.where(np.abs(skin[:, 0]) < 0.03, skin[:, 2], -9))]
            low[1] = nose[1]
        elif "foot" in name:
            high[1] = float(model.joint_template[joints[0], 1])
        else:
            inner = float(model.joint_template[joints[0], 0])
            low, high = (np.maximum(low, [inner, -9, -9]), high) if inner > 0 else (
                low, np.minimum(high, [inner, 9, 9])
            )  # fmt: skip
        boxes[name] = np.stack([low, high])
    return boxes


def _transfer(
    template: np.ndarray,
    weights: np.ndarray,
    boxes: dict[str, np.ndarray],
    joints: np.ndarray,
    model: BodyModel,
) -> np.ndarray:
    """The open body's landmarks (33, 3) on another model, whose mesh is unknown.

    Landmarks at joints keep their offset from the joints that carry them, scaled by stature; those of
    head, hands and feet keep their place in the part's box.
    """
    target_joints = model.joint_template.cpu().numpy().astype(np.float64)
    span = [
        np.linalg.norm(np.diff(each[[0, 4, 7]], axis=0), axis=1).sum() for each in (joints, target_joints)
    ]
    offset = template - weights @ joints
    moved = weights @ target_joints + offset * span[1] / span[0]
    for name, target in part_boxes(model).items():
        rows, source = list(_PART_LANDMARKS[name]), boxes[name]
        place = (template[rows] - source[0]) / (source[1] - source[0])
        moved[rows] = target[0] + place * (target[1] - target[0])
    return moved
