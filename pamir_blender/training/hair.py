"""Volume hair: star-shaped caps and afros about the head, and falls, tails and buns joined to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from .solids import Part, capped_tube, sphere

STYLES = ("afro", "cap", "bob", "long", "ponytail", "bun")


@dataclass(frozen=True)
class Head:
    """A posed head: ``points`` (N, 3) on it, ``centre`` (3,), ``axes`` (3, 3) columns left, up, forward."""

    points: np.ndarray
    centre: np.ndarray
    axes: np.ndarray


def grow_hair(
    rng: np.random.Generator, head: Head, trunk: np.ndarray, style: str, tile: np.ndarray
) -> list[Part]:
    """Closed parts of one hair ``style`` of :data:`STYLES`; ``trunk`` (N, 3) points on neck and torso."""
    thickness = {"afro": rng.uniform(0.04, 0.11), "long": 0.02, "bob": 0.024}.get(style, 0.012)
    thickness *= rng.uniform(0.8, 1.25)
    low = {"afro": -0.25, "bob": -0.35, "long": -0.3}.get(style, -0.1)
    ball = head.axes @ [0, 0.035, -0.015], thickness + 0.095
    parts = [_cap(rng, head, thickness, low, tile, 0.002, ball=ball if style == "afro" else None)]
    left, up, forward = head.axes.T
    size = float(np.abs((head.points - head.centre) @ left).max())
    if style in ("bob", "long"):
        length = rng.uniform(0.06, 0.15) if style == "bob" else rng.uniform(0.2, 0.5)
        parts.append(_curtain(rng, head, trunk, length, size, tile))
    elif style == "ponytail":
        root = head.centre + up * rng.uniform(0.0, 0.06) - forward * (size + 0.035)
        length = rng.uniform(0.15, 0.4)
        steps = np.linspace(0, 1, 14)
        path = root - np.outer(steps * length, [0, 1.0, 0]) - np.outer(np.sin(steps * 2.2) * 0.05, forward)
        width = rng.uniform(0.02, 0.035) * np.interp(steps, [0, 0.15, 0.6, 1], [0.6, 1.0, 1.1, 0.25])
        path = _outside(path, trunk, forward, width)
        parts.append(_strand(path, width, width, head.axes, tile))
    elif style == "bun":
        directions, faces = sphere(3)
        centre = head.centre + up * rng.uniform(0.02, 0.11) - forward * (size + rng.uniform(0.0, 0.02))
        ball = directions * rng.uniform(0.03, 0.05) * (1 + rng.normal(0, 0.02, (len(directions), 1)))
        parts.append(Part((centre + ball).astype(np.float32), faces, _polar(directions), tile))
    return parts


def _cap(
    rng: np.random.Generator,
    head: Head,
    thickness: float,
    low: float,
    tile: np.ndarray,
    bumps: float,
    ball: tuple[np.ndarray, float] | None,
) -> Part:
    """The head's own star-shaped surface, thickened over the scalp and sunk below the skin over the face.

    ``ball`` (centre relative to the head's, radius) makes the hair a ball instead of a layer.
    """
    directions, faces = sphere(4)
    local = (head.points - head.centre) @ head.axes
    radius = np.linalg.norm(local, axis=1)
    tree = cKDTree(local / radius[:, None])
    _, index = tree.query(directions, k=6)
    reach = radius[index].max(axis=1)
    y, z = directions[:, 1], directions[:, 2]
    # The face: ahead, below the hair line; hair comes further down behind the ears than at the temples.
    hairline = rng.uniform(0.38, 0.60)
    border = np.where(z > 0, low + (hairline - low) * np.clip(z * 1.7, 0, 1) ** 0.8, low)
    scalp = 1 / (1 + np.exp(-(y - border) / 0.05))
    noise = _smooth_noise(rng, directions, 9) * bumps + _smooth_noise(rng, directions, 3) * thickness * 0.12
    over = np.maximum(thickness + noise, 0.003)
    if ball is not None:
        middle = head.axes.T @ ball[0]
        along = directions @ middle
        far = along + np.sqrt(np.maximum(along**2 - middle @ middle + ball[1] ** 2, 0))
        over = np.maximum(far * (1 + 0.03 * _smooth_noise(rng, directions, 14)) - reach, 0.004)
    over = over * scalp - 0.02 * (1 - scalp)
    # Where there is no hair the surface lies well inside head and neck.
    points = directions * (np.minimum(reach, 0.15) * (1 - 0.3 * (1 - scalp)) + over)[:, None]
    return Part((points @ head.axes.T + head.centre).astype(np.float32), faces, _polar(directions), tile)


def _curtain(
    rng: np.random.Generator, head: Head, trunk: np.ndarray, length: float, size: float, tile: np.ndarray
) -> Part:
    """Hair that falls behind the head and lies on shoulders and back: a bent slab as a closed tube."""
    left, up, forward = head.axes.T
    steps = np.linspace(0, 1, max(int((length + 0.08) / 0.015), 8))
    half_width = (size + rng.uniform(0.008, 0.02)) * np.interp(
        steps, [0, 0.5, 1], [0.95, 1.05, rng.uniform(0.7, 1.1)]
    )
    half_depth = np.interp(steps, [0, 0.35, 1], [size * 0.75, size * 0.5, rng.uniform(0.018, 0.035)])
    start = head.centre - forward * size * 0.28 + up * 0.02
    path = start - np.outer(steps * (length + 0.08), [0, 1.0, 0])
    back = -np.array([forward[0], 0, forward[2]])
    back /= max(np.linalg.norm(back), 1e-6)
    path = _outside(path, trunk, -back, half_depth * 0.7)
    waves = (
        rng.normal(0, 0.006, (len(steps), 1)) * left
        + 0.006 * np.sin(steps * rng.uniform(4, 12))[:, None] * left
    )
    return _strand(path + waves, half_width, half_depth, head.axes, tile)


def _outside(path: np.ndarray, trunk: np.ndarray, forward: np.ndarray, clearance: np.ndarray) -> np.ndarray:
    """The path moved backwards wherever neck, shoulders or back are in its way."""
    ahead = np.array([forward[0], 0, forward[2]])
    ahead /= max(np.linalg.norm(ahead), 1e-6)
    aside = np.cross([0, 1.0, 0], ahead)
    moved = path.copy()
    for k, point in enumerate(path):
        local = trunk - point
        near = (np.abs(local[:, 1]) < 0.02) & (np.abs(local @ aside) < 0.07)
        if near.any():
            back = (local[near] @ ahead).min()
            excess = back - clearance[k]
            if excess < 0:
                moved[k] = point + ahead * excess
    # Hair hangs smoothly: no step may go forward again.
    depth = np.minimum.accumulate(moved @ ahead)
    return moved + np.outer(depth - moved @ ahead, ahead)


def _strand(
    path: np.ndarray, half_width: np.ndarray, half_depth: np.ndarray, axes: np.ndarray, tile: np.ndarray
) -> Part:
    """A closed tube of elliptical cross section along ``path`` (R, 3), top first, with level rings."""
    forward = np.array([axes[0, 2], 0, axes[2, 2]])
    forward /= max(np.linalg.norm(forward), 1e-6)
    left = np.cross([0, 1.0, 0], forward)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    # Seen from above, left to forward is clockwise: run the other way.
    ring = np.cos(-angles)[None, :, None] * left * half_width[:, None, None]
    ring = ring + np.sin(-angles)[None, :, None] * forward * half_depth[:, None, None]
    return capped_tube(path[:, None] + ring, tile, repeat=3.0)


def _smooth_noise(rng: np.random.Generator, directions: np.ndarray, waves: int) -> np.ndarray:
    """(V,) noise of about unit variance on the sphere from a few plane waves."""
    vectors = rng.normal(0, waves, (12, 3))
    return np.cos(directions @ vectors.T + rng.uniform(0, 2 * np.pi, 12)).sum(axis=1) / 6**0.5


def _polar(directions: np.ndarray) -> np.ndarray:
    """Texture coordinates whose streaks run from the crown down, mirrored left to right (no seam)."""
    around = np.abs(np.arctan2(directions[:, 0], directions[:, 2])) / np.pi
    down = np.arccos(np.clip(directions[:, 1], -1, 1)) / np.pi
    return np.stack([0.02 + 0.96 * around, 0.02 + 0.96 * down], axis=1).astype(np.float32)
