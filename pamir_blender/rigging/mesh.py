"""Small facts about triangle meshes that the rigging steps share: normals, neighbours, closedness."""

from __future__ import annotations

import numpy as np

from ..normals import face_normals as face_normals
from ..normals import vertex_normals as vertex_normals


def edges(faces: np.ndarray) -> np.ndarray:
    """(E, 2) distinct undirected edges, lower vertex first."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    count = int(faces.max()) + 1 if len(faces) else 1
    key = np.sort(ends[:, 0].astype(np.int64) * count + ends[:, 1])
    key = key[np.concatenate([np.ones(min(len(key), 1), bool), key[1:] != key[:-1]])]
    return np.stack([key // count, key % count], axis=1)


def face_pairs(faces: np.ndarray) -> np.ndarray:
    """(P, 2) faces that share an edge, once each; edges of more or fewer than two faces are left out."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    key = ends[:, 0].astype(np.int64) * (int(faces.max()) + 1) + ends[:, 1]
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    lengths = np.diff(np.append(starts, len(key)))
    pairs = starts[lengths == 2]
    return np.stack([order[pairs], order[pairs + 1]], axis=1) % len(faces)


def open_edges(faces: np.ndarray) -> np.ndarray:
    """(N, 2) directed edges of faces that no other face runs along the opposite way."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    count = int(faces.max()) + 1
    low, high = np.minimum(ends[:, 0], ends[:, 1]), np.maximum(ends[:, 0], ends[:, 1])
    order = np.argsort(low * count + high, kind="stable")
    key = (low * count + high)[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    # An edge is whole if as many faces run along it one way as the other.
    balance = np.add.reduceat(np.where(ends[order, 0] < ends[order, 1], 1, -1), first)
    size = np.diff(np.append(first, len(key)))
    return ends[order[np.repeat(balance != 0, size)]]


def is_closed(faces: np.ndarray) -> bool:
    """Whether every edge is used once in each direction: watertight, manifold along edges, oriented."""
    if len(faces) == 0:
        return False
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    count = int(faces.max()) + 1
    forward = np.sort(ends[:, 0] * count + ends[:, 1])
    backward = np.sort(ends[:, 1] * count + ends[:, 0])
    return bool((forward[1:] != forward[:-1]).all() and np.array_equal(forward, backward))
