"""The 33 landmarks and the mask of one person from the pose-landmark network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..contracts import LANDMARK_MIRROR
from .regions import Region, apply, person_region, sample_region, shift_centres

INPUT = 256
COUNT = 33
HIPS = slice(23, 25)
AUXILIARY = 39  # the last six outputs; two of them align the region
HIPS_MIDDLE, REACH = 33, 34
HEATMAP_WINDOW = 7
HEATMAP_FLOOR = 0.5


@dataclass(frozen=True)
class Pose:
    """One person as the network sees them.

    ``image`` (33, 2) photo pixels; ``world`` (33, 3) metres about the hips' middle: x right in the image,
    y up, z to the viewer; ``visibility``, ``presence`` (33,) in [0, 1]; ``score`` that there is a person;
    ``region`` the square looked at; ``mask`` (256, 256) float32 probability in the region's frame;
    ``next_region`` the square that these landmarks suggest.
    """

    image: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    score: float
    region: Region
    mask: np.ndarray
    next_region: Region

    @property
    def pixels_per_metre(self) -> float:
        """Photo pixels per metre of the person, by least squares over the body's landmarks."""
        pixels = (self.image - self.image[HIPS].mean(0))[11:]
        metres = self.world[11:, :2] * [1, -1]
        return max(float((pixels * metres).sum() / max((metres**2).sum(), 1e-9)), 1e-6)

    @property
    def depth(self) -> np.ndarray:
        """(33,) photo pixels, positive to the viewer, about the hips' middle.

        From ``world``: the network's own image depth is about three times too large on bodies of known depth.
        """
        return self.world[:, 2] * self.pixels_per_metre

    def mask_in(self, to_frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The mask in another frame: (height, width) float32, 0 outside the region.

        ``to_frame`` (2, 3) maps photo pixels to that frame, ``size`` is its (width, height).
        """
        return self._warp(self.mask, to_frame, size)

    def cover_in(self, to_frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Like :meth:`mask_in`, but 1 inside the region, whatever the mask says."""
        return self._warp(np.ones_like(self.mask), to_frame, size)

    def _warp(self, values: np.ndarray, to_frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        region_to_photo = np.vstack([self.region.to_photo(INPUT), [0, 0, 1]])
        affine = np.vstack([to_frame, [0, 0, 1]]) @ region_to_photo
        return cv2.warpAffine(values, shift_centres(affine[:2]), size, flags=cv2.INTER_LINEAR)


def find_pose(
    image: np.ndarray,
    region: Region,
    network: Callable[[np.ndarray], list[np.ndarray]],
    *,
    mirrored: bool = False,
) -> Pose:
    """Run the network once on ``region`` of ``image`` (H, W, 3) uint8.

    With ``mirrored`` the network sees the region mirrored and its answer is mirrored back: a second
    opinion, whose disagreement with the first tells how sure both are.
    """
    pixels = sample_region(image, region, INPUT)
    pixels = pixels[:, ::-1] if mirrored else pixels
    flat, score, mask, heatmaps, world = network(np.ascontiguousarray(pixels[None], np.float32) / 255)
    raw = flat.reshape(AUXILIARY, 5).astype(np.float64)
    raw[:, :2] = refine_by_heatmaps(raw[:, :2], heatmaps[0])
    metres = world.reshape(AUXILIARY, 3).astype(np.float64)
    mask = mask[0, ..., 0]
    if mirrored:
        order = np.concatenate([LANDMARK_MIRROR, np.arange(COUNT, AUXILIARY)])
        raw, metres, mask = raw[order], metres[order] * [-1, 1, 1], mask[:, ::-1]
        raw[:, 0] = INPUT - raw[:, 0]
    photo = apply(region.to_photo(INPUT), raw[:, :2])
    return Pose(
        image=photo[:COUNT],
        world=_world(metres[:COUNT], region.angle),
        visibility=_sigmoid(raw[:COUNT, 3]),
        presence=_sigmoid(raw[:COUNT, 4]),
        score=float(score.reshape(-1)[0]),
        region=region,
        mask=_sigmoid(mask).astype(np.float32),
        next_region=person_region(photo[HIPS_MIDDLE], photo[REACH]),
    )


def refine_by_heatmaps(points: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Move each point to the centre of mass of its heat map nearby, where the map is confident.

    ``points`` (39, 2) input pixels, ``heatmaps`` (64, 64, 39) logits. A point whose map nowhere
    nearby exceeds 0.5 stays.
    """
    height, width, count = heatmaps.shape
    scale = INPUT / width
    cells = np.floor(points / scale).astype(int)
    refined = points.copy()
    reach = HEATMAP_WINDOW // 2
    for k in range(count):
        u, v = cells[k]
        if not (0 <= u < width and 0 <= v < height):
            continue
        us = np.arange(max(0, u - reach), min(width, u + reach + 1))
        vs = np.arange(max(0, v - reach), min(height, v + reach + 1))
        weights = _sigmoid(heatmaps[vs[0] : vs[-1] + 1, us[0] : us[-1] + 1, k].astype(np.float64))
        total = weights.sum()
        if weights.max() >= HEATMAP_FLOOR:
            refined[k] = weights.sum(0) @ us / total * scale, weights.sum(1) @ vs / total * scale
    return refined


def consensus(views: list[Pose]) -> tuple[Pose, np.ndarray]:
    """The component-wise median of several views of one person, in the first view's region.

    Also returns (33,) metres: the mean distance of the views' world landmarks from that median, a measure
    of how sure the network is of each.
    """
    first = views[0]
    frame = first.region.from_photo(INPUT)
    world = np.stack([view.world for view in views])
    median = np.median(world, axis=0)
    masks = [first.mask, *(view.mask_in(frame, (INPUT, INPUT)) for view in views[1:])]
    inside = [np.ones_like(first.mask), *(view.cover_in(frame, (INPUT, INPUT)) for view in views[1:])]
    pose = replace(
        first,
        image=np.median([view.image for view in views], axis=0),
        world=median,
        visibility=np.median([view.visibility for view in views], axis=0),
        presence=np.median([view.presence for view in views], axis=0),
        mask=(sum(masks) / np.maximum(sum(inside), 1e-6)).astype(np.float32),
    )
    return pose, np.linalg.norm(world - median, axis=2).mean(0)


def _world(points: np.ndarray, angle: float) -> np.ndarray:
    """The network's metres (x right, y down, z away, upright region) to the body frame's axes."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = points.T
    turned = np.stack([cos * x - sin * y, -(sin * x + cos * y), -z], axis=1)
    return turned - turned[HIPS].mean(0)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))
