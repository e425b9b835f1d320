"""Triangles to pixels and pixels to points: shared by baking, previews, silhouettes and visibility.

Pixel (row, column) has its centre at (column + 0.5, row + 0.5). Spans are half-open in both directions and
both triangles at an edge compute its crossing with a row from the same numbers, so a pixel centre belongs to
exactly one of two neighbouring triangles: no cracks, no double hits.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Spans:
    """Runs of pixels ``start <= column < stop`` of one row that a face covers; all (S,) int32."""

    face: np.ndarray
    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray


@dataclass(frozen=True)
class Fragments:
    """Pixels covered by faces: ``face``, ``row``, ``column`` (N,) int32, ``barycentric`` (N, 3) float32."""

    face: np.ndarray
    row: np.ndarray
    column: np.ndarray
    barycentric: np.ndarray

    def interpolate(self, corner_values: np.ndarray) -> np.ndarray:
        """Values (F, 3, C) at the faces' corners, interpolated at the fragments: (N, C)."""
        return interpolate(corner_values, self.face, self.barycentric)

    def select(self, keep: np.ndarray) -> Fragments:
        """The fragments of a boolean mask or an index array."""
        return Fragments(self.face[keep], self.row[keep], self.column[keep], self.barycentric[keep])


def interpolate(corner_values: np.ndarray, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
    """Corner values (F, 3, C) at points (N,) faces with (N, 3) barycentric coordinates: (N, C)."""
    values = corner_values[face, 0] * barycentric[:, 0:1]
    for corner in (1, 2):
        values += corner_values[face, corner] * barycentric[:, corner : corner + 1]
    return values


def spans(corners: np.ndarray, size: tuple[int, int]) -> Spans:
    """The spans of triangles (F, 3, 2), in pixels (u right, v down), within an image (width, height)."""
    width, height = size
    # Sampling points at integers from here on.
    points = np.asarray(corners, np.float64) - 0.5
    low, middle, high = _by_height(points)
    face, row = _expand(low[:, 1], high[:, 1], height)
    low, middle, high, y = low[face], middle[face], high[face], row.astype(np.float64)
    upper = (middle[:, 1] <= y)[:, None]
    one = _crossing(low, high, y)
    other = _crossing(np.where(upper, middle, low), np.where(upper, high, middle), y)
    start = np.ceil(np.minimum(one, other)).clip(0, width).astype(np.int32)
    stop = np.ceil(np.maximum(one, other)).clip(0, width).astype(np.int32)
    some = stop > start
    return Spans(face[some], row[some], start[some], stop[some])


def fragments(corners: np.ndarray, size: tuple[int, int]) -> Fragments:
    """Every pixel centre inside every triangle (F, 3, 2) of an image (width, height), hidden ones too."""
    runs = spans(corners, size)
    length = runs.stop - runs.start
    run = np.repeat(np.arange(len(length), dtype=np.int32), length)
    step = np.arange(len(run), dtype=np.int32) - (np.cumsum(length, dtype=np.int32) - length)[run]
    # Barycentric coordinates change evenly along a run: exact at its start, then one multiply-add a pixel.
    a, b, c = (corners[runs.face, corner].astype(np.float64) for corner in range(3))
    pixel = np.stack([runs.start + 0.5, runs.row + 0.5], axis=1)
    area = _cross(b - a, c - a)
    area[area == 0] = np.inf  # a sliver that rounding alone gave a pixel: its last corner's values
    weights = np.empty((len(run), 3), np.float32)
    for corner, (start, end) in enumerate(((b, c), (c, a))):
        first = (_cross(end - start, pixel - start) / area).astype(np.float32)
        slope = ((start - end)[:, 1] / area).astype(np.float32)
        weights[:, corner] = first[run] + slope[run] * step
    # Rounding may place a pixel just outside of a thin face; its values must not leave the face.
    np.clip(weights[:, 0], 0, 1, out=weights[:, 0])
    np.clip(weights[:, 1], 0, 1 - weights[:, 0], out=weights[:, 1])
    weights[:, 2] = 1 - weights[:, 0] - weights[:, 1]
    return Fragments(runs.face[run], runs.row[run], runs.start[run] + step, weights)


def nearest(pieces: Fragments, depth: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which fragment is seen in each pixel: (H, W) int index into ``pieces``, -1 for none, and the (H, W)
    float32 depth buffer, -inf for none. ``depth`` (N,) grows towards the viewer."""
    width, height = size
    pixel = pieces.row.astype(np.int64) * width + pieces.column
    buffer = np.full(width * height, -np.inf, np.float32)
    depth = depth.astype(np.float32)
    np.maximum.at(buffer, pixel, depth)
    winner = np.full(width * height, -1, np.int64)
    front = np.flatnonzero(depth >= buffer[pixel])
    winner[pixel[front]] = front
    return winner.reshape(height, width), buffer.reshape(height, width)


def coverage(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels whose centres any triangle (F, 3, 2) covers. Cheap at any resolution."""
    width, height = size
    runs = spans(corners, size)
    change = np.zeros(height * (width + 1), np.int32)
    line = runs.row.astype(np.int64) * (width + 1)
    change += np.bincount(line + runs.start, minlength=len(change)).astype(np.int32)
    change -= np.bincount(line + runs.stop, minlength=len(change)).astype(np.int32)
    return (change.reshape(height, width + 1).cumsum(1)[:, :width]) > 0


def sample(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours (N, 3) float32 of an image (H, W, 3) uint8 at pixels (N, 2), u right, v down; bilinear.

    Beyond the image its border goes on.
    """
    # remap's pictures have at most 32767 rows and columns, so points are laid out in rows of 4096.
    rows = -(-len(points) // 4096)
    grid = np.zeros((rows * 4096, 2), np.float32)
    grid[: len(points)] = points - 0.5
    found = cv2.remap(
        image, grid.reshape(rows, 4096, 2), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found.reshape(-1, 3)[: len(points)].astype(np.float32)


def _by_height(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners (F, 2) of triangles (F, 3, 2) from the lowest v to the highest."""
    a, b, c = points[:, 0], points[:, 1], points[:, 2]
    for _ in range(2):  # a bubble sort of three, pairwise on whole columns
        swap = (a[:, 1] > b[:, 1])[:, None]
        a, b = np.where(swap, b, a), np.where(swap, a, b)
        swap = (b[:, 1] > c[:, 1])[:, None]
        b, c = np.where(swap, c, b), np.where(swap, b, c)
    return a, b, c


def _crossing(start: np.ndarray, end: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x where segments (N, 2), the second end higher, cross ``y``."""
    return start[:, 0] + (y - start[:, 1]) / (end[:, 1] - start[:, 1]) * (end[:, 0] - start[:, 0])


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _expand(start: np.ndarray, stop: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """All integers i with ``start <= i < stop`` inside [0, limit): (interval (N,), i (N,)) int32."""
    first = np.ceil(start).clip(0, limit).astype(np.int64)
    count = np.maximum(np.ceil(stop).clip(0, limit).astype(np.int64) - first, 0)
    interval = np.repeat(np.arange(len(count), dtype=np.int32), count)
    shift = first - (np.cumsum(count) - count)
    return interval, (np.arange(len(interval)) + np.repeat(shift, count)).astype(np.int32)
