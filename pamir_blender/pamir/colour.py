"""The surface's colours: PaMIR's blend of photo and network, eq. 13.

``C(p) = alpha(p) I(pi(p)) + (1 - alpha(p)) C'(p)``, with C' and alpha from the texture network.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from ..camera import CROP_SIZE, CropWindow, box_to_crop
from ..errors import Cancelled
from ..rasterise import fragments, nearest, sample
from .chunks import in_chunks

ColourQuery = Callable[[Tensor], Tensor]
"""Points (N, 3) float32 of the box to (N, 4) in [0, 1]: colour C' (sRGB) and alpha."""

_MAX_SIDE = 2048
_EDGE = 1.5  # crop pixels inside the mask's edge whose colours may hold background


class PhotoColours:
    """The person's colours in the photo, for sampling at points of the box.

    Near the silhouette a photo's pixels mix person and background, and the reconstructed surface ends a
    little inside or outside of the mask. So only pixels well inside the mask are trusted, and every other
    place takes the colour of the nearest trusted one.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, window: CropWindow) -> None:
        """``image`` (H, W, 3) uint8 sRGB photo, ``mask`` (H, W) in [0, 1], ``window`` the crop's place in it.

        The colours are kept for the crop's square, at the photo's own resolution up to 2048 pixels a side.
        """
        side = int(np.clip(np.ceil(CROP_SIZE / window.scale), CROP_SIZE, _MAX_SIDE))
        colours, sure = _square(image, mask, window, side)
        radius = max(1, round(_EDGE * side / CROP_SIZE))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
        inner = cv2.erode(sure, kernel, borderValue=0)
        # A person thinner than the margin everywhere: better the mask as it is than no colour.
        trusted = inner if inner.any() else sure
        self.image = _fill(colours, trusted > 0)
        """(S, S, 3) uint8 over the whole box, row 0 at the top."""

    def sample(self, points: np.ndarray) -> np.ndarray:
        """Colours (N, 3) float32 in [0, 1] at box points (N, 2 or 3), bilinear."""
        side = self.image.shape[0]
        return sample(self.image, box_to_crop(points) * (side / CROP_SIZE)) / np.float32(255)


def _square(
    image: np.ndarray, mask: np.ndarray, window: CropWindow, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """The crop's square resampled to ``side`` pixels: colours uint8 and the mask's sure part uint8 0/1."""
    scale = window.scale * side / CROP_SIZE
    offset = np.asarray(window.offset) * side / CROP_SIZE
    if scale < 1:
        # Shrinking: average first, or the affine warp below would skip pixels.
        low = np.maximum(np.floor(-offset / scale).astype(int) - 2, 0)
        high = np.minimum(np.ceil((side - offset) / scale).astype(int) + 2, image.shape[1::-1])
        image, mask = (a[low[1] : high[1], low[0] : high[0]] for a in (image, mask))
        shape = np.maximum(np.round(np.array(image.shape[1::-1]) * scale), 1).astype(int)
        step = shape / np.array(image.shape[1::-1])
        image, mask = (
            cv2.resize(a, tuple(map(int, shape)), interpolation=cv2.INTER_AREA) for a in (image, mask)
        )
        scales, offset = scale / step, offset + low * scale
    else:
        scales = np.array([scale, scale])
    # warpAffine counts from pixel centres, the frames from pixel corners.
    move = offset + 0.5 * scales - 0.5
    matrix = np.array([[scales[0], 0, move[0]], [0, scales[1], move[1]]])
    colours = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    sure = cv2.warpAffine(mask.astype(np.float32), matrix, (side, side)) > 0.5
    return colours, sure.astype(np.uint8)


def _fill(image: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """``image`` with every pixel outside ``trusted`` replaced by the nearest trusted one's colour."""
    if not trusted.any():
        raise ValueError("the mask is empty in the crop")
    _, label = cv2.distanceTransformWithLabels(
        (~trusted).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colour_of = np.zeros((label.max() + 1, 3), np.uint8)
    colour_of[label[trusted]] = image[trusted]
    return colour_of[label]


def query_colours(
    points: np.ndarray,
    query: ColourQuery,
    *,
    chunk: int = 16384,
    device: torch.device | str | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """C' and alpha (N, 4) float32 at box points (N, 3), at most ``chunk`` points a call."""
    result = np.empty((len(points), 4), np.float32)
    points = np.ascontiguousarray(points, np.float32)

    def check_cancelled() -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("colouring was cancelled")

    for start, colours in in_chunks(query, points, chunk, device, check_cancelled):
        end = start + len(colours)
        result[start:end] = colours.float().cpu().numpy()
        if progress is not None:
            progress(end / len(points))
    return result


def blend(
    points: np.ndarray, predicted: np.ndarray, photo: PhotoColours, visibility: np.ndarray | None = None
) -> np.ndarray:
    """Eq. 13 at box points (N, 3): colours (N, 3) float32 in [0, 1].

    ``predicted`` (N, 4) is C' and alpha. It may be interpolated from the mesh's vertices: it varies slowly,
    and only the photo needs every texel.

    ``visibility`` (N,) in [0, 1], if given, is what the finished surface knows and the network had to guess
    when it gave alpha: 1 takes the photo's colour, which a blend of halves would only blur, 0 the network's;
    in between, where the surface is seen edge-on, alpha still has a say.
    """
    alpha = predicted[:, 3:4]
    if visibility is not None:
        seen = visibility[:, None]
        alpha = seen * (1 + (1 - seen) * alpha)
    return alpha * photo.sample(points) + (1 - alpha) * predicted[:, :3]


def facing_share(normals: np.ndarray, grazing: tuple[float, float] = (0.0, 0.25)) -> np.ndarray:
    """(N,) float32: 0 where unit normals (N, 3) turn away, rising to 1 where z goes through ``grazing``."""
    low, high = grazing
    facing = np.clip((normals[:, 2] - low) / (high - low), 0, 1)
    return (facing * facing * (3 - 2 * facing)).astype(np.float32)


class PhotoVisibility:
    """What of a mesh the photo shows, from one depth buffer of ``size`` pixels a side."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, *, size: int = CROP_SIZE) -> None:
        """``vertices`` (V, 3) in the box, ``faces`` (F, 3)."""
        self._scale = size / CROP_SIZE
        corners = (box_to_crop(vertices) * self._scale)[faces]
        pieces = fragments(corners, (size, size))
        depth = pieces.interpolate(vertices[faces][:, :, 2:].astype(np.float32))[:, 0]
        _, self._depth = nearest(pieces, depth, (size, size))

    def __call__(
        self,
        points: np.ndarray,
        normals: np.ndarray,
        *,
        margin: float = 0.01,
        grazing: tuple[float, float] = (0.0, 0.25),
    ) -> np.ndarray:
        """How well the photo shows box points (N, 3) with outward unit ``normals`` (N, 3): (N,) in [0, 1].

        0 where the mesh hides the point by more than ``margin`` box units or turns away from the camera,
        rising to 1 as the normal's z goes through ``grazing``: a surface seen edge-on has smeared colours.
        """
        last = self._depth.shape[0] - 1
        place = np.floor(box_to_crop(points) * self._scale).astype(int).clip(0, last)
        shown = points[:, 2] >= self._depth[place[:, 1], place[:, 0]] - margin
        return shown * facing_share(normals, grazing)
