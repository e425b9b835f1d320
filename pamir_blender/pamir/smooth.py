"""Smoothing a surface without shrinking it: the grid's steps go, what the network says of the shape stays."""

from __future__ import annotations

import numpy as np
from scipy import sparse

SHRINK, SWELL = 0.5, -0.53
"""Taubin's lambda and mu: a step inwards, and one back that is a little longer."""

STEPS_AT_256 = 10
"""Pairs of steps that remove waves of two or three cells at 256 cells a side."""


def steps_for(resolution: int) -> int:
    """Pairs of steps that act as far, in box units, at any resolution: reach grows with their square root."""
    return max(1, round(STEPS_AT_256 * (resolution / 256) ** 2))


def taubin(vertices: np.ndarray, faces: np.ndarray, steps: int) -> np.ndarray:
    """The vertices (V, 3) of a closed mesh, smoothed by ``steps`` pairs of steps (Taubin 1995).

    Every vertex goes part of the way to the mean of its neighbours and then back; waves shorter than a few
    edges die out, longer ones and the volume stay.
    """
    mean = neighbour_mean(len(vertices), faces)
    places = np.asarray(vertices, np.float32)
    for _ in range(steps):
        for share in (SHRINK, SWELL):
            places = places + share * (mean @ places - places)
    return places


def neighbour_mean(count: int, faces: np.ndarray) -> sparse.csr_matrix:
    """(V, V) float32: what takes values of a closed mesh's ``count`` vertices to their neighbours' means."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    # A closed oriented mesh has every edge once in either direction.
    graph = sparse.csr_matrix((np.ones(len(ends), np.float32), ends.T), shape=(count, count))
    degree = np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1)
    return (sparse.diags_array(1 / degree) @ graph).tocsr()
