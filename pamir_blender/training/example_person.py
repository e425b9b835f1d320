"""The example person: the open body in a relaxed stance, in procedural shirt, trousers, shoes and hair."""

from __future__ import annotations

import igl
import numpy as np
import torch
from scipy.spatial import ConvexHull

from ..body.load import load_body_model
from .example_paint import neckline, paint_hair, paint_shirt, paint_shoes, paint_skin, paint_trousers
from .hair import Head, grow_hair
from .poses import euler
from .raytrace import Surface
from .rendering import vertex_normals


def standing_pose() -> np.ndarray:
    """(24, 3, 3) a relaxed stance: weight on the right leg, arms hanging, the head turned a little."""
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[0] = euler(0, -9, 1.5)
    rotations[1], rotations[4], rotations[7] = euler(-7, 14, 1), euler(12, 0, 0), euler(-4, 0, -1)
    rotations[2], rotations[5], rotations[8] = euler(1, -6, 1), euler(1, 0, 0), euler(-1, 0, -1)
    for joint in (3, 6, 9):
        rotations[joint] = euler(1, 2, -0.8)
    rotations[12], rotations[15] = euler(1, 4, 0), euler(3, 6, 1.5)
    for side, first in ((1, 13), (-1, 14)):
        rotations[first] = euler(0, 0, -side * 9)
        bend = 16 if side > 0 else 24
        rotations[first + 3] = euler(-3 if side > 0 else 5, 0, 0) @ euler(0, 0, -side * 72) @ euler(-2, 0, 0)
        rotations[first + 5] = euler(0, -side * bend, 0) @ euler(-3, 0, 0)
        rotations[first + 7] = euler(0, 0, side * 4)
        rotations[first + 9] = euler(0, 0, -side * 26)
    return rotations


def person(rng: np.random.Generator) -> list[Surface]:
    """The dressed person as surfaces to trace, standing on y = 0."""
    model = load_body_model()
    betas = torch.zeros(1, 10)
    betas[0, 1] = -0.6
    posed = model(betas, torch.tensor(standing_pose(), dtype=torch.float32)[None]).vertices[0].numpy()
    columns = np.concatenate([posed, model.template.numpy(), model.skinning_weights.numpy()], axis=1)
    fine, faces = igl.loop(columns.astype(np.float64), model.faces.numpy().astype(np.int64), 2)
    points, rest, weights = fine[:, :3], fine[:, 3:6], fine[:, 6:]
    points[:, 1] -= points[:, 1].min() - 0.012  # room for the soles
    skin = Surface(points, faces, rest, paint_skin, gloss=0.05)
    normals = vertex_normals(points, faces)
    arms = weights[:, [16, 17, 18, 19, 20, 21, 22, 23]].sum(axis=1)
    x, y = np.abs(rest[:, 0]), rest[:, 1]
    on_shirt = (x < 0.345) & (y > -0.125) & (y < 0.50) & ~neckline(rest, 0.86)
    shirt = _clothing(
        rng, points, normals, faces, rest, on_shirt, np.interp(y, [0.1, 0.32], [0.017, 0.010]), 40, 0.0045
    )
    # Trousers lie flat under the shirt and wide below it.
    width = np.interp(-y, [0.02, 0.12, 0.25, 0.9], [0.004, 0.006, 0.014, 0.024])
    on_trousers = (y < 0.02) & (y > -0.91) & (arms < 0.1)
    trousers = _clothing(rng, points, normals, faces, rest, on_trousers, width, 40, 0.0045)
    surfaces = [
        skin,
        Surface(*shirt, paint_shirt, gloss=0.0),
        Surface(*trousers, paint_trousers, gloss=0.0),
    ]
    surfaces += [_shoe(points, normals, rest, weights, joints) for joints in ((7, 10), (8, 11))]
    return surfaces + _hair(rng, points, rest, weights)


def _clothing(
    rng: np.random.Generator,
    points: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    rest: np.ndarray,
    chosen: np.ndarray,
    offset: np.ndarray,
    smoothing: int,
    creases: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An open layer over part of the body: offset, smoothed like cloth, creased, never under the skin."""
    triangles = faces[chosen[faces].all(axis=1)]
    used, local = np.unique(triangles, return_inverse=True)
    local = local.reshape(-1, 3)
    base, outward, offset = points[used], normals[used], offset[used, None]
    layer = base + outward * offset
    edges = np.concatenate([local[:, [0, 1]], local[:, [1, 2]], local[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    degree = np.bincount(edges[:, 0], minlength=len(used))[:, None]
    for _ in range(smoothing):
        mean = (
            np.stack([np.bincount(edges[:, 0], layer[edges[:, 1], k], len(used)) for k in range(3)], 1)
            / degree
        )
        layer = 0.4 * layer + 0.6 * mean
        gap = ((layer - base) * outward).sum(axis=1, keepdims=True)
        layer = layer + outward * np.maximum(0.55 * offset - gap, 0)
    return layer + outward * (creases * _folds(rng, rest[used]))[:, None], local, rest[used]


def _folds(rng: np.random.Generator, rest: np.ndarray) -> np.ndarray:
    """(N,) about -0.3 to 1: ridges that run across the limbs, gathered where cloth bends."""
    total = np.zeros(len(rest))
    for _ in range(7):
        direction = rng.normal(0, 1, 3) * [22, 38, 22]
        bent = rest @ direction + 2.5 * np.sin(rest @ (rng.normal(0, 1, 3) * 9) + rng.uniform(0, 6))
        total += np.maximum(1 - 2.2 * np.abs(np.sin(bent / 2 + rng.uniform(0, 6))), -0.15)
    y, x = rest[:, 1], np.abs(rest[:, 0])
    bends = (
        np.exp(-(((y + 0.46) / 0.10) ** 2)) + np.exp(-(((y + 0.86) / 0.09) ** 2)) + np.exp(-((y / 0.12) ** 2))
    )
    bends += np.exp(-(((x - 0.20) / 0.07) ** 2)) * (y > 0.2)
    return np.clip(total / 2, -0.3, 1.1) * (0.35 + 0.65 * np.clip(bends, 0, 1))


def _shoe(
    points: np.ndarray, normals: np.ndarray, rest: np.ndarray, weights: np.ndarray, joints: tuple[int, int]
) -> Surface:
    """A low shoe: the convex hull of the foot, a little larger, its sole flat on the floor."""
    foot = (weights[:, joints].sum(axis=1) > 0.6) & (rest[:, 1] < -0.868)
    grown = points[foot] + normals[foot] * 0.009
    hull = ConvexHull(grown)
    used = np.unique(hull.simplices)
    index = np.full(len(grown), -1)
    index[used] = np.arange(len(used))
    faces = index[hull.simplices]
    corners = grown[used][faces]
    inward = (
        np.einsum(
            "nc,nc->n",
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]),
            hull.equations[:, :3],
        )
        < 0
    )
    faces[inward] = faces[inward][:, ::-1]
    columns = np.concatenate([grown[used], rest[foot][used]], axis=1)
    # Thin slivers of the hull shade badly: cut long edges first, then smooth.
    fine, faces = igl.upsample(columns, faces.astype(np.int64), 3)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    degree = np.bincount(edges[:, 0], minlength=len(fine))[:, None]
    for _ in range(12):
        mean = (
            np.stack([np.bincount(edges[:, 0], fine[edges[:, 1], k], len(fine)) for k in range(6)], 1)
            / degree
        )
        fine = 0.5 * fine + 0.5 * mean
    fine[:, 1] = np.maximum(fine[:, 1], 0.0)
    return Surface(
        fine[:, :3], faces, np.concatenate([fine[:, 3:], fine[:, 1:2]], axis=1), paint_shoes, gloss=0.03
    )


def _hair(
    rng: np.random.Generator, points: np.ndarray, rest: np.ndarray, weights: np.ndarray
) -> list[Surface]:
    on_head = (weights[:, 15] > 0.6) & (rest[:, 1] > 0.59)
    moved, still = points[on_head], rest[on_head]
    u, _, vt = np.linalg.svd((still - still.mean(0)).T @ (moved - moved.mean(0)))
    turn = vt.T @ u.T
    centre = turn @ (np.array([0, 0.638, 0.055]) - still.mean(0)) + moved.mean(0)
    head = Head(points[weights[:, [12, 15]].sum(axis=1) > 0.5], centre, turn)
    trunk = points[weights[:, [3, 6, 9, 12, 13, 14]].sum(axis=1) > 0.5]
    parts = grow_hair(rng, head, trunk, "bob", np.zeros((8, 8, 3), np.uint8))
    surfaces = []
    for part in parts:
        fine, faces = igl.loop(
            np.concatenate([part.vertices, part.uv], axis=1).astype(np.float64),
            part.faces.astype(np.int64),
            1,
        )
        surfaces.append(Surface(fine[:, :3], faces, fine[:, 3:], paint_hair, gloss=0.07))
    return surfaces
