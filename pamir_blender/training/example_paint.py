"""Colours of the example person as functions of the open body's template coordinates (metres)."""

from __future__ import annotations

import numpy as np

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
    inside = (x < 0.335) & (y > -0.115) & ~neckline(rest, 1.0)
    seam = (x > 0.318) | (y < -0.098) | neckline(rest, 1.16)
    return _cloth(rest, _SHIRT, inside, seam)


def neckline(rest: np.ndarray, size: float) -> np.ndarray:
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
