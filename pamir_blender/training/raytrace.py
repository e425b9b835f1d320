"""A small ray tracer on embree: soft key light, sky light, a studio backdrop. For single pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from .rendering import vertex_normals


@dataclass(frozen=True)
class Surface:
    """A mesh to be traced; subject frame, metres.

    ``vertices`` (V, 3), ``faces`` (F, 3); ``coordinates`` (V, C) are interpolated and given to ``paint``,
    which maps (N, C) to linear RGBA; alpha 0 lets the ray pass (beyond a hem). ``gloss`` scales highlights.
    """

    vertices: np.ndarray
    faces: np.ndarray
    coordinates: np.ndarray
    paint: Callable[[np.ndarray], np.ndarray]
    gloss: float = 0.0


@dataclass(frozen=True)
class Studio:
    """Lights and backdrop: floor y = 0, wall z = ``wall``, joined by a curve of ``bend`` metres.

    ``key`` (3,) position of the key lamp, ``key_size`` its radius, ``key_power``, ``sky_power`` irradiances.
    """

    wall: float = -1.5
    bend: float = 0.7
    key: tuple[float, float, float] = (-1.8, 3.0, 3.0)
    key_size: float = 0.55
    key_power: float = 0.75
    sky_power: float = 0.55
    color: tuple[float, float, float] = (0.46, 0.47, 0.48)


@dataclass(frozen=True)
class Hits:
    """First opaque hits of rays: ``hit`` (N,) bool, and for all rays position, normal, colour and gloss."""

    hit: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    color: np.ndarray
    gloss: np.ndarray


class Tracer:
    """Traces a list of surfaces."""

    def __init__(self, surfaces: list[Surface]) -> None:
        self._surfaces = surfaces
        corners = [surface.vertices[surface.faces] for surface in surfaces]
        self._owner = np.concatenate([np.full(len(c), k) for k, c in enumerate(corners)])
        self._first = np.cumsum([0] + [len(c) for c in corners])
        self._normals = [vertex_normals(surface.vertices, surface.faces) for surface in surfaces]
        self._corners = np.concatenate(corners).astype(np.float32)
        self._scene = rtcore_scene.EmbreeScene()
        TriangleMesh(self._scene, self._corners)

    def trace(self, origins: np.ndarray, directions: np.ndarray, depth: int = 5) -> Hits:
        """First opaque hits of rays from ``origins`` (N, 3) along unit ``directions`` (N, 3)."""
        count = len(origins)
        result = Hits(
            np.zeros(count, bool),
            np.zeros((count, 3), np.float32),
            np.zeros((count, 3), np.float32),
            np.zeros((count, 3), np.float32),
            np.zeros(count, np.float32),
        )
        alive = np.arange(count)
        start = np.ascontiguousarray(origins, np.float32)
        directions = np.ascontiguousarray(directions, np.float32)
        for _ in range(depth):
            found = self._scene.run(start, directions[alive], output=1)
            face, distance = found["primID"], found["tfar"]
            met = np.flatnonzero(face >= 0)
            if not len(met):
                break
            rays, face = alive[met], face[met]
            position = start[met] + directions[rays] * distance[met, None]
            opaque = np.zeros(len(met), bool)
            for k, surface in enumerate(self._surfaces):
                mine = np.flatnonzero(self._owner[face] == k)
                if not len(mine):
                    continue
                rows = surface.faces[face[mine] - self._first[k]]
                weights = barycentric(self._corners[face[mine]], position[mine])[..., None]
                rgba = surface.paint((surface.coordinates[rows] * weights).sum(axis=1))
                solid = rgba[:, 3] > 0.5
                chosen = mine[solid]
                opaque[chosen] = True
                target = rays[chosen]
                normal = (self._normals[k][rows] * weights).sum(axis=1)[solid]
                normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
                turned = np.einsum("nc,nc->n", normal, directions[target]) > 0
                normal[turned] *= -1
                result.hit[target] = True
                result.position[target] = position[chosen]
                result.normal[target] = normal
                result.color[target] = rgba[solid, :3]
                result.gloss[target] = surface.gloss
            alive = rays[~opaque]
            start = np.ascontiguousarray(position[~opaque] + directions[alive] * 2e-4)
            if not len(alive):
                break
        return result

    def shade(
        self, rng: np.random.Generator, studio: Studio, hits: Hits, directions: np.ndarray, rays: int = 12
    ) -> np.ndarray:
        """Linear RGB (N, 3) at hits seen along ``directions``: soft key light, occluded sky, gloss."""
        position, normal = hits.position, hits.normal
        start = position + normal * 0.0015
        key = np.zeros(len(position))
        shine = np.zeros(len(position))
        sky = np.zeros(len(position))
        for _ in range(rays):
            lamp = np.array(studio.key) + rng.normal(0, studio.key_size, (len(position), 3))
            towards = lamp - start
            towards /= np.linalg.norm(towards, axis=1, keepdims=True)
            free = self._free(start, towards)
            key += free * np.maximum(np.einsum("nc,nc->n", normal, towards), 0)
            half = towards - directions
            half /= np.linalg.norm(half, axis=1, keepdims=True)
            shine += free * np.maximum(np.einsum("nc,nc->n", normal, half), 0) ** 28
            # Cosine-weighted directions about the normal: the normal plus a point on the unit sphere.
            ball = rng.normal(size=(len(position), 3))
            ball /= np.linalg.norm(ball, axis=1, keepdims=True)
            up = normal + ball
            up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-6)
            # The sky is brighter above, the floor gives some light back.
            sky += self._free(start, up) * (0.72 + 0.28 * up[:, 1])
        warm, cool = np.array([1.03, 1.0, 0.96]), np.array([0.97, 1.0, 1.04])
        light = studio.key_power * key[:, None] * warm + studio.sky_power * sky[:, None] * cool
        return (hits.color * light + (hits.gloss * shine * studio.key_power)[:, None]) / rays

    def _free(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        found = self._scene.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            query="OCCLUDED",
        )
        return (found != 0).astype(np.float64)


def barycentric(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3) barycentric weights of points (N, 3) in triangles (N, 3, 3)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    v0, v1, v2 = b - a, c - a, points - a
    d00, d01, d11 = (np.einsum("nc,nc->n", *pair) for pair in ((v0, v0), (v0, v1), (v1, v1)))
    d20, d21 = np.einsum("nc,nc->n", v2, v0), np.einsum("nc,nc->n", v2, v1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-20)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    return np.clip(np.stack([1 - v - w, v, w], axis=1), 0, 1)


def backdrop(studio: Studio, origins: np.ndarray, directions: np.ndarray) -> Hits:
    """Where rays meet the studio's floor, curve or wall (by marching down the height field)."""
    low, high = np.zeros(len(origins)), np.full(len(origins), 12.0)
    for _ in range(40):
        middle = (low + high) / 2
        inside = _below(studio, origins + directions * middle[:, None]) > 0
        high = np.where(inside, middle, high)
        low = np.where(inside, low, middle)
    position = (origins + directions * low[:, None]).astype(np.float32)
    step = 1e-3
    normal = np.stack(
        [
            -(_below(studio, position + axis * step) - _below(studio, position - axis * step))
            for axis in np.eye(3)
        ],
        axis=1,
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    count = len(origins)
    color = np.broadcast_to(np.array(studio.color, np.float32), (count, 3))
    return Hits(np.ones(count, bool), position, normal.astype(np.float32), color, np.zeros(count, np.float32))


def _below(studio: Studio, points: np.ndarray) -> np.ndarray:
    """Positive inside floor or wall: the distance to the rounded corner between them, negated."""
    above, ahead = points[:, 1], points[:, 2] - studio.wall
    rounded = (above < studio.bend) & (ahead < studio.bend)
    corner = np.hypot(studio.bend - above, studio.bend - ahead) - studio.bend
    return np.where(rounded, corner, -np.minimum(above, ahead))
