"""The detector's depths, put right by a small network that has seen how it errs.

A detector that learned from photographs sees a landmark's place in the picture within a centimetre or two,
its depth within a hand's breadth. All 33 together tell more: how long limbs look, which of them hide others,
and what people do. Lifting landmarks from the picture into space by a plain network is the idea of Martinez
et al. 2017 (*A simple yet effective baseline for 3d human pose estimation*); this one starts from the
detector's own depths and gives what they lack. It was trained on the detector's answers to pictures of known
bodies (``pamir_blender/training/train_landmark_depth.py``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..camera import crop_to_box
from ..contracts import LANDMARK_MIRROR, Landmarks
from ..errors import BodyModelError
from ..paths import models_dir

DEPTH_FILE = models_dir() / "landmark_depth.safetensors"
DEPTH_FORMAT = "pamir-landmark-depth-1"
COUNT = 33
FEATURES = COUNT * 7
"""Per landmark: two coordinates in the picture, three of the detector's metres, visibility and spread."""

LARGEST = 0.4
"""Metres beyond which no depth is moved."""

_HIPS = slice(23, 25)
_UNKNOWN_SPREAD, _LARGEST_SPREAD = 0.03, 0.5
_SMALLEST_SCALE = 0.05  # box units per metre; a person fills most of the crop
_FARTHEST = 4.0  # of a feature's own spread, beyond which one more is no more
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
            (flat / max(scale, _SMALLEST_SCALE)).ravel(),
            world.ravel(),
            np.clip(landmarks.visibility, 0, 1),
            np.clip(spread, 0, _LARGEST_SPREAD),
        ]
    )


def mirrored(features: np.ndarray) -> np.ndarray:
    """Features (..., 231) of the person seen in a mirror."""
    flat, world, rest = np.split(features, [COUNT * 2, COUNT * 5], axis=-1)
    lead = features.shape[:-1]
    flat = flat.reshape(*lead, COUNT, 2)[..., LANDMARK_MIRROR, :] * [-1, 1]
    world = world.reshape(*lead, COUNT, 3)[..., LANDMARK_MIRROR, :] * [-1, 1, 1]
    rest = rest.reshape(*lead, 2, COUNT)[..., LANDMARK_MIRROR]
    return np.concatenate([part.reshape(*lead, -1) for part in (flat, world, rest)], axis=-1)


def standardised(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Features (..., 231) in units of their spread; what is far from all that was learned counts as far,
    however far it is."""
    return np.clip((features - mean) / scale, -_FARTHEST, _FARTHEST)


@dataclass(frozen=True)
class LandmarkDepth:
    """The network: ``mean`` and ``scale`` (231,) of the features, and ``layers`` of weights (out, in) and
    biases (out,), with x * sigmoid(x) between them; the last one gives metres for each landmark.

    ``digest``: SHA-256 of the file it came from.
    """

    mean: np.ndarray
    scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    digest: str = ""

    def __call__(self, landmarks: Landmarks, world: np.ndarray) -> np.ndarray:
        """(33,) metres towards the viewer by which the depths of ``world`` (33, 3) are to be moved.

        Measured from the hips' middle, which stays. The person in a mirror gets the same answer. Where nobody
        looked for landmarks nothing moves.
        """
        if not np.any(landmarks.visibility):
            return np.zeros(COUNT)
        features = describe(landmarks, world)
        moved = (self._run(features) + self._run(mirrored(features))[LANDMARK_MIRROR]) / 2
        moved = np.clip(moved, -LARGEST, LARGEST)
        return moved - moved[_HIPS].mean()

    def _run(self, features: np.ndarray) -> np.ndarray:
        x = standardised(features, self.mean, self.scale)
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
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in list(file.keys())}
            _check_shapes(shapes)
            stored = {name: file.get_tensor(name).astype(np.float64) for name in shapes}
        finite = all(np.isfinite(values).all() for values in stored.values())
        if not finite or (stored["scale"] <= 0).any():
            raise ValueError("wrong values")
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise BodyModelError(
            f"{path} is missing or damaged ({error}). Reinstall the project, or build it again with "
            "python -m pamir_blender.training.train_landmark_depth."
        ) from error
    layers = tuple((stored[f"weight{k}"], stored[f"bias{k}"]) for k in range((len(stored) - 2) // 2))
    return LandmarkDepth(stored["mean"], stored["scale"], layers, digest)


def _check_shapes(shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless these are the tensors of a network that fits, and no others."""
    count = max((len(shapes) - 2) // 2, 1)
    names = {"mean", "scale"} | {f"{part}{k}" for part in ("weight", "bias") for k in range(count)}
    if set(shapes) != names or sum(int(np.prod(shape)) for shape in shapes.values()) > _MOST_VALUES:
        raise ValueError("other tensors than expected")
    width = FEATURES
    for k in range(count):
        after = shapes[f"bias{k}"]
        if len(after) != 1 or shapes[f"weight{k}"] != (after[0], width):
            raise ValueError(f"layer {k} has the wrong shape")
        width = after[0]
    if shapes["mean"] != (FEATURES,) or shapes["scale"] != (FEATURES,) or width != COUNT:
        raise ValueError("wrong shapes")
