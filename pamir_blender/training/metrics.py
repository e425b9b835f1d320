"""How far a reconstruction is from the truth: the measures of PaMIR's section 5.

Meshes are (vertices (V, 3), faces (F, 3)) in the box frame; lengths come back in centimetres, with ``scale``
the box units per metre of the view.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import igl
import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]

CAMERA_DISTANCE = 2.0
"""Box units in front of the box's middle from which rays start."""


@dataclass(frozen=True)
class SurfaceScores:
    """One reconstruction against its true mesh.

    ``point_to_surface`` and ``chamfer`` in centimetres; ``normal_degrees`` the mean angle between the normals
    that the viewer sees on both, ``normal_error`` the mean length of their difference, both over the pixels
    that both cover; ``silhouette_iou`` of the two outlines.
    """

    point_to_surface: float
    chamfer: float
    normal_degrees: float
    normal_error: float
    silhouette_iou: float


def _normals(triangles: np.ndarray) -> np.ndarray:
    """(F, 3) normals of triangles (F, 3, 3), as long as twice their areas."""
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) float64 points, uniform over the area of ``mesh``."""
    vertices, faces = mesh
    triangles = vertices[faces].astype(np.float64)
    area = np.linalg.norm(_normals(triangles), axis=1)
    chosen = triangles[rng.choice(len(faces), count, p=area / area.sum())]
    u, v = rng.random((2, count, 1))
    inside = u + v > 1.0
    u, v = np.where(inside, 1.0 - u, u), np.where(inside, 1.0 - v, v)
    return chosen[:, 0] + u * (chosen[:, 1] - chosen[:, 0]) + v * (chosen[:, 2] - chosen[:, 0])


def distances_to_surface(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """(N,) exact distances of ``points`` (N, 3) to the triangles of ``mesh``, in the points' unit."""
    squared, *_ = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points, dtype=np.float64),
        np.ascontiguousarray(mesh[0], dtype=np.float64),
        np.ascontiguousarray(mesh[1], dtype=np.int64),
    )
    return np.sqrt(np.maximum(squared, 0.0))


def point_to_surface(
    predicted: Mesh, truth: Mesh, scale: float, *, samples: int = 10_000, seed: int = 0
) -> float:
    """Mean distance from points on ``predicted`` to ``truth``, centimetres (P2S in the paper's tables)."""
    points = sample_surface(predicted, samples, np.random.default_rng(seed))
    return float(distances_to_surface(points, truth).mean() / scale * 100.0)


def chamfer(predicted: Mesh, truth: Mesh, scale: float, *, samples: int = 10_000, seed: int = 0) -> float:
    """The mean of both directions' mean distances, centimetres."""
    forth = point_to_surface(predicted, truth, scale, samples=samples, seed=seed)
    back = point_to_surface(truth, predicted, scale, samples=samples, seed=seed)
    return 0.5 * (forth + back)


def front_normals(mesh: Mesh, resolution: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """What the viewer sees of ``mesh``: normals (R, R, 3) and coverage (R, R) bool, row 0 at the top.

    Orthographic along -z, one ray per pixel centre; normals are the triangles' own, towards the viewer.
    """
    from trimesh import Trimesh
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    vertices, faces = mesh
    axis = (np.arange(resolution) + 0.5) / resolution - 0.5
    x, y = np.meshgrid(axis, -axis)
    origins = np.stack([x, y, np.full_like(x, CAMERA_DISTANCE)], axis=-1).reshape(-1, 3)
    directions = np.broadcast_to(np.array([0.0, 0.0, -1.0]), origins.shape)
    hit = RayMeshIntersector(Trimesh(vertices, faces, process=False)).intersects_first(origins, directions)
    triangles = vertices[faces].astype(np.float64)
    normals = _normals(triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    seen = normals[np.maximum(hit, 0)]
    seen = np.where(seen[:, 2:] < 0.0, -seen, seen)
    return seen.reshape(resolution, resolution, 3), (hit >= 0).reshape(resolution, resolution)


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boolean masks of the same shape; 0 when both are empty."""
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 0.0


def occupancy_iou(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Intersection over union of inside points, from occupancies (N,) against ``labels`` (N,) at 0.5."""
    return mask_iou(np.asarray(predicted) > 0.5, np.asarray(labels) > 0.5)


def surface_scores(
    predicted: Mesh, truth: Mesh, scale: float, *, samples: int = 10_000, resolution: int = 192, seed: int = 0
) -> SurfaceScores:
    """All measures of one reconstruction; see :class:`SurfaceScores`."""
    first, first_cover = front_normals(predicted, resolution)
    second, second_cover = front_normals(truth, resolution)
    both = first_cover & second_cover
    cosine = np.clip((first[both] * second[both]).sum(axis=-1), -1.0, 1.0)
    degrees = float(np.degrees(np.arccos(cosine)).mean()) if both.any() else float("nan")
    error = float(np.linalg.norm(first[both] - second[both], axis=-1).mean()) if both.any() else float("nan")
    forth = point_to_surface(predicted, truth, scale, samples=samples, seed=seed)
    back = point_to_surface(truth, predicted, scale, samples=samples, seed=seed)
    outline = mask_iou(first_cover, second_cover)
    return SurfaceScores(forth, 0.5 * (forth + back), degrees, error, outline)


def mean_scores(scores: list[SurfaceScores]) -> dict[str, float]:
    """The mean of each measure over ``scores``; empty for none."""
    rows = [asdict(score) for score in scores]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} if rows else {}
