"""The 512 x 512 picture that the networks see, and where it lies in the photo."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from ..camera import CROP_SIZE, CropWindow

HEIGHT_PART = 0.80
"""The person's height as a part of the crop (PaMIR's subjects cover 0.75 to 0.90 of the box)."""
WIDTH_PART = 0.88
"""The limit for people wider than tall."""
SOLID = 0.98


def crop_window(box: tuple[float, float, float, float]) -> CropWindow:
    """The crop that centres ``box`` (x0, y0, x1, y1) photo pixels: 80 % of the height, at most 88 % wide."""
    x0, y0, x1, y1 = box
    scale = min(HEIGHT_PART * CROP_SIZE / max(y1 - y0, 1e-6), WIDTH_PART * CROP_SIZE / max(x1 - x0, 1e-6))
    half = CROP_SIZE / 2
    return CropWindow(
        float(scale), (float(half - scale * (x0 + x1) / 2), float(half - scale * (y0 + y1) / 2))
    )


def cut_crop(image: np.ndarray, mask: np.ndarray, window: CropWindow) -> tuple[np.ndarray, np.ndarray]:
    """The crop (512, 512, 3) uint8 on white, and its mask (512, 512) float32.

    ``image`` (H, W, 3) uint8 and ``mask`` (H, W) float32. Both are averaged where they are shrunk. Colours
    at the person's edge are carried over from inside, so that nothing of the old background shines through.
    """
    alpha = np.clip(
        _resample(mask, window, Image.Resampling.BOX if window.scale < 1 else Image.Resampling.BILINEAR), 0, 1
    )
    colours = np.stack(
        [_resample(channel, window, Image.Resampling.BICUBIC) for channel in np.moveaxis(image, 2, 0)],
        axis=-1,
    )
    colours = carry_outwards(np.clip(colours, 0, 255), alpha)
    blended = colours * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.clip(blended + 0.5, 0, 255).astype(np.uint8), alpha.astype(np.float32)


def _resample(channel: np.ndarray, window: CropWindow, filter_: Image.Resampling) -> np.ndarray:
    """One channel (H, W) of the photo resampled to the crop, (512, 512) float32; beyond the photo 0."""
    corners = window.crop_to_photo(np.array([[0.0, 0.0], [CROP_SIZE, CROP_SIZE]]))
    reach = int(np.ceil(3 * max(1.0, 1 / window.scale)))  # so that the filter finds neighbours
    low = np.floor(corners[0]).astype(int) - reach
    high = np.ceil(corners[1]).astype(int) + reach
    size = np.array(channel.shape[::-1])
    inner_low, inner_high = np.clip(low, 0, size), np.clip(high, 0, size)
    patch = np.zeros((high - low)[::-1], np.float32)
    target = inner_low - low
    extent = inner_high - inner_low
    patch[target[1] : target[1] + extent[1], target[0] : target[0] + extent[0]] = channel[
        inner_low[1] : inner_high[1], inner_low[0] : inner_high[0]
    ]
    box = tuple((corners - low).reshape(4))
    return np.asarray(Image.fromarray(patch).resize((CROP_SIZE, CROP_SIZE), filter_, box=box))


def carry_outwards(colours: np.ndarray, alpha: np.ndarray, levels: int = 5) -> np.ndarray:
    """Replace the colours (h, w, 3) float where ``alpha`` (h, w) is partial by those of solid pixels nearby.

    Push-pull: ever coarser averages of the solid pixels fill what the finer ones leave empty.
    """
    solid = (alpha >= SOLID).astype(np.float32)
    if not solid.any():
        return colours
    filled = colours * solid[..., None]
    weight = solid.copy()
    for level in range(levels):
        sigma = 1.0 * 2**level
        sums = cv2.GaussianBlur(colours * solid[..., None], (0, 0), sigma)
        counts = cv2.GaussianBlur(solid, (0, 0), sigma)
        found = (weight == 0) & (counts > 0.02)
        filled[found] = sums[found] / counts[found, None]
        weight[found] = 1
    missing = (weight == 0)[..., None]
    return np.where(missing, colours, filled)
