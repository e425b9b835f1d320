"""Baking colours into a texture, texel by texel."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import Cancelled
from ..rasterise import Fragments, fragments, interpolate
from .mesh import vertex_normals

_THREADS = 2


@dataclass(frozen=True)
class SurfacePoints:
    """Points of a mesh for which colours are wanted.

    ``points`` (N, 3) and unit ``normals`` (N, 3) float32 in the mesh's frame; they lie on ``face`` (N,) with
    ``barycentric`` (N, 3).
    """

    points: np.ndarray
    normals: np.ndarray
    face: np.ndarray
    barycentric: np.ndarray
    faces: np.ndarray

    def interpolate(self, vertex_values: np.ndarray) -> np.ndarray:
        """Values (V, C) of the mesh's vertices at the points: (N, C)."""
        values = vertex_values[self.faces[self.face, 0]] * self.barycentric[:, 0:1]
        for corner in (1, 2):
            values += vertex_values[self.faces[self.face, corner]] * self.barycentric[:, corner : corner + 1]
        return values


Colour = Callable[[SurfacePoints], np.ndarray]
"""Gives colours (N, 3) in [0, 1] for surface points."""


def bake_texture(
    vertices: np.ndarray,
    faces: np.ndarray,
    corner_uv: np.ndarray,
    colour: Colour,
    *,
    size: int = 2048,
    chunk: int = 1 << 18,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """The texture (size, size, 3) uint8, row 0 at v = 1, of a mesh with ``corner_uv`` (F, 3, 2), v up.

    ``colour`` is asked once for every texel whose centre lies in a face, at most ``chunk`` at a time. The
    rest takes the colour of the nearest such texel, so that neither filtering nor mip-maps show seams.
    """
    corners = np.stack([corner_uv[..., 0], 1 - corner_uv[..., 1]], axis=-1) * size
    texels = _texels(corners, size)
    attributes = np.concatenate([vertices, vertex_normals(vertices, faces)], axis=1).astype(np.float32)[faces]
    texture = np.zeros((size, size, 3), np.uint8)
    filled = np.zeros((size, size), bool)
    count = len(texels.face)

    def paint(start: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("baking was cancelled")
        part = texels.select(slice(start, start + chunk))
        values = interpolate(attributes, part.face, part.barycentric)
        normals = values[:, 3:] / np.maximum(np.linalg.norm(values[:, 3:], axis=1, keepdims=True), 1e-12)
        colours = colour(SurfacePoints(values[:, :3], normals, part.face, part.barycentric, faces))
        texture[part.row, part.column] = np.clip(colours * 255 + 0.5, 0, 255).astype(np.uint8)
        filled[part.row, part.column] = True

    # No two chunks share a texel, and NumPy leaves Python's lock free for most of the work.
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for done, _ in enumerate(pool.map(paint, range(0, count, chunk)), 1):
                if progress is not None:
                    progress(min(done * chunk, count) / count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return fill_gaps(texture, filled)


def _texels(corners: np.ndarray, size: int) -> Fragments:
    """The texels of every face (F, 3, 2).

    A face too thin to hold a texel's centre takes the texel of its middle, if that is free, so that no chart
    is without a colour of its own.
    """
    found = fragments(corners, (size, size))
    taken = np.zeros((size, size), bool)
    taken[found.row, found.column] = True
    held = np.zeros(len(corners), bool)
    held[found.face] = True
    thin = np.flatnonzero(~held)
    column, row = np.clip(corners[thin].mean(1), 0, size - 1).astype(np.int32).T
    free = ~taken[row, column]
    third = np.full((np.count_nonzero(free), 3), 1 / 3, np.float32)
    return Fragments(
        np.concatenate([found.face, thin[free].astype(np.int32)]),
        np.concatenate([found.row, row[free]]),
        np.concatenate([found.column, column[free]]),
        np.concatenate([found.barycentric, third]),
    )


def fill_gaps(texture: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """``texture`` (H, W, 3) with the nearest filled colour wherever ``filled`` (H, W) bool is false."""
    if not filled.any():
        raise ValueError("no texel lies inside the atlas")
    _, label = cv2.distanceTransformWithLabels(
        (~filled).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Four bytes a colour: one number is looked up for each texel.
    colours = np.zeros((int(label.max()) + 1, 4), np.uint8)
    colours[label[filled], :3] = texture[filled]
    full = colours.view(np.uint32)[:, 0][label]
    return np.ascontiguousarray(full.view(np.uint8).reshape(*label.shape, 4)[..., :3])
