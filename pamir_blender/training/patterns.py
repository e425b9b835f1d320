"""Cloth, hair and skin colours: random tiles, and new colours for the clothes of a textured subject."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import cv2
import numpy as np

from .avatars import ClothedSubject

TILE = 256
"""Side of a procedural tile in pixels."""


def random_color(rng: np.random.Generator) -> np.ndarray:
    """(3,) float in [0, 1]: mostly muted cloth colours, sometimes black, white or vivid."""
    kind = rng.random()
    if kind < 0.15:
        return np.full(3, rng.uniform(0.06, 0.2))
    if kind < 0.3:
        return np.clip(rng.uniform(0.75, 0.95) + rng.normal(0, 0.02, 3), 0, 1)
    saturation = rng.uniform(0.5, 0.95) if kind > 0.75 else rng.uniform(0.1, 0.55)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.2, 0.9)))


def cloth_tile(rng: np.random.Generator, color: np.ndarray | None = None) -> np.ndarray:
    """(256, 256, 3) uint8: plain, striped, checked, dotted or mottled cloth with a faint weave."""
    base = random_color(rng) if color is None else np.asarray(color)
    other = random_color(rng)
    v, u = np.mgrid[0:TILE, 0:TILE] / TILE
    kind = rng.choice(["plain", "stripes", "checks", "dots", "mottled"], p=[0.5, 0.16, 0.1, 0.1, 0.14])
    repeat = int(rng.integers(6, 26))
    if kind == "stripes":
        phase = v if rng.random() < 0.5 else u
        share = ((phase * repeat) % 1 < rng.uniform(0.25, 0.6)).astype(float)
    elif kind == "checks":
        share = 0.5 * (((u * repeat) % 1 < 0.5).astype(float) + ((v * repeat) % 1 < 0.5))
    elif kind == "dots":
        share = (np.hypot((u * repeat) % 1 - 0.5, (v * repeat) % 1 - 0.5) < rng.uniform(0.15, 0.35)).astype(
            float
        )
    elif kind == "mottled":
        coarse = rng.normal(0, 1, (int(rng.integers(6, 30)),) * 2).astype(np.float32)
        share = np.clip(cv2.resize(coarse, (TILE, TILE), interpolation=cv2.INTER_CUBIC) * 2, 0, 1)
    else:
        share = np.zeros((TILE, TILE))
    tile = base + (other - base) * share[..., None]
    shade = cv2.resize(
        rng.normal(0, 0.05, (24, 24)).astype(np.float32), (TILE, TILE), interpolation=cv2.INTER_CUBIC
    )
    tile = tile * (1 + shade[..., None] + rng.normal(0, 0.02, (TILE, TILE, 1)))
    return (np.clip(tile, 0, 1) * 255 + 0.5).astype(np.uint8)


def hair_tile(rng: np.random.Generator) -> np.ndarray:
    """(256, 256, 3) uint8 streaks along v in a natural hair colour."""
    tones = [
        (0.07, 0.06, 0.055),
        (0.17, 0.11, 0.07),
        (0.32, 0.2, 0.11),
        (0.6, 0.45, 0.27),
        (0.42, 0.18, 0.08),
        (0.6, 0.6, 0.6),
    ]
    base = np.array(tones[rng.choice(len(tones), p=[0.3, 0.25, 0.2, 0.12, 0.07, 0.06])])
    streaks = cv2.resize(
        rng.normal(0, 0.35, (5, 110)).astype(np.float32), (TILE, TILE), interpolation=cv2.INTER_LINEAR
    )
    grain = rng.normal(0, 0.08, (TILE, TILE))
    return (np.clip(base * np.exp(streaks + grain)[..., None], 0, 1) * 255 + 0.5).astype(np.uint8)


def recolored(rng: np.random.Generator, subject: ClothedSubject) -> ClothedSubject:
    """The subject with its clothes in other colours; head, hands and skin-coloured texels stay."""
    texture = subject.texture
    height, width = texture.shape[:2]
    keep = np.zeros((height, width), np.uint8)
    exposed = subject.weights[:, [12, 15, 20, 21, 22, 23]].sum(axis=1) > 0.3
    exposed |= subject.part > 0
    triangles = subject.faces[exposed[subject.faces].all(axis=1)]
    pixels = np.round(subject.uv[triangles] * [width, height] - 0.5).astype(np.int32)
    for triangle in pixels:
        cv2.fillConvexPoly(keep, triangle, 255)
    keep = cv2.dilate(keep, np.ones((3, 3), np.uint8))
    face = (
        (subject.weights[:, 15] > 0.9)
        & (subject.vertices[:, 2] > subject.joints[15, 2] + 0.05)
        & (subject.part == 0)
    )
    at = np.clip((subject.uv[face] * [width, height]).astype(int), 0, [width - 1, height - 1])
    lab = cv2.cvtColor(texture, cv2.COLOR_RGB2LAB).astype(np.float32)
    skin = np.median(lab[at[:, 1], at[:, 0]], axis=0)
    distance = np.linalg.norm(lab[..., 1:] - skin[1:], axis=-1) + 0.15 * np.abs(lab[..., 0] - skin[0])
    cloth = np.clip((distance - 12) / 8, 0, 1) * (keep == 0)
    cloth = cv2.GaussianBlur(cloth.astype(np.float32), (0, 0), 1.2)[..., None]
    hsv = cv2.cvtColor(texture.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    value = hsv[..., 2:]
    if rng.random() < 0.5:
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 360)) % 360
        hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.5, 1.8) + rng.uniform(0, 0.25), 0, 1)
        hsv[..., 2] = np.clip(hsv[..., 2] ** rng.uniform(0.55, 1.4), 0, 1)
        changed = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    else:
        # A new dye: keep the folds' shading, replace colour and mean brightness.
        mean = float(value[cloth[..., 0] > 0.5].mean()) if (cloth > 0.5).any() else 0.5
        changed = random_color(rng) * np.clip(0.35 + 0.65 * value / max(mean, 0.05), 0.2, 1.6)
    mixed = texture * (1 - cloth) + np.clip(changed, 0, 1) * 255 * cloth
    return replace(subject, texture=np.clip(mixed + 0.5, 0, 255).astype(np.uint8))
