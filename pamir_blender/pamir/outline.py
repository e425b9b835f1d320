"""The surface's outline drawn onto the photo's.

A photo says nothing as exactly as where the person ends. A field knows it only as finely as its image
features are; the surface's outline comes out a pixel or two beside the mask's. Where both run close together
the surface is moved onto the mask's outline, across its own edge, and what lies near follows smoothly. What
is further off stays: there one of them is wrong, and a small move would not mend it. The paper has no such
step.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_matrix

from ..normals import vertex_normals
from ..rasterise import coverage
from .smooth import neighbour_mean

SIZE = 512
"""Pixels a side of the picture in which outlines are compared."""

NEAR, FAR = 0.008, 0.012
"""Box units between both outlines up to which the surface is moved all the way, and from which it stays."""

RIM = 0.006
"""Box units from the surface's own outline within which vertices belong to it."""

EDGE_ON = 0.7
"""Of a vertex's normal, the largest share along the viewing direction for it to belong to the outline."""

_ALONG, _SPREAD = 6, 24


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """(S, S) float32 pixels to the border of a boolean picture, positive inside; its own edge is a border."""
    framed = np.pad(inside, 1)
    within = cv2.distanceTransform(framed.astype(np.uint8), cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform((~framed).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(framed, within - 0.5, 0.5 - beyond)[1:-1, 1:-1].astype(np.float32)


def covered(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE) bool: the pixels that a mesh in the box covers, row 0 at the top."""
    return coverage(((vertices[:, :2] * [1, -1] + 0.5) * SIZE)[faces], (SIZE, SIZE))


def onto_outline(vertices: np.ndarray, faces: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) of a closed mesh in the box with its outline moved onto that of ``mask`` (S, S).

    ``faces`` (F, 3) counter-clockwise from outside; ``mask`` in [0, 1], of the box's x and y. Depths stay.
    """
    shown = _shown(mask)
    if not shown.any():
        return vertices
    places = ((vertices[:, :2] * [1, -1] + 0.5) * SIZE - 0.5).astype(np.float32)
    own = _at(signed_distance(covered(vertices, faces)), places) / SIZE
    target = cv2.GaussianBlur(signed_distance(shown), (0, 0), 1.0)
    wanted = _at(target, places) / SIZE
    normals = vertex_normals(vertices, faces)
    across = normals[:, :2] / np.maximum(np.linalg.norm(normals[:, :2], axis=1, keepdims=True), 1e-6)
    # How much a vertex is of the rim; it falls off gently, so that no crease runs beside it.
    rim = np.clip(1 - np.abs(own) / RIM, 0, 1) * np.clip(1 - np.abs(normals[:, 2]) / EDGE_ON, 0, 1)
    close = np.clip((FAR - np.abs(wanted)) / (FAR - NEAR), 0, 1)
    # Where both outlines cross, as at a limb that the mask lacks, the mask's says nothing about this edge.
    down, right = np.gradient(target)
    close *= np.clip(-2 * (_at(right, places) * across[:, 0] - _at(down, places) * across[:, 1]), 0, 1)
    neighbours = neighbour_mean(len(vertices), faces)
    move = _smooth((wanted - own) * close, rim, neighbours, _ALONG)[:, None] * across
    share = np.minimum(2 * rim, 1)[:, None]
    field = move * share
    for _ in range(_SPREAD):
        field = share * move + (1 - share) * (neighbours @ field)
    moved = vertices.copy()
    moved[:, :2] += field
    return np.clip(moved, -0.5, 0.5)


def outline_iou(vertices: np.ndarray, faces: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of a mesh's silhouette in the box and a mask (S, S) in [0, 1]."""
    drawn, shown = covered(vertices, faces), _shown(mask)
    return float((drawn & shown).sum() / max((drawn | shown).sum(), 1))


def _shown(mask: np.ndarray) -> np.ndarray:
    return cv2.resize(np.asarray(mask, np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) > 0.5


def _smooth(values: np.ndarray, weight: np.ndarray, neighbours: csr_matrix, steps: int) -> np.ndarray:
    """``values`` (V,) averaged over neighbours by their ``weight`` (V,)."""
    total = neighbours @ weight
    for _ in range(steps):
        mean = (neighbours @ (values * weight)) / np.maximum(total, 1e-9)
        values = np.where(total > 1e-3, 0.5 * values + 0.5 * mean, values)
    return values


def _at(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(V,) values of a picture at places (V, 2) in pixels, bilinear."""
    return map_coordinates(picture, places.T[::-1], order=1, mode="nearest")
