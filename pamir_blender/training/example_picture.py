"""The example photo: ``python -m pamir_blender.training.example_picture --out examples/person.png``.

The open body in procedural clothes and hair, in a natural standing pose, traced in soft studio light. All
that is in it is the project's own, so the picture is free of anyone's rights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import igl
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull

from ..body.load import load_body_model
from .hair import Head, grow_hair
from .poses import euler
from .raytrace import Hits, Studio, Surface, Tracer, backdrop
from .rendering import vertex_normals

WIDTH, HEIGHT = 900, 1200
_EYE, _EYE_HALF = (0.0315, 0.6258), (0.0150, 0.0052)  # template x, y and half sizes, metres
_SHIRT, _TROUSERS, _SHOES, _SKIN, _HAIR = (
    np.array(color) ** 2.2
    for color in (
        (0.27, 0.44, 0.52),
        (0.29, 0.28, 0.30),
        (0.32, 0.22, 0.17),
        (0.86, 0.67, 0.56),
        (0.26, 0.17, 0.12),
    )
)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender.training.example_picture", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=Path("examples/person.png"))
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--supersample", type=int, default=2, help="rays per pixel side")
    parser.add_argument("--rays", type=int, default=14, help="light rays per hit")
    options = parser.parse_args(arguments)
    picture = render(np.random.default_rng(options.seed), options.supersample, options.rays)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(options.out), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"{options.out} could not be written")
    return 0


def render(
    rng: np.random.Generator, supersample: int, rays: int, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> np.ndarray:
    """The picture, (height, width, 3) uint8 sRGB."""
    tracer, studio = Tracer(person(rng)), Studio()
    width, height = size[0] * supersample, size[1] * supersample
    origins, directions = _camera(width, height)
    hits = tracer.trace(origins, directions)
    image = np.zeros((height * width, 3), np.float32)
    chosen = np.flatnonzero(hits.hit)
    seen = Hits(*(getattr(hits, name)[chosen] for name in ("hit", "position", "normal", "color", "gloss")))
    image[chosen] = tracer.shade(rng, studio, seen, directions[chosen], rays)
    # The backdrop is smooth: shade it coarsely, blur its noise, enlarge.
    coarse = (max(width // 6, 1), max(height // 6, 1))
    far_origins, far_directions = _camera(*coarse)
    behind = tracer.shade(
        rng, studio, backdrop(studio, far_origins, far_directions), far_directions, rays * 4
    )
    behind = gaussian_filter(behind.reshape(coarse[1], coarse[0], 3), (1.2, 1.2, 0))
    behind = cv2.resize(behind.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    image = image.reshape(height, width, 3)
    mask = hits.hit.reshape(height, width, 1)
    linear = np.where(mask, image, behind)
    linear = cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
    return _develop(rng, linear)


def _develop(rng: np.random.Generator, linear: np.ndarray) -> np.ndarray:
    """Lens and sensor: a trace of blur, vignette and grain, and the sRGB curve."""
    height, width = linear.shape[:2]
    linear = gaussian_filter(linear, (0.45, 0.45, 0))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    linear = linear * (1 - 0.10 * (x**2 + y**2))[..., None]
    exposed = np.clip(linear * 1.12, 0, None)
    exposed = exposed / (1 + 0.12 * exposed**2)
    coded = np.where(
        exposed <= 0.0031308, 12.92 * exposed, 1.055 * np.maximum(exposed, 1e-9) ** (1 / 2.4) - 0.055
    )
    grain = gaussian_filter(rng.normal(0, 0.0016, (height, width, 1)), (0.6, 0.6, 0))
    return (np.clip(coded + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def _camera(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Rays of a camera 4.6 m in front of the person at chest height, portrait format."""
    distance, eye, target = 4.6, 1.12, 0.90
    origin = np.array([0.02, eye, distance])
    ahead = np.array([0.02, target, 0.0]) - origin
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 1.0, 0])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    half = 1.09 / distance  # half the picture's height at the person, metres, over the distance
    x = (np.arange(width) + 0.5) / width * 2 - 1
    y = 1 - (np.arange(height) + 0.5) / height * 2
    u, v = np.meshgrid(x * half * width / height, y * half)
    directions = ahead + u[..., None] * right + v[..., None] * up
    directions = directions.reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.broadcast_to(origin, directions.shape).astype(np.float32), directions.astype(np.float32)


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
    on_shirt = (x < 0.345) & (y > -0.125) & (y < 0.50) & ~_neckline(rest, 0.86)
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


def paint_skin(rest: np.ndarray) -> np.ndarray:
    """Linear RGBA (N, 4) of the skin at template points (N, 3): face features, everything else plain skin."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    color = np.tile(_SKIN, (len(rest), 1))
    mottle = np.sin(rest @ [211.0, 173, 149]) * np.sin(rest @ [-97.0, 131, 187])
    color *= 1 + 0.015 * mottle[:, None]
    front = z > 0.085
    _blend(
        color,
        front * np.exp(-(((x - 0.042) / 0.018) ** 2) - ((y - 0.592) / 0.016) ** 2) * 0.35,
        (0.72, 0.28, 0.22),
    )
    # Lips: two arcs about the mouth's line.
    lip = np.clip(1 - (x / 0.0245) ** 2, 0, 1)
    lips = (
        front
        & (y < 0.5645 + 0.0062 * lip - 0.0015 * np.exp(-((x / 0.004) ** 2)))
        & (y > 0.5635 - 0.0085 * lip)
    )
    _blend(color, lips * np.clip(lip * 4, 0, 1) * 0.75, (0.50, 0.16, 0.14))
    _blend(color, front * np.exp(-(((y - 0.5640) / 0.0011) ** 2)) * (x < 0.023) * 0.7, (0.18, 0.05, 0.05))
    # Eyes: white, iris, pupil, dark lid lines.
    u, v = (x - _EYE[0]) / _EYE_HALF[0], (y - _EYE[1]) / _EYE_HALF[1]
    almond = front & (np.abs(u) < 1) & (np.abs(v) < 1.0 * np.clip(1 - u**2, 0, 1) ** 0.6 + 1e-6)
    _blend(color, almond * 1.0, (0.66, 0.64, 0.62))
    radius = np.hypot(x - _EYE[0] + 0.0004 * np.sign(rest[:, 0]), y - _EYE[1] - 0.0002)
    _blend(color, (almond & (radius < 0.0052)) * 1.0, (0.10, 0.055, 0.03))
    _blend(color, (almond & (radius < 0.0024)) * 1.0, (0.005, 0.005, 0.005))
    rim = np.abs(np.abs(v) - (1 - np.clip(np.abs(u), 0, 1) ** 2) ** 0.6)
    lid = front & (np.abs(u) < 1.05) & (np.abs(v) < 1.5) & (rim < np.where(v > 0, 0.30, 0.12))
    _blend(color, lid * 0.85, (0.04, 0.025, 0.02))
    arch = 0.6428 + 0.0030 * np.clip(1 - ((x - 0.036) / 0.02) ** 2, -1, 1)
    brow = front * np.exp(-(((y - arch) / 0.0026) ** 2)) * (x > 0.013) * np.clip((0.053 - x) / 0.012, 0, 1)
    _blend(color, brow * 0.8, tuple(_HAIR * 0.6))
    nostril = front * np.exp(-(((x - 0.0085) / 0.0038) ** 2) - ((y - 0.5815) / 0.0018) ** 2)
    _blend(color, nostril * 0.6, (0.16, 0.06, 0.05))
    return np.concatenate([color, np.ones((len(rest), 1))], axis=1)


def paint_shirt(rest: np.ndarray) -> np.ndarray:
    """A T-shirt: short sleeves, round neck, hem below the waist."""
    x, y = np.abs(rest[:, 0]), rest[:, 1]
    inside = (x < 0.335) & (y > -0.115) & ~_neckline(rest, 1.0)
    seam = (x > 0.318) | (y < -0.098) | _neckline(rest, 1.16)
    return _cloth(rest, _SHIRT, inside, seam)


def _neckline(rest: np.ndarray, size: float) -> np.ndarray:
    """(N,) bool: within the shirt's neck opening, an ellipsoid about the neck that lies lower in front."""
    x, y, z = rest.T
    return ((x / 0.080) ** 2 + ((y - 0.505) / 0.075) ** 2 + ((z - 0.075) / 0.115) ** 2 < size**2) & (y > 0.38)


def paint_trousers(rest: np.ndarray) -> np.ndarray:
    """Long trousers with a waistband under the shirt."""
    y = rest[:, 1]
    return _cloth(rest, _TROUSERS, (y > -0.905) & (y < 0.015), y < -0.888)


def paint_shoes(coordinates: np.ndarray) -> np.ndarray:
    """Low shoes with a light sole; template x, y, z and the height over the floor (N, 4)."""
    height = coordinates[:, 3]
    rgba = np.tile(np.append(_SHOES, 1.0), (len(coordinates), 1))
    rgba[height < 0.022, :3] = np.array([0.78, 0.77, 0.75])
    rgba[np.abs(height - 0.022) < 0.0015, :3] *= 0.5
    return rgba


def paint_hair(uv: np.ndarray) -> np.ndarray:
    """Brown strands along the second texture coordinate (N, 2)."""
    phase = uv[:, 0] * 400 + 3 * np.sin(uv[:, 1] * 6 + uv[:, 0] * 20)
    strands = np.sin(phase) * 0.5 + np.sin(phase * 2.7 + 1) * 0.3 + np.sin(phase * 0.23) * 0.4
    color = _HAIR * np.exp(0.28 * strands)[:, None]
    return np.concatenate([color, np.ones((len(uv), 1))], axis=1)


def _cloth(rest: np.ndarray, color: np.ndarray, inside: np.ndarray, seam: np.ndarray) -> np.ndarray:
    weave = 1 + 0.03 * np.sin(rest @ [900.0, 300, 700]) * np.sin(rest @ [-500.0, 1100, 200])
    shade = weave * np.where(seam, 0.82, 1.0)
    return np.concatenate([color * shade[:, None], inside[:, None].astype(float)], axis=1)


def _blend(color: np.ndarray, share: np.ndarray, other: tuple[float, float, float]) -> None:
    share = np.clip(np.asarray(share, float), 0, 1)[:, None]
    color[:] = color * (1 - share) + np.array(other) * share


if __name__ == "__main__":
    sys.exit(main())
