"""The detector's depths, put right by a small network that has seen how it errs.

A detector that learned from photographs sees a landmark's place in the picture within a centimetre or two,
its depth within a hand's breadth. All 33 together tell more: how long limbs look, which of them hide others,
and what people do. Lifting landmarks from the picture into space by a plain network is the idea of Martinez
et al. 2017 (*A simple yet effective baseline for 3d human pose estimation*); this one starts from the
detector's own depths and gives what they lack. It was trained on the detector's answers to pictures of known
bodies (``pamir_blender/training/train_landmark_depth.py``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..camera import crop_to_box
from ..contracts import Landmarks
from ..errors import BodyModelError
from ..paths import models_dir

DEPTH_FILE = models_dir() / "landmark_depth.safetensors"
DEPTH_FORMAT = "pamir-landmark-depth-1"
COUNT = 33
FEATURES = COUNT * 7
"""Per landmark: two coordinates in the picture, three of the detector's metres, visibility and spread."""

MIRROR = np.array([0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + (1 if i % 2 else -1) for i in range(11, 33))])
"""Index of each landmark's mirror image."""

LARGEST = 0.4
"""Metres beyond which no depth is moved."""

_HIPS = slice(23, 25)
_UNKNOWN_SPREAD, _LARGEST_SPREAD = 0.03, 0.5
_MOST_VALUES = 2_000_000


def describe(landmarks: Landmarks, world: np.ndarray) -> np.ndarray:
    """What the network reads (231,) float64 of ``landmarks`` and their metres ``world`` (33, 3), calibrated.

    The picture is measured in metres about the hips' middle, by the scale at which it agrees best with
    ``world``.
    """
    flat = crop_to_box(landmarks.image).astype(np.float64)
    flat -= flat[_HIPS].mean(axis=0)
    body = world[11:, :2]
    scale = (flat[11:] * body).sum() / max((body**2).sum(), 1e-9)
    spread = np.full(COUNT, _UNKNOWN_SPREAD) if landmarks.spread is None else landmarks.spread
    return np.concatenate(
        [
            (flat / max(scale, 1e-6)).ravel(),
            world.ravel(),
            np.clip(landmarks.visibility, 0, 1),
            np.clip(spread, 0, _LARGEST_SPREAD),
        ]
    )


def mirrored(features: np.ndarray) -> np.ndarray:
    """Features (..., 231) of the person seen in a mirror."""
    flat, world, rest = np.split(features, [COUNT * 2, COUNT * 5], axis=-1)
    lead = features.shape[:-1]
    flat = flat.reshape(*lead, COUNT, 2)[..., MIRROR, :] * [-1, 1]
    world = world.reshape(*lead, COUNT, 3)[..., MIRROR, :] * [-1, 1, 1]
    rest = rest.reshape(*lead, 2, COUNT)[..., MIRROR]
    return np.concatenate([part.reshape(*lead, -1) for part in (flat, world, rest)], axis=-1)


@dataclass(frozen=True)
class LandmarkDepth:
    """The network: ``mean`` and ``scale`` (231,) of the features, and ``layers`` of weights (out, in) and
    biases (out,), with x * sigmoid(x) between them; the last one gives metres for each landmark."""

    mean: np.ndarray
    scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __call__(self, landmarks: Landmarks, world: np.ndarray) -> np.ndarray:
        """(33,) metres towards the viewer by which the depths of ``world`` (33, 3) are to be moved.

        Measured from the hips' middle, which stays. The person in a mirror gets the same answer.
        """
        features = describe(landmarks, world)
        moved = (self._run(features) + self._run(mirrored(features))[MIRROR]) / 2
        return np.clip(moved - moved[_HIPS].mean(), -LARGEST, LARGEST)

    def _run(self, features: np.ndarray) -> np.ndarray:
        x = (features - self.mean) / self.scale
        for weight, bias in self.layers[:-1]:
            x = weight @ x + bias
            x = x / (1 + np.exp(-np.clip(x, -60, 60)))
        weight, bias = self.layers[-1]
        return weight @ x + bias


def load_landmark_depth(path: Path = DEPTH_FILE) -> LandmarkDepth:
    """The network of a file; raises BodyModelError if it is missing or damaged."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != DEPTH_FORMAT:
                raise ValueError(f"format {metadata.get('format')}")
            names = list(file.keys())
            if sum(int(np.prod(file.get_slice(name).get_shape())) for name in names) > _MOST_VALUES:
                raise ValueError("too large")
            stored = {name: file.get_tensor(name).astype(np.float64) for name in names}
        count = (len(stored) - 2) // 2
        layers = tuple((stored[f"weight{k}"], stored[f"bias{k}"]) for k in range(count))
        widths = [FEATURES, *(len(bias) for _, bias in layers)]
        fits = all(
            weight.shape == (after, before) and bias.shape == (after,)
            for (weight, bias), before, after in zip(layers, widths, widths[1:], strict=False)
        )
        sizes = stored["mean"].shape == stored["scale"].shape == (FEATURES,) and widths[-1] == COUNT
        finite = all(np.isfinite(values).all() for values in stored.values())
        if not (count and fits and sizes and finite and (stored["scale"] > 0).all()):
            raise ValueError("wrong shapes or values")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise BodyModelError(
            f"{path} is missing or damaged ({error}). Reinstall the project, or build it again with "
            "python -m pamir_blender.training.train_landmark_depth."
        ) from error
    return LandmarkDepth(stored["mean"], stored["scale"], layers)


def card_of(path: Path = DEPTH_FILE) -> dict:
    """What a file says about how it came about; raises BodyModelError if it is missing."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            return json.loads((file.metadata() or {}).get("card", "{}"))
    except (OSError, ValueError, SafetensorError) as error:
        raise BodyModelError(f"{path} is missing or damaged ({error}).") from error
