"""The coarse body graph that GraphCMR computes on: positions, neighbours, and the way to the mesh and back.

The graph is data: built once from a body model by quadric decimation (Garland and Heckbert 1997), or, for
SMPL, read from the file that comes with GraphCMR (:mod:`pamir_blender.body.graph_file`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ..errors import BodyModelError
from .model import BodyModel

GRAPH_VERTICES = 1723
"""Vertices of GraphCMR's graph (Kolotouros et al. 2019)."""

_CANDIDATE_FACES = 24
_MAX_CACHE_BYTES = 16 << 20


@dataclass(frozen=True)
class BodyGraph:
    """A coarse graph over a body model's V vertices.

    ``model`` the body model's name; ``positions`` (N, 3) float32, the template at the graph's vertices,
    centred and scaled so that the template's largest coordinate is 1; ``edges`` (2, E) int64 and ``weights``
    (E,) float32: the row-normalised adjacency with self-loops; ``downsample`` (N, V) and ``upsample`` (V, N)
    sparse float32, rows sum to 1.
    """

    model: str
    positions: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    downsample: sparse.csr_matrix
    upsample: sparse.csr_matrix


def normalised_template(template: np.ndarray) -> np.ndarray:
    """(V, 3) moved to its bounding box's centre and divided by its largest absolute coordinate."""
    centred = template - (template.max(axis=0) + template.min(axis=0)) / 2
    return (centred / np.abs(centred).max()).astype(np.float32)


def row_normalised(adjacency: sparse.spmatrix) -> tuple[np.ndarray, np.ndarray]:
    """Edges (2, E) int64 and weights (E,) float32 of an (N, N) adjacency with self-loops, rows sum to 1."""
    pattern = sparse.coo_matrix(adjacency)
    ones = np.ones(len(pattern.row))
    pattern = sparse.csr_matrix((ones, (pattern.row, pattern.col)), shape=pattern.shape)
    pattern = ((pattern + sparse.identity(pattern.shape[0])) > 0).astype(np.float64)
    normalised = sparse.coo_matrix(sparse.diags(1.0 / np.asarray(pattern.sum(axis=1)).ravel()) @ pattern)
    edges = np.stack([normalised.row, normalised.col]).astype(np.int64)
    return edges, normalised.data.astype(np.float32)


def build_body_graph(model: BodyModel, vertices: int = GRAPH_VERTICES) -> BodyGraph:
    """The graph of a body model; about half a second, always the same for the same model.

    Raises BodyModelError if the model's mesh is too small or cannot be reduced to so many vertices.
    """
    import fast_simplification

    template = model.template.cpu().numpy().astype(np.float32)
    faces = model.faces.cpu().numpy().astype(np.int32)
    # A closed surface of genus 0 has 2 V - 4 triangles.
    wanted = 2 * vertices - 4
    coarse, coarse_faces = template, faces
    if len(faces) > wanted:
        coarse, coarse_faces = fast_simplification.simplify(template, faces, target_count=wanted)
    if len(coarse) != vertices:
        raise BodyModelError(
            f"The body model {model.name} could not be reduced to a graph of {vertices} vertices "
            f"({len(coarse)} remain). GraphCMR needs a closed body mesh in one piece; choose another model."
        )
    coarse = coarse.astype(np.float64)
    edges = np.concatenate([coarse_faces[:, [0, 1]], coarse_faces[:, [1, 2]], coarse_faces[:, [2, 0]]])
    adjacency = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(vertices, vertices))
    downsample = barycentric_matrix(coarse, template.astype(np.float64), faces)
    upsample = barycentric_matrix(template.astype(np.float64), coarse, coarse_faces)
    edge_index, weights = row_normalised(adjacency + adjacency.T)
    positions = (downsample @ normalised_template(template)).astype(np.float32)
    return BodyGraph(model.name, positions, edge_index, weights, downsample, upsample)


def barycentric_matrix(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> sparse.csr_matrix:
    """(P, V) sparse float32: each row the barycentric coordinates of the surface's nearest point.

    Searches the triangles whose centroids are nearest, which is enough for points close to the surface.
    """
    triangles = vertices[faces]
    count = min(_CANDIDATE_FACES, len(faces))
    nearest = cKDTree(triangles.mean(axis=1)).query(points, k=count)[1].reshape(len(points), count)
    weights = closest_barycentric(points[:, None], triangles[nearest])
    on_surface = (weights[..., None] * triangles[nearest]).sum(axis=2)
    best = ((on_surface - points[:, None]) ** 2).sum(axis=-1).argmin(axis=1)
    rows = np.arange(len(points))
    columns = faces[nearest[rows, best]]
    data = weights[rows, best]
    matrix = sparse.csr_matrix(
        (data.ravel(), (np.repeat(rows, 3), columns.ravel())), shape=(len(points), len(vertices))
    )
    matrix.eliminate_zeros()
    return matrix.astype(np.float32)


def closest_barycentric(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (..., 3) of the nearest point of each triangle.

    ``points`` broadcast to (..., 3), ``triangles`` (..., 3, 3). The projection into the plane where it falls
    inside, else the nearest point of the three edges.
    """
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    points = np.broadcast_to(points, a.shape)
    ab, ac, ap = b - a, c - a, points - a

    def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x * y).sum(axis=-1)

    d00, d01, d11, d20, d21 = dot(ab, ab), dot(ab, ac), dot(ac, ac), dot(ap, ab), dot(ap, ac)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = np.stack([1 - v - w, v, w], axis=-1)
    candidates = [inside]
    for start, end in ((0, 1), (1, 2), (2, 0)):
        origin, edge = triangles[..., start, :], triangles[..., end, :] - triangles[..., start, :]
        t = np.clip(dot(points - origin, edge) / np.maximum(dot(edge, edge), 1e-30), 0.0, 1.0)
        weights = np.zeros_like(inside)
        weights[..., start], weights[..., end] = 1 - t, t
        candidates.append(weights)
    stacked = np.stack(candidates, axis=-2)
    distance = ((stacked @ triangles - points[..., None, :]) ** 2).sum(axis=-1)
    distance[..., 0][(inside < 0).any(axis=-1)] = np.inf
    best = distance.argmin(axis=-1)
    return np.take_along_axis(stacked, best[..., None, None], axis=-2).squeeze(-2)


def body_graph(model: BodyModel, cache_folder: Path | None = None) -> BodyGraph:
    """The graph of a body model, kept in ``cache_folder`` (None: built anew each time)."""
    if cache_folder is None:
        return build_body_graph(model)
    digest = hashlib.sha256(model.template.cpu().numpy().tobytes() + model.faces.cpu().numpy().tobytes())
    path = Path(cache_folder) / f"body_graph_{GRAPH_VERTICES}_{digest.hexdigest()[:16]}.npz"
    if path.is_file():
        return load_body_graph(path)
    graph = build_body_graph(model)
    save_body_graph(path, graph)
    return graph


def save_body_graph(path: Path, graph: BodyGraph) -> None:
    """Write a graph as .npz of plain arrays; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"model": np.array(graph.model), "positions": graph.positions}
    arrays |= {"edges": graph.edges, "weights": graph.weights}
    for name in ("downsample", "upsample"):
        matrix = getattr(graph, name)
        arrays |= {
            f"{name}_data": matrix.data,
            f"{name}_indices": matrix.indices,
            f"{name}_indptr": matrix.indptr,
            f"{name}_shape": np.array(matrix.shape),
        }
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        np.savez_compressed(file, **arrays)
    Path(part).replace(path)


def load_body_graph(path: Path) -> BodyGraph:
    """Read a graph that :func:`save_body_graph` wrote. Raises BodyModelError if it is damaged."""
    try:
        if path.stat().st_size > _MAX_CACHE_BYTES:
            raise ValueError("the file is too large")
        with np.load(path, allow_pickle=False) as data:
            matrices = {}
            for name in ("downsample", "upsample"):
                parts = tuple(data[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
                matrix = sparse.csr_matrix(parts, shape=tuple(int(n) for n in data[f"{name}_shape"]))
                matrix.check_format(full_check=True)
                matrices[name] = matrix
            graph = BodyGraph(
                str(data["model"]), data["positions"], data["edges"], data["weights"], **matrices
            )
        count = len(graph.positions)
        if graph.positions.shape != (count, 3) or graph.downsample.shape != graph.upsample.shape[::-1]:
            raise ValueError("its arrays do not fit each other")
        if (
            graph.edges.shape != (2, len(graph.weights))
            or graph.edges.min() < 0
            or graph.edges.max() >= count
        ):
            raise ValueError("its edges are out of range")
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise BodyModelError(
            f"The body graph {path} is damaged ({error}). Delete the file; it is rebuilt."
        ) from error
    return graph
