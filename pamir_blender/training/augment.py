"""What a photo does to a render: light and colour, softness, JPEG, and a mask that is not exact."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Toning:
    """A photo's brightness: ``gain * x + bias`` on [0, 1] colours, (3,) each."""

    gain: np.ndarray
    bias: np.ndarray

    def __call__(self, colors: np.ndarray) -> np.ndarray:
        """Colours (..., 3) in [0, 1], toned and clipped."""
        return np.clip(colors * self.gain + self.bias, 0, 1).astype(np.float32)


PLAIN = Toning(np.ones(3, np.float32), np.zeros(3, np.float32))


def random_toning(rng: np.random.Generator) -> Toning:
    """Gain 0.85 to 1.15 with a slight tint, bias up to 0.10 either way."""
    gain = rng.uniform(0.85, 1.15) * (1 + rng.normal(0, 0.04, 3))
    return Toning(gain.astype(np.float32), np.full(3, rng.uniform(-0.1, 0.1), np.float32))


def ragged_mask(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """A segmenter's version of ``mask`` (S, S) float32: shifted outline, soft rim, now and then a bite."""
    size = mask.shape[0]
    if rng.random() < 0.25:
        return mask
    coarse = rng.normal(0, 1, (int(rng.integers(12, 40)),) * 2).astype(np.float32)
    wobble = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    reach = size * abs(rng.normal(0, 0.0025)) + 0.4
    soft = cv2.GaussianBlur(mask, (0, 0), reach)
    threshold = 0.5 + np.clip(rng.normal(0, 0.12) + 0.22 * wobble, -0.42, 0.42)
    edge = np.clip((soft - threshold) * rng.uniform(2, 8) + 0.5, 0, 1)
    # Only the rim moves: far inside stays inside, far outside stays outside.
    edge = np.maximum(np.minimum(edge, np.clip(soft * 8, 0, 1)), np.clip(soft * 8 - 7, 0, 1))
    if rng.random() < 0.08:
        rows, columns = np.nonzero(mask > 0.5)
        if len(rows):
            k = rng.integers(len(rows))
            radius = int(rng.uniform(0.008, 0.03) * size)
            edge = cv2.circle(edge, (int(columns[k]), int(rows[k])), radius, float(rng.random() < 0.3), -1)
    return edge.astype(np.float32)


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """(S, S, 3) float32 what lies behind the person and shows where the mask is too large."""
    corners = rng.uniform(0, 1, (1, 1, 3)) + rng.normal(0, 0.12, (3, 3, 3))
    return np.clip(cv2.resize(corners.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR), 0, 1)


def photo_like(
    rng: np.random.Generator, picture: np.ndarray, size: int, toning: Toning | None
) -> tuple[np.ndarray, np.ndarray]:
    """The network's image of a render.

    Args:
        picture: (H, H, 4) uint8 straight alpha.
        size: side of the result.
        toning: brightness to apply; None leaves the render and its mask exact (no augmentation).

    Returns:
        image (size, size, 3) float32 on white, and mask (size, size) float32.
    """
    alpha = picture[..., 3].astype(np.float32) / 255
    color = picture[..., :3].astype(np.float32) * (alpha[..., None] / 255)
    if size != picture.shape[0]:
        alpha = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA)
        color = cv2.resize(color, (size, size), interpolation=cv2.INTER_AREA)
    if toning is None:
        return color + (1 - alpha[..., None]), alpha
    photo = color + background(rng, size) * (1 - alpha[..., None])
    if rng.random() < 0.5:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.2, 1.1) * size / 512)
    photo = np.clip(photo * toning.gain + toning.bias, 0, 1)
    if rng.random() < 0.3:
        photo = np.clip(photo + rng.normal(0, rng.uniform(0, 0.025), photo.shape), 0, 1)
    if rng.random() < 0.5:
        quality = int(rng.integers(45, 96))
        _, encoded = cv2.imencode(
            ".jpg", (photo * 255 + 0.5).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        photo = cv2.imdecode(encoded, cv2.IMREAD_COLOR).astype(np.float32) / 255
    mask = ragged_mask(rng, alpha)
    return (photo * mask[..., None] + (1 - mask[..., None])).astype(np.float32), mask
