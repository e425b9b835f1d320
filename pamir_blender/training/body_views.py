"""Views as GraphCMR's training sees them: the picture of a person, and the body's true parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from ..body.graph_network import GraphCmrConfig
from ..body.graphcmr import masked_input, network_input
from ..contracts import JOINT_NAMES
from .augment import photo_like, random_toning
from .body_parameters import unpack_parameters
from .dataset import ViewDataset
from .jobs import pinned_body
from .storage import read_arrays

LARGEST_ROLL, LARGEST_SHIFT = 15.0, 0.02
"""Degrees and box units by which a training picture is turned in its plane and moved."""

_OPPOSITE = [
    JOINT_NAMES.index(name.replace("left", "right") if "left" in name else name.replace("right", "left"))
    for name in JOINT_NAMES
]


class BodyViews:
    """Views made by ``make_data`` with their true bodies; samples are dicts (S = the network's image size).

    ``image`` (3 or 4, S, S) float32 as the network wants it; ``betas`` (10,); ``rotations`` (24, 3, 3) as the
    viewer sees them; ``scale`` () box units per metre; ``pelvis`` (2,) box x, y of the joint about which the
    root turns.

    With ``augment`` pictures are toned, softened, mirrored, turned and moved a little, and the bodies with
    them.
    """

    def __init__(
        self,
        roots: Path | str | Sequence[Path | str],
        config: GraphCmrConfig,
        *,
        split: str | None = None,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        self._data = ViewDataset(roots, split=split, points=16, augment=augment, seed=seed)
        model = pinned_body(self._data.folder(0))
        self._pelvis = model.joint_template[0].numpy(), model.joint_shapedirs[0].numpy()
        self.views, self.config, self.augment, self.seed = self._data.views, config, augment, seed
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self._data)

    def set_epoch(self, epoch: int) -> None:
        """Draw other augmentations from now on, in loader processes too."""
        self._epoch[0] = epoch

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sample; the draw depends on seed, epoch and index alone."""
        rng = np.random.default_rng([self.seed, int(self._epoch[0]), index])
        stored = read_arrays(self._data.view_file(index), ("parameters",))
        body = unpack_parameters(stored["parameters"][0], "stored")
        rotations = Rotation.from_rotvec(body.pose).as_matrix()
        scale, picture = body.placement.scale, self._data.picture(index)
        at_rest = self._pelvis[0] + self._pelvis[1] @ body.betas
        pelvis = scale * at_rest[:2] + body.placement.translation[:2]
        if self.augment:
            if rng.random() < 0.5:
                picture, rotations = np.ascontiguousarray(picture[:, ::-1]), mirrored(rotations)
                pelvis = pelvis * [-1, 1]
            picture, rotations, pelvis = _moved(rng, picture, rotations, pelvis)
        toning = random_toning(rng) if self.augment else None
        image, mask = photo_like(rng, picture, self.config.image_size, toning)
        if self.config.encoder == "small":
            seen = masked_input(image, mask)
        else:
            seen = network_input(np.round(image * 255).astype(np.uint8), self.config.image_size)[0]
        arrays = {"betas": body.betas, "rotations": rotations, "pelvis": pelvis, "scale": np.array(scale)}
        return {"image": seen} | {key: torch.tensor(value).float() for key, value in arrays.items()}


def mirrored(rotations: np.ndarray) -> np.ndarray:
    """The pose (24, 3, 3) of the same person in a mirror: left and right change places, x its sign."""
    sign = np.array([-1.0, 1.0, 1.0])
    return rotations[_OPPOSITE] * sign[:, None] * sign


def _moved(
    rng: np.random.Generator, picture: np.ndarray, rotations: np.ndarray, pelvis: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture (H, H, 4) turned in its plane about the box's middle and moved, and the body likewise."""
    angle = np.deg2rad(np.clip(rng.normal(0, LARGEST_ROLL / 2), -LARGEST_ROLL, LARGEST_ROLL))
    move = rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    side = picture.shape[0]
    # Pixels have y downwards: box (x, y) = ((u + 0.5) / side - 0.5, 0.5 - (v + 0.5) / side).
    flat = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.full(2, side / 2 - 0.5)
    offset = middle - flat @ middle + move * [side, -side]
    warped = cv2.warpAffine(
        picture, np.column_stack([flat, offset]), (side, side), flags=cv2.INTER_LINEAR, borderValue=0
    )
    turned = rotations.copy()
    turned[0, :2] = turn @ rotations[0, :2]
    return warped, turned, turn @ pelvis + move
