"""Freeing arms that have grown together with the body.

Where an arm lies against the torso, or a hand is in a pocket, the implicit surface joins them into one
solid. Unposed, the joint would stretch into a wing. The body underneath knows which surface is whose, so the
mesh is cut where neighbouring points belong to body parts that lie far apart in the T-pose, and both sides
are closed.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .holes import fill, rims
from .mesh import edges, is_closed, open_edges, vertex_normals

ARMS = ((16, 18, 20, 22), (17, 19, 21, 23))
"""Joints of each arm from the shoulder on, left and right."""

_TURNED = 0.04  # metres that a normal at right angles costs against a nearer body vertex
_APART = 0.12  # metres in the T-pose beyond which two touching surfaces cannot be one
_ROUNDS = 12  # of smoothing where an arm ends and the rest begins
_FEWEST = 30  # vertices of an arm worth freeing
_RINGS = 3  # tries to cut a place, each taking one ring of faces more


def separate_arms(
    vertices: np.ndarray,
    faces: np.ndarray,
    body_vertices: np.ndarray,
    body_faces: np.ndarray,
    body_weights: np.ndarray,
    body_rest: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Cut the arms loose from whatever they touch: kept vertices (K,), faces (F, 3) and the number of cuts.

    ``vertices`` (W, 3), ``faces`` (F, 3) closed, and ``body_vertices`` (V, 3) stand in the same pose and
    frame, in metres; ``body_weights`` (V, 24); ``body_rest`` (V, 3) the body in T-pose. Vertices stay where
    they are; a few along the cuts go, so the new mesh is ``vertices[kept]`` with the new faces. It stays
    closed: a place that cannot be cut cleanly is left as it was.
    """
    if not is_closed(faces):
        return np.arange(len(vertices)), faces, 0
    normals, body_normals = vertex_normals(vertices, faces), vertex_normals(body_vertices, body_faces)
    cuts = 0
    for arm in ARMS:
        belongs = np.asarray(body_weights)[:, list(arm)].sum(1) > 0.5
        near = [
            _match(vertices, normals, body_vertices, body_normals, np.flatnonzero(side))
            for side in (belongs, ~belongs)
        ]
        smooth = _averaging(len(vertices), faces)
        is_arm = _side(near[1][0] - near[0][0], smooth)
        if is_arm.sum() < _FEWEST:
            continue
        apart = np.linalg.norm(body_rest[near[0][1]] - body_rest[near[1][1]], axis=1)
        for _ in range(_ROUNDS):
            apart = smooth @ apart
        mixed = is_arm[faces].any(1) & ~is_arm[faces].all(1)
        bridges = np.flatnonzero(mixed & (apart[faces].mean(1) > _APART))
        faces, done = _cut(vertices, faces, bridges, is_arm)
        cuts += done
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    return np.flatnonzero(used), (np.cumsum(used) - 1)[faces].astype(np.int32), cuts


def _match(
    vertices: np.ndarray,
    normals: np.ndarray,
    body_vertices: np.ndarray,
    body_normals: np.ndarray,
    subset: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """How far (W,) each vertex is from a part of the body, facing counted in, and its body vertex (W,)."""
    distance, index = cKDTree(body_vertices[subset]).query(vertices, k=6, workers=-1)
    cosine = np.einsum("wkx,wx->wk", body_normals[subset][index], normals)
    cost = distance + _TURNED * (1 - cosine)
    best = cost.argmin(1)[:, None]
    return np.take_along_axis(cost, best, 1)[:, 0], subset[np.take_along_axis(index, best, 1)[:, 0]]


def _averaging(count: int, faces: np.ndarray) -> csr_matrix:
    """(W, W): the mean of a vertex (half) and its neighbours (half)."""
    one, two = edges(faces).T
    beside = coo_matrix((np.ones(len(one)), (one, two)), shape=(count, count)).tocsr()
    beside = beside + beside.T
    degree = np.maximum(np.asarray(beside.sum(1))[:, 0], 1)
    return (0.5 * diags(1 / degree) @ beside + 0.5 * diags(np.ones(count))).tocsr()


def _side(nearer: np.ndarray, smooth: csr_matrix) -> np.ndarray:
    """(W,) bool: the arm as one connected patch, from how much ``nearer`` (W,) each vertex is to it."""
    nearer = np.clip(nearer, -0.05, 0.05)
    for _ in range(_ROUNDS):
        nearer = smooth @ nearer
    is_arm = nearer > 0
    for _ in range(2):
        # First the largest patch of arm, then the largest patch of everything else.
        graph = smooth.tocoo()
        same = is_arm[graph.row] & is_arm[graph.col]
        linked = coo_matrix((graph.data[same], (graph.row[same], graph.col[same])), shape=graph.shape)
        patch = connected_components(linked, directed=False)[1]
        size = np.bincount(patch[is_arm], minlength=1) if is_arm.any() else np.zeros(1)
        is_arm = ~(is_arm & (patch == size.argmax()))
    return is_arm


def _cut(
    vertices: np.ndarray, faces: np.ndarray, bridges: np.ndarray, is_arm: np.ndarray
) -> tuple[np.ndarray, int]:
    """Take out each connected patch of the faces ``bridges`` and close both sides; faces and patches cut."""
    if len(bridges) == 0:
        return faces, 0
    corner = faces[bridges]
    bridge = np.full(len(faces), -1)
    graph = coo_matrix(
        (np.ones(2 * len(corner), bool), (np.tile(corner[:, 0], 2), corner[:, 1:].T.ravel())),
        shape=(len(vertices),) * 2,
    )
    bridge[bridges] = connected_components(graph, directed=False)[1][corner[:, 0]]
    cuts = 0
    for number in np.unique(bridge[bridges]):
        keep = bridge != number
        for _ in range(_RINGS):
            closed = _close(vertices, faces[keep], is_arm) if keep.any() else None
            if closed is not None:
                # The closing faces come last.
                added = np.full(len(closed) - np.count_nonzero(keep), -1)
                faces, bridge, cuts = closed, np.append(bridge[keep], added), cuts + 1
                break
            # A ragged rim becomes a plain one when the next ring of faces goes too.
            on_rim = np.zeros(len(vertices), bool)
            on_rim[open_edges(faces[keep])] = True
            keep &= ~on_rim[faces].any(1)
    return faces, cuts


def _close(vertices: np.ndarray, faces: np.ndarray, is_arm: np.ndarray) -> np.ndarray | None:
    """Faces with every hole closed, arm to arm and the rest to the rest; None if that does not work out."""
    loops = rims(faces)
    if loops is None:
        return None
    on_rim = np.zeros(len(vertices), bool)
    on_rim[np.concatenate([*loops, np.empty(0, np.int64)])] = True
    ends = edges(faces)
    taken = {(int(a), int(b)) for a, b in ends[on_rim[ends].all(1)]}
    new: list[list[int]] = []
    for loop in loops:
        polygons = _split(loop, is_arm)
        if polygons is None:
            return None
        for polygon in polygons:
            # The chords between polygons are edges of two of them.
            filled = fill(vertices, polygon, taken)
            if filled is None:
                return None
            new += filled
    result = np.concatenate([faces, np.array(new, faces.dtype).reshape(-1, 3)])
    return result if is_closed(result) else None


def _split(loop: np.ndarray, is_arm: np.ndarray) -> list[np.ndarray] | None:
    """A rim as polygons that do not join arm and rest, but for one between the ends of a slit."""
    side = is_arm[loop]
    changes = np.flatnonzero(side != np.roll(side, 1))
    if len(changes) == 0:
        return [loop]
    if len(changes) != 2:
        return None
    loop = np.roll(loop, -changes[0])
    middle = changes[1] - changes[0]
    one, two = loop[:middle], loop[middle:]
    between = list(dict.fromkeys([one[0], one[-1], two[0], two[-1]]))
    polygons = [one, two, np.array(between)]
    return [polygon for polygon in polygons if len(polygon) >= 3]
