"""Depth-ambiguity-aware supervision (PaMIR section 4.2, equations 7 and 8).

One photo says little about depth, so a network that is conditioned on an estimated body can only be asked
for the right surface *relative to that body*. A training point p, sampled around the true subject, is
therefore moved along the viewing axis by as much as the estimated body is off near p, and keeps its label:

    dz(p) = sum_j w_j / sum_j w_j * (z(v_j) - z(v*_j))

over the four vertices v*_j of the true body that are nearest to p; v_j are the same vertices of the
estimated body. Only z moves: what the photo does show, x and y, is supervised as it is.

Equation 8 prints w_j = exp(-|p - v*_j| / (2 sigma^2)). The width that works depends on how far p is from the
body: a fixed one leaves far points to the single nearest vertex, or makes near ones a plain mean. Unless a
``sigma`` is given, the weights are Gaussians as wide as the nearest vertex is far, free of units; neighbours
and weights then belong to the subject alone and are stored with it, whatever view and body come later.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 4
"""Body vertices that carry a point's shift."""


def nearest_vertices(
    tree: cKDTree, points: np.ndarray, *, sigma: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The 4 nearest vertices of the true body, (N, 4) int, and their weights, (N, 4) float64, rows sum to 1.

    ``tree`` holds the true body's vertices, in the frame and unit of ``points`` (N, 3). ``sigma`` in the
    square root of that unit: equation 8 as printed; None: Gaussians as wide as the nearest vertex is far.
    """
    distance, index = tree.query(points, k=NEIGHBOURS)
    if sigma is None:
        weight = np.exp(-(distance**2) / (2 * np.maximum(distance[:, :1], 1e-4) ** 2))
    else:
        # Only ratios count, so the nearest distance is taken off before the exponential underflows.
        weight = np.exp(-(distance - distance[:, :1]) / (2.0 * sigma**2))
    return index, weight / weight.sum(axis=1, keepdims=True)


def to_shares(weight: np.ndarray) -> np.ndarray:
    """Weights in [0, 1] as uint8, 255 = all: what lies on disk."""
    return np.round(weight * 255).astype(np.uint8)


def shift_along(depth_error: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Equation 7: how far each point moves along z, (N,) float32.

    ``depth_error`` (V,) each body vertex's z(v) - z(v*); ``index`` and ``weight`` (N, 4) of
    :func:`nearest_vertices`, the weights of any scale, or as :func:`to_shares` stores them.
    """
    share = weight.astype(np.float64)
    total = np.maximum(share.sum(axis=1), 1e-12)
    return ((depth_error[index] * share).sum(axis=1) / total).astype(np.float32)


def depth_shift(
    points: np.ndarray,
    true_vertices: np.ndarray,
    estimated_vertices: np.ndarray,
    *,
    sigma: float | None = None,
) -> np.ndarray:
    """Equations 7 and 8 in one go: how far ``points`` (N, 3) move along z, (N,) float32.

    ``true_vertices`` and ``estimated_vertices`` (V, 3) with the same vertex order, all in one frame.
    Raises ValueError when the two bodies have different shapes.
    """
    if true_vertices.shape != estimated_vertices.shape:
        raise ValueError(
            f"the true body has shape {true_vertices.shape}, the estimated one {estimated_vertices.shape}"
        )
    index, weight = nearest_vertices(cKDTree(true_vertices), points, sigma=sigma)
    return shift_along(estimated_vertices[:, 2] - true_vertices[:, 2], index, weight)
