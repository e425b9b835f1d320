"""Cutting a closed surface into charts that a plain projection flattens.

General unwrapping takes half a minute for the meshes made here. A person's surface is simple enough for less:
faces that look the same way along one of six directions form a chart, and projecting it along that direction
flattens it without folding and with little stretch. Where a chart still hides part of itself, as an arm in
front of the chest, the hidden part is cut off into a chart of its own.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from ..rasterise import fragments
from .mesh import face_normals, face_pairs

DIRECTIONS = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], np.float64)

_SMOOTHING = 8  # rounds of averaging normals over neighbours, against scattered labels
_STEEPEST = 0.08  # least cosine between a face and the direction its chart is projected along
_SMALL = 60  # faces: smaller charts join a neighbour where their faces allow it
_LAYERS = 8  # of a chart over itself; people have two or three
_GRID = 768  # pixels along the mesh for finding what a chart hides of itself


def cut_charts(
    vertices: np.ndarray, faces: np.ndarray, parts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Chart of each face (F,) int64 from 0, and the flattened corners (F, 3, 2) in units of the mesh.

    ``parts`` (F,) small integers, say limbs, that charts do not cross, but for scattered faces. Within a
    chart no two faces overlap (to a thousandth of the size of the mesh), and all turn counter-clockwise.
    """
    pairs = face_pairs(faces)
    normal = face_normals(vertices, faces)
    facing = _facing(normal, pairs)
    chart, label = _merge_small(facing, np.zeros_like(facing) if parts is None else parts, normal, pairs)
    flat = project(vertices, faces, label)
    chart = _pieces(chart, pairs)
    # Each round cuts off what lies behind another face of its chart; then only what was cut off is in doubt.
    doubtful = np.arange(len(faces))
    for layer in range(1, _LAYERS + 1):
        hidden = doubtful[
            _hidden(vertices, faces[doubtful], flat[doubtful], label[doubtful], chart[doubtful])
        ]
        if len(hidden) == 0:
            break
        if layer == _LAYERS:
            # What is left is crumpled below a texel's scale: a chart of one face is always flat.
            chart[hidden] = chart.max() + 1 + np.arange(len(hidden))
            break
        cut = np.zeros(len(faces), np.int64)
        cut[hidden] = 1
        chart = _pieces(chart * 2 + cut, pairs)
        doubtful = hidden
    return np.unique(chart, return_inverse=True)[1], flat


def project(vertices: np.ndarray, faces: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Corners (F, 3, 2) seen along the direction of ``label`` (F,), counter-clockwise kept."""
    flat = np.empty((len(faces), 3, 2))
    for index, direction in enumerate(DIRECTIONS):
        axis = int(np.abs(direction).argmax())
        across, up = (axis + 1) % 3, (axis + 2) % 3
        chosen = faces[label == index]
        flat[label == index] = vertices[chosen][:, :, [across, up]] * [direction[axis], 1]
    return flat


def _facing(normal: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The direction (F,) each face is projected along: near its own normal, alike for neighbours."""
    beside = _neighbours(len(normal), pairs)
    smooth = normal
    for _ in range(_SMOOTHING):
        smooth = (smooth + beside @ smooth) / 4
    return np.where(_allowed(normal), smooth @ DIRECTIONS.T, -np.inf).argmax(1)


def _allowed(normal: np.ndarray) -> np.ndarray:
    """(F, 6) bool: the directions along which a face may be projected; a degenerate face goes with any."""
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return (normal @ DIRECTIONS.T > _STEEPEST * length) | (length < 1e-14)


def _neighbours(count: int, pairs: np.ndarray) -> csr_matrix:
    """(F, F) with 1 where two faces share an edge."""
    one, two = np.concatenate([pairs, pairs[:, ::-1]]).T
    return coo_matrix((np.ones(len(one)), (one, two)), shape=(count, count)).tocsr()


def _merge_small(
    facing: np.ndarray, parts: np.ndarray, normal: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Label (F,) = part and direction together, small pieces given to their neighbours; and the direction."""
    directions = len(DIRECTIONS)
    label = parts.astype(np.int64) * directions + facing
    allowed = _allowed(normal)
    beside = _neighbours(len(label), pairs)
    for _ in range(12):
        piece = _pieces(label, pairs)
        small = np.flatnonzero(np.bincount(piece)[piece] < _SMALL)
        # Each face asks its neighbours in large pieces; one without any waits for the next round.
        large = np.ones(len(label), bool)
        large[small] = False
        rows = beside[small].tocoo()
        ask, told = rows.row, rows.col
        told_label = label[told]
        fine = large[told] & allowed[small[ask], told_label % directions]
        if not fine.any():
            break
        slope = (normal[small[ask[fine]]] * DIRECTIONS[told_label[fine] % directions]).sum(1)
        # The last write wins, so the neighbour that suits the face best comes last.
        order = np.argsort(slope, kind="stable")
        label[small[ask[fine][order]]] = told_label[fine][order]
    return label, label % directions


def _pieces(label: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Connected faces of one label: (F,) number of the piece."""
    same = pairs[label[pairs[:, 0]] == label[pairs[:, 1]]]
    count = len(label)
    graph = coo_matrix((np.ones(len(same), bool), (same[:, 0], same[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _hidden(
    vertices: np.ndarray, faces: np.ndarray, flat: np.ndarray, label: np.ndarray, chart: np.ndarray
) -> np.ndarray:
    """(F,) bool: faces that lie behind another face of their own chart."""
    _, chart = np.unique(chart, return_inverse=True)
    low, high = chart_bounds(flat, chart)
    scale = (_GRID - 2) / np.ptp(vertices, axis=0).max()
    width, height = (np.ceil((high - low) * scale).astype(np.int64) + 2).T
    pieces = fragments((flat - low[chart][:, None]) * scale + 1, (_GRID, _GRID))
    # All charts' own depth buffers, one after the other.
    place = chart[pieces.face]
    first = np.cumsum(width * height) - width * height
    pixel = first[place] + pieces.row * width[place] + pieces.column
    along = DIRECTIONS[label]
    depth = pieces.interpolate(np.einsum("fcx,fx->fc", vertices[faces], along)[:, :, None])[:, 0]
    buffer = np.full(int((width * height).sum()), -np.inf, depth.dtype)
    np.maximum.at(buffer, pixel, depth)
    hidden = np.zeros(len(faces), bool)
    hidden[pieces.face[depth < buffer[pixel]]] = True
    return hidden


def chart_bounds(flat: np.ndarray, chart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (C, 2) of each chart numbered from 0."""
    order = np.argsort(chart, kind="stable")
    starts = np.flatnonzero(np.diff(chart[order], prepend=-1))
    corners = flat[order]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    low = np.minimum.reduceat(np.minimum(np.minimum(a, b), c), starts)
    high = np.maximum.reduceat(np.maximum(np.maximum(a, b), c), starts)
    return low, high
