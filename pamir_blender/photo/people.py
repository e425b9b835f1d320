"""People in a photo: the pose-detection network, its anchors, and non-maximum suppression.

The network (BlazePose; Bazarevsky et al. 2020) sees 224 x 224 pixels and proposes a head box and four
alignment points per person. Small people in a large photo are looked for again in overlapping tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .regions import Region, apply, person_region, sample_region, shrink

INPUT = 224
GRIDS = ((28, 2), (14, 2), (7, 6))  # cells a side, anchors a cell
MIN_SCORE = 0.5
SAME_PERSON_IOU = 0.3
TILE_BELOW = 0.35  # tiles are searched if the largest person's region is below this part of the longer side
MAX_PROPOSALS = 12


@dataclass(frozen=True)
class Proposal:
    """One person. ``box`` (4,) x0, y0, x1, y1 of the head and ``points`` (4, 2) in photo pixels:
    hips' middle, whole-body reach, shoulders' middle, upper-body reach; ``score`` in [0, 1]."""

    score: float
    box: np.ndarray
    points: np.ndarray

    @property
    def region(self) -> Region:
        """Where the landmark network should look."""
        return person_region(self.points[0], self.points[1])


def anchor_centres() -> np.ndarray:
    """(2254, 2) centres u, v of the anchors as parts of the input's side."""
    layers = []
    for cells, per_cell in GRIDS:
        centres = (np.arange(cells) + 0.5) / cells
        v, u = np.meshgrid(centres, centres, indexing="ij")
        layers.append(np.repeat(np.stack([u, v], -1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(layers)


ANCHORS = anchor_centres()


def decode(
    boxes: np.ndarray, logits: np.ndarray, min_score: float = MIN_SCORE
) -> tuple[np.ndarray, np.ndarray]:
    """Network outputs (2254, 12) and (2254,) to (N,) scores and (N, 6, 2) points in input pixels.

    The points are the head box's two corners and the four alignment points. Boxes are offsets in pixels
    from their anchor: centre, size, then the points.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    keep = scores >= min_score
    raw = boxes[keep].reshape(-1, 6, 2)
    anchors = ANCHORS[keep, None] * INPUT
    centre, half = raw[:, :1] + anchors, raw[:, 1:2] / 2
    return scores[keep], np.concatenate([centre - half, centre + half, raw[:, 2:] + anchors], axis=1)


def weighted_suppression(scores: np.ndarray, points: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Merge overlapping proposals into their score-weighted mean, best first.

    ``points`` (N, 6, 2) as from :func:`decode`, any frame.
    """
    merged = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        overlap = _iou(points[left[0]], points[left])
        group = left[overlap > SAME_PERSON_IOU]
        group = group if len(group) else left[:1]
        weights = scores[group] / scores[group].sum()
        merged.append((float(scores[group[0]]), np.tensordot(weights, points[group], axes=1)))
        left = left[~np.isin(left, group)]
    return merged


def _iou(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Overlap of one head box (6, 2) with many (N, 6, 2); only their first two points count."""
    own_low, own_high = one[:2].min(0), one[:2].max(0)  # corners swap places in a turned region
    lows, highs = many[:, :2].min(1), many[:, :2].max(1)
    common = np.prod(np.clip(np.minimum(own_high, highs) - np.maximum(own_low, lows), 0, None), axis=1)
    area = np.prod(highs - lows, axis=1) + np.prod(own_high - own_low)
    return common / np.maximum(area - common, 1e-9)


def find_people(
    image: np.ndarray,
    network: Callable[[np.ndarray], list[np.ndarray]],
    box: np.ndarray | None = None,
    *,
    thorough: bool = True,
) -> list[Proposal]:
    """Everybody the network sees in ``image`` (H, W, 3) uint8, best score first, at most 12.

    With ``box`` (x0, y0, x1, y1) in photo pixels, only that part of the photo is searched.
    ``thorough`` looks closer, and for lying people, if nobody or only a small person is found at first.
    """
    height, width = image.shape[:2]
    whole = box_region(np.array([0, 0, width, height]) if box is None else box)
    found = [_search(image, whole, network)]
    tiled = thorough and box is None
    if tiled and _largest(found) < TILE_BELOW * whole.size:
        found += _search_tiles(image, (2, 3), network)
    if thorough and _largest(found) == 0:  # lying on the floor, upside down, or a photo on its side
        turns = (np.pi / 2, -np.pi / 2, np.pi)
        found += [_search(image, Region(whole.centre, whole.size, turn), network) for turn in turns]
    if tiled and _largest(found) == 0:
        found += _search_tiles(image, (5,), network)
    scores, points = (np.concatenate(part) for part in zip(*found, strict=True))
    people = weighted_suppression(scores, points)[:MAX_PROPOSALS]
    return [
        Proposal(score, np.concatenate([person[:2].min(0), person[:2].max(0)]), person[2:])
        for score, person in people
    ]


def box_region(box: np.ndarray) -> Region:
    """An upright square around a box."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return Region(((x0 + x1) / 2, (y0 + y1) / 2), float(max(x1 - x0, y1 - y0)))


def _largest(found: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Side of the largest person's region in photo pixels; 0 if nobody was found."""
    return max((2 * np.linalg.norm(p[:, 3] - p[:, 2], axis=1).max() for _, p in found if len(p)), default=0.0)


def _search_tiles(
    image: np.ndarray, parts: tuple[int, ...], network: Callable[[np.ndarray], list[np.ndarray]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Search squares of the longer side's 1/``parts``, each overlapping the next by half."""
    found = []
    for part in parts:
        scale = min(1.0, INPUT * part / max(image.shape[:2]))
        small = shrink(image, scale)
        height, width = small.shape[:2]
        size = max(max(width, height) / part, INPUT / 2)
        counts = [max(1, int(np.ceil((length - size) / (size / 2))) + 1) for length in (width, height)]
        us, vs = (
            np.linspace(size / 2, length - size / 2, count) if length > size else np.array([length / 2])
            for length, count in zip((width, height), counts, strict=True)
        )
        for v in vs:
            for u in us:
                scores, points = _search(small, Region((float(u), float(v)), float(size)), network)
                found.append((scores, points * (np.array(image.shape[1::-1]) / [width, height])))
    return found


def _search(
    image: np.ndarray, region: Region, network: Callable[[np.ndarray], list[np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) and points (N, 6, 2) in photo pixels of one region."""
    pixels = sample_region(image, region, INPUT, border=cv2.BORDER_CONSTANT)
    boxes, logits = network(pixels[None].astype(np.float32) / 127.5 - 1)
    scores, points = decode(boxes[0], logits[0, :, 0])
    return scores, apply(region.to_photo(INPUT), points)
