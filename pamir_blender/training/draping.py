"""Skirts, dresses and coats hung around a posed person: rings about the convex hull of the legs.

Cloth that hangs spans the gap between the legs, so each ring starts from the convex hull of the person's
cross section, is widened by ease and flare, never narrows faster than cloth would, and carries folds that
grow towards the hem. No ring is longer around than the piece was cut: over a wide stride cloth is drawn in
where it hangs free, and rides up where the legs themselves need more.

What cloth encloses counts as inside, as it does in scans, whose surfaces are closed below a hem: between
the legs under a skirt, and between legs and cloth under a coat. A coat is open only where its front is, by
a slice that reaches to its middle. How far from the legs a sheet hangs could not be read off one photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import ConvexHull

from .solids import Part, capped_tube, open_coat

AROUND = 120
"""Vertices per ring."""

SHORTEST = 0.15
"""Metres below which a piece is not worth hanging."""

THINNEST = 0.02
"""Metres of radius that any ring has."""

CUT_EASE, CUT_FLARE = 0.02, 0.05
"""Metres of radius that a piece is cut wider than it hangs, at its top, and per metre of its length."""

CORE = 0.015
"""Metres from a coat's middle line to where the slice of its open front ends."""


@dataclass(frozen=True)
class Drape:
    """How a piece hangs: metres, except ``gap`` (half the front opening, radians; 0 = closed).

    ``length`` from top to hem; ``ease`` distance from the body at the top; ``flare`` widening per metre;
    ``taper`` how much it may narrow per metre; ``fold_depth`` at the hem; ``folds`` around.
    """

    length: float
    ease: float
    flare: float
    taper: float
    fold_depth: float
    folds: int
    gap: float = 0.0


def drape(
    rng: np.random.Generator,
    points: np.ndarray,
    top: np.ndarray,
    up: np.ndarray,
    piece: Drape,
    tile: np.ndarray,
    floor: float,
) -> Part | None:
    """Hang ``piece`` around ``points``.

    Args:
        points: (N, 3) the person's surface without arms, hands and head.
        top: (3,) centre of the uppermost ring; ``up`` (3,) its unit normal (the trunk's direction).
        tile: the cloth.
        floor: lowest y the hem may reach.

    Returns:
        the closed part, or None where the person's cross section is too odd to dress (lying, high kicks) or
        too wide for what the piece was cut for.
    """
    length = min(piece.length, top[1] - floor)
    if length < SHORTEST:
        return None
    levels = max(int(length / 0.02), 8)
    angles = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    distances = np.linspace(0, length, levels)
    path, centres, bases, sections = [], [], [], []
    straight = centre = top.copy()
    for k, distance in enumerate(distances):
        share = min(1.0, distance / 0.25)
        normal = up * (1 - share) + np.array([0, 1.0, 0]) * share
        normal /= np.linalg.norm(normal)
        if k:
            straight = straight - normal * distances[1]
            centre = centre - normal * distances[1]
        # Ring axes: z runs forward, x to the person's left; seen from above x to z is clockwise.
        ahead = np.array([0, 0, 1.0]) - normal * normal[2]
        ahead /= np.linalg.norm(ahead)
        aside = np.cross(normal, ahead)
        local = points - centre
        slab = np.abs(local @ normal) < 0.03
        flat = np.stack([local[slab] @ aside, local[slab] @ ahead], axis=1)
        flat = flat[np.hypot(*flat.T) < 0.75]
        if len(flat):
            shift = (flat.min(axis=0) + flat.max(axis=0)) / 2
            centre = centre + aside * shift[0] + ahead * shift[1]
            flat = flat - shift
        path.append(straight)
        centres.append(centre)
        bases.append((aside, ahead))
        sections.append(flat)
    # Where a foot begins or ends the middle of the cross section leaps; the middle of cloth does not.
    centre_line = np.stack(path) + gaussian_filter1d(np.stack(centres) - path, 4.0, axis=0, mode="nearest")
    hull = np.empty((levels, AROUND))
    for k, (axes, flat) in enumerate(zip(bases, sections, strict=True)):
        offset = np.array([axis @ (centres[k] - centre_line[k]) for axis in axes])
        hull[k] = hull_radius(flat + offset, angles)
    if hull[0].max() <= THINNEST:
        return None
    radius = _hang(hull, centre_line, bases, angles, piece)
    levels = len(radius)
    if distances[levels - 1] < SHORTEST:
        return None
    hull, centre_line = hull[:levels], centre_line[:levels]
    bases, distances = bases[:levels], distances[:levels]
    length = distances[-1]
    radius = gaussian_filter1d(
        gaussian_filter1d(radius, 2.0, axis=1, mode="wrap"), 1.5, axis=0, mode="nearest"
    )
    radius = np.maximum(radius, hull + 0.004)
    down = (distances / length)[:, None]
    phase = rng.uniform(0, 2 * np.pi, 3)
    wander = 0.6 * np.sin(angles * 2 + phase[0]) + 0.4 * np.sin(angles * 3 + phase[1])
    wave = np.cos(piece.folds * angles + phase[2] + wander * 1.5 + 0.6 * down)
    radius = radius + piece.fold_depth * down**1.3 * (wave * 0.5 + 0.5)
    outer = _rings(centre_line, bases, radius, angles)
    if piece.gap <= 0:
        return capped_tube(outer[:, ::-1], tile, repeat=2.0)
    inner = _rings(centre_line, bases, np.full_like(radius, CORE), angles)
    open_here = np.abs((angles - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi) < piece.gap
    order = np.roll(np.arange(AROUND), -int(np.flatnonzero(open_here).max()) - 1)
    order = order[~open_here[order]][::-1]
    return open_coat(outer[:, order], inner[:, order], tile)


def girth(radius: np.ndarray) -> float:
    """Metres around a ring of ``radius`` (A,) at evenly spread angles."""
    angles = np.linspace(0, 2 * np.pi, len(radius), endpoint=False)
    points = radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return float(np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1).sum())


def seen_from(radius: np.ndarray, shift: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The ring ``radius`` (A,) about another middle inside it, ``shift`` (2,) from the old one."""
    points = radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1) - shift
    turned = np.arctan2(points[:, 1], points[:, 0])
    return np.interp(angles, turned, np.hypot(*points.T), period=2 * np.pi)


def _hang(
    hull: np.ndarray,
    centres: np.ndarray,
    bases: list[tuple[np.ndarray, np.ndarray]],
    angles: np.ndarray,
    piece: Drape,
) -> np.ndarray:
    """(K, A) radii of the rings, K <= L, down to where the piece still goes around ``hull`` (L, A)."""
    # At the top a piece lies close to what it is sewn to, and has its full ease a hand's breadth below.
    rings = [hull[0] + 0.3 * piece.ease]
    cut = girth(hull[0] + piece.ease + CUT_EASE)
    length = 0.0
    for k in range(1, len(hull)):
        moved = centres[k] - centres[k - 1]
        step = float(abs(np.cross(*bases[k]) @ moved))
        length += step
        above = seen_from(rings[-1], np.array([axis @ moved for axis in bases[k]]), angles)
        tight = hull[k] + piece.ease * min(0.3 + length / 0.15, 1.0)
        wide = np.maximum(tight, above - piece.taper * step) + piece.flare * step
        most = cut + 2 * np.pi * (piece.flare + CUT_FLARE) * length
        least, around = girth(tight), girth(wide)
        if least > most:
            break
        if around > most:
            wide = tight + (wide - tight) * (most - least) / (around - least)
        rings.append(wide)
    return np.stack(rings)


def hull_radius(flat: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Radius (A,) in each direction of the convex hull of (N, 2) points and a thin ring about the origin."""
    ring = THINNEST * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    hull = ConvexHull(np.concatenate([flat, ring]))
    normals, offsets = hull.equations[:, :2], hull.equations[:, 2]
    along = ring / THINNEST @ normals.T
    return np.where(along > 1e-6, -offsets / np.maximum(along, 1e-6), np.inf).min(axis=1)


def _rings(
    centres: np.ndarray, bases: list[tuple[np.ndarray, np.ndarray]], radius: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    aside = np.stack([base[0] for base in bases])
    ahead = np.stack([base[1] for base in bases])
    cos, sin = np.cos(angles)[None, :, None], np.sin(angles)[None, :, None]
    return centres[:, None] + radius[..., None] * (aside[:, None] * cos + ahead[:, None] * sin)
