"""Skinning weights for the clothed surface, taken from the body under it.

Where the clothes lie close to the body and face the same way, a point takes the weights of the body near it.
Everywhere else, as on a skirt between the legs, hair, a coat's tails, nearness says little, and weights are
spread from the sure places over the mesh itself. This is the idea of Abdrashitov et al. 2023, "Robust Skin
Weights Transfer via Weight Inpainting", with soft confidences instead of a hard choice.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..contracts import LIMBS
from .mesh import edges, vertex_normals

INFLUENCES = 4
"""Joints that may move one vertex: what game engines and glTF allow."""

_CANDIDATES = 16  # body vertices looked at
_SOFTNESS = 0.01  # metres: nearer body vertices all count about the same
_REACH = 0.05  # metres from the body where confidence has fallen to a third
_FACING = 0.3  # least cosine between the normals of cloth and body
_SPREAD = 1.0  # strength of smoothing against a full confidence of 1
_ISLAND = 0.25  # of a limb's largest patch: smaller patches do not belong to it
_ITERATIONS = 50  # leaves less than 0.05 anywhere, a thousandth on average
_STEPS = 1 << 16  # weights are multiples of 1/65536, so that float32 sums are exactly 1


def transfer_skin_weights(
    body_vertices: np.ndarray,
    body_faces: np.ndarray,
    body_weights: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the clothed surface: joints (W, 4) uint8 and weights (W, 4) float32 that sum to exactly 1.

    ``body_vertices`` (V, 3) and ``vertices`` (W, 3) stand in the same pose and frame, in metres;
    ``body_weights`` (V, 24). ``faces`` (F, 3) connect the clothed surface: weights travel along them only, so
    an arm that merely touches the torso takes nothing from it.
    """
    guess, confidence = _from_nearest(body_vertices, body_faces, body_weights, vertices, faces)
    beside = _adjacency(vertices, faces)
    confidence = confidence * ~_islands(guess, confidence, beside)
    return limit_influences(_spread(guess, confidence, beside))


def limit_influences(dense: np.ndarray, count: int = INFLUENCES) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` largest of dense weights (W, J), largest first: joints uint8, weights float32.

    Weights sum to exactly 1. Joints of no weight are 0, so that no joint is named twice with weight.
    """
    joints = np.argpartition(-dense, count - 1, axis=1)[:, :count]
    weights = np.take_along_axis(dense, joints, 1).astype(np.float64)
    order = np.argsort(-weights, axis=1, kind="stable")
    joints, weights = np.take_along_axis(joints, order, 1), np.take_along_axis(weights, order, 1)
    steps = np.floor(weights / weights.sum(1, keepdims=True) * _STEPS + 0.5)
    steps[:, 0] += _STEPS - steps.sum(1)
    joints[steps == 0] = 0
    return joints.astype(np.uint8), (steps / _STEPS).astype(np.float32)


def dense_weights(joints: np.ndarray, weights: np.ndarray, count: int = 24) -> np.ndarray:
    """(W, J) float32 from joints (W, 4) and weights (W, 4)."""
    dense = np.zeros((len(joints), count), np.float32)
    np.add.at(dense, (np.arange(len(joints))[:, None], joints.astype(np.int64)), weights)
    return dense


def _from_nearest(
    body_vertices: np.ndarray,
    body_faces: np.ndarray,
    body_weights: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (W, J) blended from body vertices that are near and face the same way, and how far to trust
    them (W,) in [0, 1]."""
    distance, index = cKDTree(body_vertices).query(vertices, k=_CANDIDATES, workers=-1)
    body_normals = vertex_normals(body_vertices, body_faces)
    cosine = np.einsum("wkx,wx->wk", body_normals[index], vertex_normals(vertices, faces))
    alike = np.clip((cosine - _FACING) / (1 - _FACING), 0, 1)
    share = alike / (distance**2 + _SOFTNESS**2)
    total = share.sum(1, keepdims=True)
    sparse = csr_matrix(
        (
            (share / np.maximum(total, 1e-12)).ravel(),
            index.ravel(),
            np.arange(len(vertices) + 1) * _CANDIDATES,
        ),
        shape=(len(vertices), len(body_vertices)),
    )
    guess = np.asarray(sparse @ np.asarray(body_weights, np.float64))
    # The distance that matters is to the part of the body that was used.
    reach = (share * distance).sum(1) / np.maximum(total[:, 0], 1e-12)
    confidence = alike.max(1) * np.exp(-((reach / _REACH) ** 2))
    # Nothing alike nearby: the nearest vertex, untrusted, so that a loose piece has some weights at all.
    lost = np.flatnonzero(total[:, 0] <= 0)
    guess[lost] = body_weights[index[lost, 0]]
    confidence[lost] = 0
    return guess, confidence


def _adjacency(vertices: np.ndarray, faces: np.ndarray) -> csr_matrix:
    """(W, W) symmetric: how strongly neighbours hold together, 1 for an edge of mean length."""
    ends = edges(faces)
    length = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1)
    strength = length.mean() / np.maximum(length, 0.2 * length.mean())
    one, two = np.concatenate([ends, ends[:, ::-1]]).T
    return coo_matrix((np.tile(strength, 2), (one, two)), shape=(len(vertices),) * 2).tocsr()


def _islands(guess: np.ndarray, confidence: np.ndarray, beside: csr_matrix) -> np.ndarray:
    """(W,) bool: vertices of patches that lie apart from the limb they seem to belong to.

    A hand resting on the hip colours a patch of the trousers "arm"; along the mesh it is far from the arm.
    """
    limb_weights = np.stack([guess[:, list(joints)].sum(1) for joints in LIMBS.values()], axis=1)
    limb = np.where(confidence > 0.05, limb_weights.argmax(1), -1)
    graph = beside.tocoo()
    same = limb[graph.row] == limb[graph.col]
    linked = coo_matrix((graph.data[same], (graph.row[same], graph.col[same])), shape=graph.shape)
    count, patch = connected_components(linked, directed=False)
    size = np.bincount(patch, minlength=count)
    largest = np.zeros(len(LIMBS) + 1, np.int64)
    np.maximum.at(largest, limb, size[patch])
    return (limb >= 0) & (size[patch] < _ISLAND * largest[limb])


def _spread(guess: np.ndarray, confidence: np.ndarray, beside: csr_matrix) -> np.ndarray:
    """Minimise sum c_i |w_i - guess_i|^2 + spread sum_ij |w_i - w_j|^2 by conjugate gradients."""
    # A trace of trust keeps patches solvable that hold no sure vertex at all.
    trust = np.maximum(confidence, 1e-4)[:, None]
    degree = np.asarray(beside.sum(1))
    system = (diags((trust + _SPREAD * degree)[:, 0]) - _SPREAD * beside).tocsr().astype(np.float32)
    used = np.flatnonzero(guess.any(0))
    goal = (trust * guess[:, used]).astype(np.float32)
    scale = (1 / (trust + _SPREAD * degree)).astype(np.float32)
    weights = _fill(guess[:, used].astype(np.float32), confidence > 0.3, beside)
    rest = goal - system @ weights
    step = scale * rest
    size = (rest * step).sum(0)
    first = np.maximum((goal * scale * goal).sum(0), 1e-12)
    for _ in range(_ITERATIONS):
        if (size < 1e-6 * first).all():
            break
        moved = system @ step
        along = size / np.maximum((step * moved).sum(0), 1e-20)
        weights += along * step
        rest -= along * moved
        next_size = (scale * rest * rest).sum(0)
        step = scale * rest + next_size / np.maximum(size, 1e-20) * step
        size = next_size
    result = np.zeros_like(guess)
    result[:, used] = np.maximum(weights, 0)
    return result


def _fill(weights: np.ndarray, sure: np.ndarray, beside: csr_matrix) -> np.ndarray:
    """A first guess: rings of unsure vertices take the mean of their known neighbours, outwards."""
    weights = np.where(sure[:, None], weights, 0)
    known = sure.astype(np.float32)
    while True:
        reached = np.flatnonzero((known == 0) & (beside @ known > 0))
        if len(reached) == 0:
            return weights
        rows = beside[reached]
        weights[reached] = (rows @ weights) / (rows @ known)[:, None]
        known[reached] = 1
