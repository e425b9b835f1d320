"""Depth-ambiguity-aware supervision (PaMIR section 4.2, equations 7 and 8).

One photo says little about depth, so a network that is conditioned on an estimated body can only be asked
for the right surface *relative to that body*. A training point p, sampled around the true subject, is
therefore moved along the viewing axis by as much as the estimated body is off near p, and keeps its label:

    dz(p) = sum_j w_j / sum_j w_j * (z(v_j) - z(v*_j)),   w_j = exp(-|p - v*_j| / (2 sigma^2)),

over the four vertices v*_j of the true body that are nearest to p; v_j are the same vertices of the
estimated body. Only z moves: what the photo does show, x and y, is supervised as it is.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 4
SIGMA = 0.1


def depth_shift(
    points: np.ndarray,
    true_vertices: np.ndarray,
    estimated_vertices: np.ndarray,
    *,
    sigma: float = SIGMA,
    neighbours: int = NEIGHBOURS,
    tree: cKDTree | None = None,
) -> np.ndarray:
    """How far each point moves along z, (N,) float32, box units.

    ``points`` (N, 3), ``true_vertices`` and ``estimated_vertices`` (V, 3) with the same vertex order, all in
    the box frame; ``sigma`` in the square root of box units, as the paper's weight is exponential in the
    plain distance; ``tree`` may hold a search tree of ``true_vertices`` that was built before.
    Raises ValueError when the two bodies have different shapes. Source: equations 7 and 8.
    """
    if true_vertices.shape != estimated_vertices.shape:
        raise ValueError(
            f"the true body has shape {true_vertices.shape}, the estimated one {estimated_vertices.shape}"
        )
    tree = tree if tree is not None else cKDTree(true_vertices)
    distance, index = tree.query(points, k=neighbours)
    # Only ratios of weights matter, so the nearest distance is taken off before the exponential underflows.
    weight = np.exp(-(distance - distance[:, :1]) / (2.0 * sigma**2))
    error = estimated_vertices[index, 2] - true_vertices[index, 2]
    return ((weight * error).sum(axis=1) / weight.sum(axis=1)).astype(np.float32)


def shift_points(
    points: np.ndarray, true_vertices: np.ndarray, estimated_vertices: np.ndarray, **options: object
) -> np.ndarray:
    """``points`` (N, 3) moved along z by :func:`depth_shift`, float32; the options are the same."""
    moved = np.array(points, dtype=np.float32)
    moved[:, 2] += depth_shift(points, true_vertices, estimated_vertices, **options)  # type: ignore[arg-type]
    return moved
