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
from scipy.spatial import ConvexHull, QhullError

from .solids import Part, capped_tube, open_coat

AROUND = 120
"""Vertices per ring."""

SHORTEST = 0.15
"""Metres below which a piece is not worth hanging."""

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
    centres, bases, radii = [], [], []
    centre = top.copy()
    for k, distance in enumerate(distances):
        share = min(1.0, distance / 0.25)
        normal = up * (1 - share) + np.array([0, 1.0, 0]) * share
        normal /= np.linalg.norm(normal)
        if k:
            centre = centre - normal * (distances[1] - distances[0])
        # Ring axes: z runs forward, x to the person's left; seen from above x to z is clockwise.
        ahead = np.array([0, 0, 1.0]) - normal * normal[2]
        ahead /= np.linalg.norm(ahead)
        aside = np.cross(normal, ahead)
        local = points - centre
        slab = np.abs(local @ normal) < 0.03
        flat = np.stack([local[slab] @ aside, local[slab] @ ahead], axis=1)
        flat = flat[np.hypot(*flat.T) < 0.75]
        radius, shift = _hull_radius(flat, angles)
        if radius is None:
            if not radii:
                return None
            radius, shift = radii[-1].copy(), np.zeros(2)
        else:
            centre = centre + aside * shift[0] + ahead * shift[1]
        centres.append(centre)
        bases.append((aside, ahead))
        radii.append(radius)
    hull = np.stack(radii)
    centre_line = gaussian_filter1d(np.stack(centres), 1.5, axis=0, mode="nearest")
    step = distances[1]
    radius = _hang(hull, piece, step)
    levels = len(radius)
    if (levels - 1) * step < SHORTEST:
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


def _hang(hull: np.ndarray, piece: Drape, step: float) -> np.ndarray:
    """(K, A) radii of the rings, K <= L, down to where the piece still goes around ``hull`` (L, A).

    ``step`` metres between rings.
    """
    rings = [hull[0] + piece.ease]
    cut = girth(rings[0] + CUT_EASE)
    for k in range(1, len(hull)):
        tight = hull[k] + piece.ease
        wide = np.maximum(tight, rings[-1] - piece.taper * step) + piece.flare * step
        most = cut + 2 * np.pi * (piece.flare + CUT_FLARE) * k * step
        least, around = girth(tight), girth(wide)
        if least > most:
            break
        if around > most:
            wide = tight + (wide - tight) * (most - least) / (around - least)
        rings.append(wide)
    return np.stack(rings)


def _hull_radius(flat: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Radius of the convex hull of (N, 2) in each direction about its centroid, and that centroid."""
    if len(flat) < 8:
        return None, np.zeros(2)
    try:
        hull = ConvexHull(flat)
    except QhullError:
        return None, np.zeros(2)
    corners = flat[hull.vertices]
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    normals, offsets = hull.equations[:, :2], hull.equations[:, 2] + hull.equations[:, :2] @ centre
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    along = directions @ normals.T
    reach = np.where(along > 1e-6, -offsets / np.maximum(along, 1e-6), np.inf)
    return reach.min(axis=1), centre


def _rings(
    centres: np.ndarray, bases: list[tuple[np.ndarray, np.ndarray]], radius: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    aside = np.stack([base[0] for base in bases])
    ahead = np.stack([base[1] for base in bases])
    cos, sin = np.cos(angles)[None, :, None], np.sin(angles)[None, :, None]
    return centres[:, None] + radius[..., None] * (aside[:, None] * cos + ahead[:, None] * sin)
