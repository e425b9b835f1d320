"""Inside/outside, query points and surface samples of a posed subject (view independent, subject metres).

Subjects are soups of closed and open parts. A point is inside where most of several rays leave it with a
positive count of signed crossings (the winding number seen along a ray), so limbs that overlap the torso stay
solid and small holes (eyes, mouth) do no harm. Hair cards are thickened into thin solids beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from .rendering import vertex_normals

FINE, NEAR, TIGHT, UNIFORM = 0, 1, 2, 3
"""Query points: noise of 0.01, 0.03 and 0.004 box units about the surface, and uniform in the bounds."""

SIGMAS = {FINE: 0.01, NEAR: 0.03, TIGHT: 0.004}
BOUNDS_MARGIN = 0.12
"""Uniform points fill the subject's bounding box grown by this many metres; beyond it all is outside."""

_RAYS = np.array(
    [[0.05, 0.03, 1.0], [-0.04, 0.06, -1.0], [1.0, 0.05, 0.04], [-1.0, -0.03, 0.06], [0.03, 1.0, 0.05]]
)
_STEP = 2e-5


@dataclass(frozen=True)
class QueryPoints:
    """``points`` (P, 3) float32 metres, ``occupancy`` (P,) bool, ``kind`` (P,) uint8."""

    points: np.ndarray
    occupancy: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class SurfaceSamples:
    """``points`` (M, 3) float32 metres, ``normals`` (M, 3) outward unit, ``colors`` (M, 3) uint8 albedo."""

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray


class SignedCrossings:
    """Counts signed crossings of rays with a triangle soup (V, 3), (F, 3)."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        corners = np.asarray(vertices, np.float32)[faces]
        self._normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self._scene = rtcore_scene.EmbreeScene()
        TriangleMesh(self._scene, corners)

    def count(self, points: np.ndarray, direction: np.ndarray, limit: int = 40) -> np.ndarray:
        """(N,) exits minus entries along ``direction`` from each of ``points`` (N, 3): the winding number."""
        total = np.zeros(len(points), np.int32)
        alive = np.arange(len(points))
        origin = np.ascontiguousarray(points, np.float32)
        unit = (direction / np.linalg.norm(direction)).astype(np.float32)
        for _ in range(limit):
            directions = np.ascontiguousarray(np.broadcast_to(unit, origin.shape))
            result = self._scene.run(origin, directions, output=1)
            face, distance = result["primID"], result["tfar"]
            hit = face >= 0
            if not hit.any():
                break
            total[alive[hit]] += np.where(self._normals[face[hit]] @ unit > 0, 1, -1)
            alive = alive[hit]
            origin = np.ascontiguousarray(origin[hit] + unit * (distance[hit, None] + _STEP))
        return total


class Sight:
    """Which surface points of a soup (V, 3), (F, 3) an orthographic viewer sees."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        self._scene = rtcore_scene.EmbreeScene()
        TriangleMesh(self._scene, np.asarray(vertices, np.float32)[faces])

    def visible(self, points: np.ndarray, normals: np.ndarray, towards: np.ndarray) -> np.ndarray:
        """(N,) bool for surface ``points`` (N, 3) with ``normals``; ``towards`` (3,) unit, to the viewer."""
        facing = normals @ towards > 0.05
        origin = np.ascontiguousarray(points + normals * 0.002 + towards * 0.001, np.float32)
        directions = np.ascontiguousarray(np.broadcast_to(towards.astype(np.float32), origin.shape))
        return facing & (self._scene.run(origin, directions, query="OCCLUDED") != 0)


def inside(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) bool: inside a soup of parts closed but for small holes. Two rays; three more on dispute."""
    crossings = SignedCrossings(vertices, faces)
    votes = sum((crossings.count(points, ray) > 0).astype(np.int8) for ray in _RAYS[:2])
    unsure = np.flatnonzero(votes == 1)
    if len(unsure):
        votes[unsure] = sum((crossings.count(points[unsure], ray) > 0).astype(np.int8) for ray in _RAYS)
        votes[unsure] = np.where(votes[unsure] >= 3, 2, 0)
    return votes == 2


def thicken(vertices: np.ndarray, faces: np.ndarray, thickness: float) -> tuple[np.ndarray, np.ndarray]:
    """A closed solid around an open sheet: moved half the thickness to both sides, rims joined."""
    normals = vertex_normals(vertices, faces)
    count = len(vertices)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    keys = {(int(a), int(b)) for a, b in edges}
    rim = np.array([edge for edge in keys if (edge[1], edge[0]) not in keys], np.int32).reshape(-1, 2)
    wall = np.concatenate(
        [
            np.stack([rim[:, 1], rim[:, 0], rim[:, 0] + count], axis=1),
            np.stack([rim[:, 1], rim[:, 0] + count, rim[:, 1] + count], axis=1),
        ]
    )
    solid = np.concatenate([vertices + normals * thickness / 2, vertices - normals * thickness / 2])
    return solid, np.concatenate([faces, faces[:, ::-1] + count, wall]).astype(np.int32)


def sample_surface(
    rng: np.random.Generator,
    vertices: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray,
    uv: np.ndarray,
    texture: np.ndarray,
    count: int,
) -> SurfaceSamples:
    """``count`` points spread by area, with interpolated normals and the texture's colour (bilinear).

    ``faces`` may be a part of the mesh's.
    """
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = rng.choice(len(faces), size=count, p=area / area.sum())
    weights = rng.dirichlet((1.0, 1.0, 1.0), size=count).astype(np.float32)
    triangle = faces[chosen]
    points = np.einsum("nk,nkc->nc", weights, vertices[triangle])
    normal = np.einsum("nk,nkc->nc", weights, normals[triangle])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    texel = np.einsum("nk,nkc->nc", weights, uv[triangle])
    return SurfaceSamples(
        points.astype(np.float32), normal.astype(np.float32), texture_colors(texture, texel)
    )


def texture_colors(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) uint8: ``texture`` (H, W, 3) at ``uv`` (N, 2), v down, bilinear."""
    height, width = texture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1)
    y = np.clip(uv[:, 1] * height - 0.5, 0, height - 1)
    x0, y0 = x.astype(int), y.astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    top = texture[y0, x0] * (1 - fx) + texture[y0, x1] * fx
    bottom = texture[y1, x0] * (1 - fx) + texture[y1, x1] * fx
    return (top * (1 - fy) + bottom * fy + 0.5).astype(np.uint8)


def query_points(
    rng: np.random.Generator,
    surface: SurfaceSamples,
    bounds: np.ndarray,
    box_per_metre: float,
    counts: dict[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3) and kinds (P,): noise about random surface samples, and uniform in the grown ``bounds``.

    ``bounds`` (2, 3) metres; ``box_per_metre`` turns the noise's box units into metres.
    """
    points, kinds = [], []
    for kind, count in counts.items():
        if kind == UNIFORM:
            low, high = bounds[0] - BOUNDS_MARGIN, bounds[1] + BOUNDS_MARGIN
            drawn = rng.uniform(low, high, size=(count, 3))
        else:
            chosen = rng.integers(len(surface.points), size=count)
            drawn = surface.points[chosen] + rng.normal(0, SIGMAS[kind] / box_per_metre, size=(count, 3))
        points.append(drawn.astype(np.float32))
        kinds.append(np.full(count, kind, np.uint8))
    return np.concatenate(points), np.concatenate(kinds)
