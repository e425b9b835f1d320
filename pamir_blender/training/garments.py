"""Clothes and hair that the avatars lack, added to a posed subject: skirts, dresses, coats, volume hair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .draping import Drape, drape
from .hair import Head, grow_hair
from .patterns import TILE, cloth_tile, hair_tile
from .rendering import seam_groups, vertex_normals
from .solids import SPAN, Part
from .subjects import PosedSubject

GARMENTS: dict[str, float] = {"skirt": 0.28, "dress": 0.27, "coat": 0.15, "robe": 0.10, "none": 0.20}
"""Share of each added garment."""
HAIR: dict[str, float] = {
    "afro": 0.18,
    "cap": 0.06,
    "bob": 0.14,
    "long": 0.24,
    "ponytail": 0.09,
    "bun": 0.09,
    "none": 0.20,
}
"""Share of each added hair style (subjects that wear a wig keep it)."""

COAT_FLARE = 0.5
"""How much less than a skirt a coat or a robe widens towards its hem."""

_TRUNK = (0, 3, 6, 9, 13, 14)
_LEGS = (1, 2, 4, 5, 7, 8, 10, 11)
_FEET = (7, 8, 10, 11)
_UPPER_ARMS = (16, 17)
_FOREARMS = (18, 19)


def pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """A key of ``shares``, drawn by its share."""
    names = list(shares)
    weights = np.array(list(shares.values()))
    return names[rng.choice(len(names), p=weights / weights.sum())]


def add_garments(
    rng: np.random.Generator, posed: PosedSubject, garment: str | None = None, hair: str | None = None
) -> tuple[PosedSubject, str]:
    """A posed subject with a random added garment and hair style; returns it and what was added."""
    garment = garment or pick(rng, GARMENTS)
    hair = hair or ("none" if posed.subject.sheets else pick(rng, HAIR))
    tile = cloth_tile(rng)
    worn = _dress(rng, posed, garment, tile) if garment != "none" else []
    grown = _hair(rng, posed, hair) if hair != "none" else []
    if not worn + grown:
        return posed, "none"
    return with_parts(posed, worn + grown), f"{garment if worn else ''}+{hair if grown else ''}"


def with_parts(posed: PosedSubject, parts: list[Part]) -> PosedSubject:
    """The posed subject with closed ``parts`` added to its mesh and their tiles to its texture."""
    subject = posed.subject
    height, width = subject.texture.shape[:2]
    tiles: list[np.ndarray] = []
    for part in parts:
        if not any(part.tile is tile for tile in tiles):
            tiles.append(part.tile)
    tall = max(height, TILE)
    per_column = tall // TILE
    columns = -(-len(tiles) // per_column)
    texture = np.full((tall, width + columns * TILE, 3), 128, np.uint8)
    texture[:height, :width] = subject.texture
    total = texture.shape[1]
    corners = []
    for k, tile in enumerate(tiles):
        x, y = width + (k // per_column) * TILE, (k % per_column) * TILE
        texture[y : y + TILE, x : x + TILE] = tile
        corners.append((x, y))
    uv = [subject.uv * [width / total, height / tall]]
    faces, vertices, normals = [subject.faces], [posed.vertices], [posed.normals]
    offset = len(posed.vertices)
    for part in parts:
        x, y = corners[next(k for k, tile in enumerate(tiles) if part.tile is tile)]
        # Half a pixel inside the tile, so that filtering does not reach its neighbours.
        inset = np.clip(part.uv, 2 / TILE, 1 - 2 / TILE)
        uv.append((inset * TILE + [x, y]) / [total, tall])
        faces.append(part.faces + offset)
        vertices.append(part.vertices)
        normals.append(vertex_normals(part.vertices, part.faces))
        offset += len(part.vertices)
    added = offset - len(posed.vertices)
    number = int(subject.part.max()) + 1
    rest = np.concatenate([part.vertices for part in parts])
    merged = replace(
        subject,
        vertices=np.concatenate([subject.vertices, rest]).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        uv=np.concatenate(uv).astype(np.float32),
        texture=texture,
        weights=np.concatenate([subject.weights, np.zeros((added, 24), np.float32)]),
        part=np.concatenate([subject.part, np.full(added, number, np.uint8)]),
    )
    return replace(
        posed,
        subject=merged,
        vertices=np.concatenate(vertices).astype(np.float32),
        normals=np.concatenate(normals).astype(np.float32),
    )


def _dress(rng: np.random.Generator, posed: PosedSubject, garment: str, tile: np.ndarray) -> list[Part]:
    subject = posed.subject
    rest = subject.vertices
    groups = subject.weights
    hips = subject.joints[[1, 2]].mean(axis=0)
    trunk = groups[:, _TRUNK].sum(axis=1)
    legs = groups[:, _LEGS].sum(axis=1)
    carried = (trunk + legs > 0.6) & (subject.part == 0)
    # Hems hang about the ankles; feet look out below them.
    points = posed.vertices[carried & (groups[:, _FEET].sum(axis=1) < 0.5)]
    floor = float(posed.vertices[:, 1].min()) + rng.uniform(0.02, 0.06)
    loose = garment in ("coat", "robe")
    # Where the hanging piece begins, in the rest pose: the waist, or under the arms for coats and robes.
    waist = hips[1] + rng.uniform(0.08, 0.17)
    chest = subject.joints[16, 1] - rng.uniform(0.17, 0.24)
    begin = chest if loose else waist
    ring = carried & (np.abs(rest[:, 1] - begin) < 0.02) & (trunk > 0.7)
    if ring.sum() < 12:
        return []
    top = posed.vertices[ring].mean(axis=0)
    above = carried & (np.abs(rest[:, 1] - begin - 0.08) < 0.02) & (trunk > 0.7)
    up = posed.vertices[above].mean(axis=0) - top if above.sum() > 12 else np.array([0, 1.0, 0])
    up = up / np.linalg.norm(up)
    style = rng.random()
    piece = Drape(
        length=rng.uniform(0.75, 1.3)
        if loose
        else float(rng.choice([rng.uniform(0.38, 0.6), rng.uniform(0.6, 1.02)])),
        ease=rng.uniform(0.02, 0.045) if loose else rng.uniform(0.006, 0.016),
        flare=rng.uniform(*((0.0, 0.08) if style < 0.35 else (0.08, 0.32))) * (COAT_FLARE if loose else 1.0),
        taper=rng.uniform(0.2, 0.6) if style < 0.35 else rng.uniform(0.0, 0.1),
        fold_depth=rng.uniform(0.0, 0.012) if style < 0.35 else rng.uniform(0.008, 0.035),
        folds=int(rng.integers(5, 17)),
        gap=rng.uniform(0.12, 0.5) if garment == "coat" else 0.0,
    )
    hanging = drape(rng, points, top, up, piece, tile, floor)
    if hanging is None:
        return []
    parts = [hanging]
    if garment in ("dress", "coat", "robe"):
        sleeve = (
            float(rng.choice([0.0, 0.35, 1.0, 2.0], p=[0.25, 0.25, 0.15, 0.35]))
            if garment == "dress"
            else 2.0
        )
        offset = piece.ease if garment == "dress" else rng.uniform(0.008, 0.018)
        bodice = _shell(posed, begin - 0.09, sleeve, offset, rng.uniform(0.0, 0.04), tile)
        parts += [bodice] if bodice is not None else []
    return parts


def _shell(
    posed: PosedSubject, lowest: float, sleeve: float, offset: float, neckline: float, tile: np.ndarray
) -> Part | None:
    """A closed layer ``offset`` metres over trunk and arms.

    ``lowest`` rest height of its lower rim; ``sleeve`` 0 none, 1 to the elbow, 2 to the wrist; ``neckline``
    metres below the neck's joint at which it ends.
    """
    subject = posed.subject
    rest, weights = subject.vertices, subject.weights
    shoulder, elbow, wrist = subject.joints[16], subject.joints[18], subject.joints[20]
    reach = np.abs(rest[:, 0])
    if sleeve <= 1:
        end = shoulder[0] + (elbow[0] - shoulder[0]) * max(sleeve, 0.08)
    else:
        end = elbow[0] + (wrist[0] - elbow[0]) * min(sleeve - 1, 0.95)
    covered = weights[:, (*_TRUNK, *_UPPER_ARMS, *_FOREARMS, 20, 21)].sum(axis=1) > 0.5
    covered |= (weights[:, _LEGS].sum(axis=1) > 0.4) & (rest[:, 1] > lowest)
    chosen = covered & (reach < end) & (rest[:, 1] > lowest) & (subject.part == 0)
    # The neck stays free: a cut that rises away from it and lies lower in front than behind.
    neck = subject.joints[12]
    aside = np.hypot(rest[:, 0], np.maximum(rest[:, 2] - neck[2], 0) * 0.6)
    chosen &= (rest[:, 1] < neck[1] - neckline) | (aside > 0.07 + neckline)
    chosen &= weights[:, 15] < 0.2
    faces = subject.faces[chosen[subject.faces].all(axis=1)]
    if len(faces) < 200:
        return None
    used, local = np.unique(faces, return_inverse=True)
    groups = seam_groups(rest[used])
    first = np.unique(groups, return_index=True)[1]
    welded = groups[local.reshape(-1, 3)]
    keep = (welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 0] != welded[:, 2])
    welded = welded[keep].astype(np.int32)
    points, normals = posed.vertices[used][first], posed.normals[used][first]
    flat = rest[used][first]
    uv = np.stack([0.5 + flat[:, 0] / SPAN / 2, (subject.joints[12, 1] + 0.1 - flat[:, 1]) / SPAN], axis=1)
    return _layer(points, normals, welded, np.clip(uv, 0.01, 0.99), offset, tile)


def _layer(
    points: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    uv: np.ndarray,
    offset: float,
    tile: np.ndarray,
) -> Part:
    """The closed slab between a surface sunk by 3 mm and the same moved out by ``offset``."""
    count = len(points)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    keys = edges[:, 0] * count + edges[:, 1]
    twins = edges[:, 1] * count + edges[:, 0]
    rim = edges[~np.isin(twins, keys)]
    wall = np.concatenate(
        [
            np.stack([rim[:, 1], rim[:, 0], rim[:, 0] + count], axis=1),
            np.stack([rim[:, 1], rim[:, 0] + count, rim[:, 1] + count], axis=1),
        ]
    )
    vertices = np.concatenate([points + normals * offset, points - normals * 0.003])
    solid = np.concatenate([faces, faces[:, ::-1] + count, wall]).astype(np.int32)
    return Part(vertices.astype(np.float32), solid, np.tile(uv, (2, 1)).astype(np.float32), tile)


def _hair(rng: np.random.Generator, posed: PosedSubject, style: str) -> list[Part]:
    subject = posed.subject
    weights = subject.weights
    on_head = (weights[:, 15] > 0.6) & (subject.part == 0) & (subject.vertices[:, 1] > subject.joints[15, 1])
    points, rest = posed.vertices[on_head], subject.vertices[on_head]
    if len(points) < 100:
        return []
    # The head moves rigidly: its axes follow from rest and posed points (Kabsch).
    u, _, vt = np.linalg.svd((rest - rest.mean(0)).T @ (points - points.mean(0)))
    turn = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    low, high = rest.min(axis=0), rest.max(axis=0)
    middle = np.array([0, high[1] - 0.105, (low[2] + high[2]) / 2])
    centre = turn @ (middle - rest.mean(0)) + points.mean(0)
    whole = (weights[:, [12, 15]].sum(axis=1) > 0.5) & (subject.part == 0)
    head = Head(posed.vertices[whole], centre, turn)
    trunk = posed.vertices[weights[:, (*_TRUNK, 12)].sum(axis=1) > 0.5]
    return grow_hair(rng, head, trunk, style, hair_tile(rng))
