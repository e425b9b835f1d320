"""Closed parts that garments and hair are built from; metres, faces counter-clockwise from outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPAN = 1.4
"""Metres of cloth that a tile's height shows, so that patterns have one size on all parts."""


@dataclass(frozen=True)
class Part:
    """One closed piece: ``vertices`` (V, 3), ``faces`` (F, 3), ``uv`` (V, 2) in its ``tile`` (h, w, 3)."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    tile: np.ndarray


def grid_faces(rows: int, columns: int, wrap: bool) -> np.ndarray:
    """Triangles (F, 3) of a grid of ``rows`` x ``columns`` vertices; ``wrap`` joins last and first column.

    Outside is where, seen from there, columns run to the right and rows run downwards.
    """
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns if wrap else columns - 1), indexing="ij")
    a = (row * columns + column).ravel()
    b = (row * columns + (column + 1) % columns).ravel()
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)


def capped_tube(rings: np.ndarray, tile: np.ndarray, repeat: float = 1.0) -> Part:
    """A closed tube through ``rings`` (R, K, 3), top first, each counter-clockwise from above."""
    count, around = rings.shape[:2]
    side = grid_faces(count, around, wrap=True)
    top, bottom = rings[0].mean(axis=0), rings[-1].mean(axis=0)
    vertices = np.concatenate([rings.reshape(-1, 3), top[None], bottom[None]])
    k = np.arange(around)
    first, last = count * around, count * around + 1
    base = (count - 1) * around
    caps = np.concatenate(
        [
            np.stack([k, (k + 1) % around, np.full(around, first)], 1),
            np.stack([base + (k + 1) % around, base + k, np.full(around, last)], 1),
        ]
    )
    # Mirrored in u so that the tile meets itself without a seam.
    u = 1 - np.abs(1 - 2 * ((k / around * repeat) % 1))
    length = np.linalg.norm(np.diff(rings.mean(axis=1), axis=0), axis=1).sum()
    v = np.linspace(0.01, min(0.01 + length / SPAN, 0.99), count)
    uv = np.stack(np.broadcast_arrays(u[None, :], v[:, None]), axis=-1).reshape(-1, 2)
    uv = np.concatenate([uv, [[0.5, 0.01], [0.5, 0.99]]])
    return Part(
        vertices.astype(np.float32),
        np.concatenate([side, caps]).astype(np.int32),
        uv.astype(np.float32),
        tile,
    )


def open_coat(outer: np.ndarray, inner: np.ndarray, tile: np.ndarray) -> Part:
    """A closed slab between ``outer`` and ``inner`` (R, K, 3) sheets that do not meet around (an open front).

    Rings run counter-clockwise seen from above, top ring first.
    """
    rows, columns = outer.shape[:2]
    faces = grid_faces(rows, columns, wrap=False)
    count = rows * columns
    grid = np.arange(count).reshape(rows, columns)
    rim = np.concatenate([grid[0, :], grid[1:, -1], grid[-1, -2::-1], grid[-2:0:-1, 0]])
    following = np.roll(rim, -1)
    # The rim runs clockwise seen from outside, so its walls turn the other way than the sheet's own edges.
    walls = np.concatenate(
        [np.stack([rim, following, rim + count], 1), np.stack([following, following + count, rim + count], 1)]
    )
    vertices = np.concatenate([outer.reshape(-1, 3), inner.reshape(-1, 3)])
    length = np.linalg.norm(outer[0].mean(axis=0) - outer[-1].mean(axis=0))
    u, v = np.meshgrid(
        np.linspace(0.01, 0.99, columns), np.linspace(0.01, min(0.01 + length / SPAN, 0.99), rows)
    )
    uv = np.tile(np.stack([u, v], axis=-1).reshape(-1, 2), (2, 1))
    solid = np.concatenate([faces, faces[:, ::-1] + count, walls]).astype(np.int32)
    return Part(vertices.astype(np.float32), solid, uv.astype(np.float32), tile)


def sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit icosphere: directions (V, 3) and faces (F, 3)."""
    t = (1 + 5**0.5) / 2
    points = [
        (-1, t, 0), (1, t, 0), (-1, -t, 0), (1, -t, 0), (0, -1, t), (0, 1, t), (0, -1, -t), (0, 1, -t),
        (t, 0, -1), (t, 0, 1), (-t, 0, -1), (-t, 0, 1),
    ]  # fmt: skip
    faces = [
        (0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2),
        (10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5),
        (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1),
    ]  # fmt: skip
    vertices = np.array(points, float)
    triangles = np.array(faces)
    for _ in range(subdivisions):
        edges = np.sort(
            np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1
        )
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        middle = inverse.reshape(3, -1).T + len(vertices)
        vertices = np.concatenate([vertices, (vertices[unique[:, 0]] + vertices[unique[:, 1]]) / 2])
        a, b, c = triangles.T
        ab, bc, ca = middle.T
        triangles = np.concatenate(
            [np.stack(part, 1) for part in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
        )
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), triangles.astype(np.int32)


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Cubic metres enclosed by a closed part; positive when it is counter-clockwise from outside."""
    a, b, c = np.asarray(vertices, float)[faces].transpose(1, 0, 2)
    return float(np.einsum("nc,nc->n", a, np.cross(b, c)).sum() / 6)
