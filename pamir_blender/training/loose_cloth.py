"""Cloth that stands away from the body, made up where the training pictures have too little of it.

A lifted skirt or a flying coat shows in the photo as a part of the person with no body behind it. The photo
does not say how deep it hangs; the likeliest is a thin sheet at the depth of the body beside it. This
augmentation draws such a part into image and mask and labels points accordingly, so that the network learns
to believe the mask where the body is silent.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy.spatial.distance import cdist

from .batches import Batch

SHARE_OF_POINTS = 0.25
"""Points of an augmented sample that are moved into the added cloth."""

FAR_SHARE = 0.25
"""Of those, points anywhere before or behind the sheet."""

HALF_THICKNESS = (0.014, 0.022)
"""Box units from a sheet's middle to its sides, drawn between these. Folded cloth is about as deep; and a
sheet thinner than the doubt about its depth is nowhere likelier full than empty: the field would lose it."""

CLEARANCE = 0.04
"""Box units about the sheet within which the view's own labels no longer hold."""


def with_loose_cloth(batch: Batch, probability: float) -> Batch:
    """:func:`add_loose_cloth` drawn from torch's random numbers; without any, the very ``batch``."""
    if not probability:
        return batch
    return add_loose_cloth(batch, probability, np.random.default_rng(int(torch.randint(1 << 31, ()))))


def add_loose_cloth(batch: Batch, probability: float, rng: np.random.Generator) -> Batch:
    """``batch`` with cloth added to a random ``probability`` of its samples, and ``"weights"`` (B, N).

    Reads ``image`` (B, 4, S, S), ``points`` (B, N, 3), ``occupancy`` (B, N) and ``body`` (B, V, 3), all on
    the CPU; returns changed copies of the first three. Weights are 0 where a label became doubtful, else 1.
    """
    changed = dict(batch)
    changed["weights"] = torch.ones_like(batch["occupancy"])
    chosen = np.flatnonzero(rng.random(len(batch["image"])) < probability)
    if not len(chosen):
        return changed
    for key in ("image", "points", "occupancy"):
        changed[key] = batch[key].clone()
    for item in chosen:
        _add(*(changed[k][item] for k in ("image", "points", "occupancy", "weights", "body")), rng)
    return changed


def _add(
    image: torch.Tensor,
    points: torch.Tensor,
    occupancy: torch.Tensor,
    weights: torch.Tensor,
    body: torch.Tensor,
    rng: np.random.Generator,
) -> None:
    """Change one sample's tensors in place."""
    size = image.shape[-1]
    vertices = body.numpy()[::7]
    mask = image[3].numpy()
    low, high = np.quantile(vertices[:, 1], [0.1, 0.85])
    middle = vertices[(vertices[:, 1] > low) & (vertices[:, 1] < high)]
    anchor = middle[rng.integers(len(middle))]
    shape = _outline(anchor[:2], anchor[0] >= np.median(middle[:, 0]), size, rng)
    added = np.clip(shape - mask, 0.0, 1.0)
    rows, columns = np.nonzero(added > 0.6)
    if len(rows) < 20:
        return
    sheet = _SheetDepth(vertices[::3].astype(np.float32))
    image.copy_(torch.from_numpy(_paint(image.numpy(), shape, added, anchor, rng)))

    own = points.numpy()
    column, row = ((own[:, :2] * [1, -1] + 0.5) * size).astype(int).clip(0, size - 1).T
    inside = np.flatnonzero(added[row, column] > 0.3)
    doubtful = np.abs(own[inside, 2] - sheet(own[inside, :2])) < CLEARANCE
    weights[inside[doubtful]] = 0.0

    count = int(SHARE_OF_POINTS * len(own))
    pixel = rng.integers(len(rows), size=count)
    at = np.stack([columns[pixel], rows[pixel]], axis=1) + rng.random((count, 2))
    place = (at / size - 0.5) * [1, -1]
    spread = np.where(rng.random(count) < 0.5, 0.012, 0.05)
    depth = rng.normal(0.0, spread)
    # Some far in front and behind, or the sheet would become a wall through the whole box.
    far = rng.random(count) < FAR_SHARE
    depth[far] = rng.uniform(-0.6, 0.6, far.sum())
    label = np.abs(depth) < rng.uniform(*HALF_THICKNESS)
    moved = rng.choice(len(own), count, replace=False)
    points[moved] = torch.from_numpy(np.column_stack([place, sheet(place) + depth])).float()
    occupancy[moved] = torch.from_numpy(label).float()
    weights[moved] = 1.0


def _outline(anchor: np.ndarray, right: bool, size: int, rng: np.random.Generator) -> np.ndarray:
    """(S, S) float32 in [0, 1]: a soft-cornered patch from ``anchor`` (x, y) away from the body."""
    angle = rng.normal(-0.4, 0.5)
    along = np.array([np.cos(angle) * (1 if right else -1), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    length, base, tip = rng.uniform(0.05, 0.2), rng.uniform(0.04, 0.13), rng.uniform(0.02, 0.14)
    end, root = anchor + length * along, anchor - 0.02 * along
    corners = np.array([root + base * across, end + tip * across, end - tip * across, root - base * across])
    corners += rng.normal(0.0, 0.012, corners.shape)
    pixels = ((corners * [1, -1] + 0.5) * size * 16).round().astype(np.int32)
    patch = cv2.fillPoly(np.zeros((size, size), np.float32), [pixels], 1.0, shift=4)
    soft = cv2.GaussianBlur(patch, (0, 0), size * rng.uniform(0.006, 0.02))
    return np.clip((soft - 0.5) * 6.0 + 0.5, 0.0, 1.0)


def _paint(
    image: np.ndarray, shape: np.ndarray, added: np.ndarray, anchor: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The image (4, S, S) with the patch in the person's colour nearby, shaded in broad folds."""
    size = image.shape[-1]
    column, row = ((anchor[:2] * [1, -1] + 0.5) * size).astype(int).clip(0, size - 1)
    reach = size // 24
    window = image[:, max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    weight = window[3] + 1e-3
    color = (window[:3] * weight).sum(axis=(1, 2)) / weight.sum()
    folds = cv2.resize(rng.normal(1.0, 0.12, (5, 9)).astype(np.float32), (size, size))
    painted = np.clip(color[:, None, None] * folds, 0.0, 1.0)
    # The patch lies behind the person; together both cover the union.
    result = image.copy()
    result[:3] = image[:3] * (1.0 - added) + painted * added
    result[3] = np.maximum(image[3], shape)
    return result


class _SheetDepth:
    """The depth of the body beside a place (x, y): the mean z of its vertices there, smoothed."""

    def __init__(self, vertices: np.ndarray) -> None:
        self.places, self.depths = vertices[:, :2], vertices[:, 2]

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """(N, 2) box x, y to (N,) box z."""
        places = places.astype(np.float32)
        squared = cdist(places, self.places, "sqeuclidean").astype(np.float32)
        weight = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / (2 * 0.03**2))
        return (weight @ self.depths) / weight.sum(axis=1)
