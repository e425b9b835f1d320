"""A UV atlas: the surface cut into flat charts and packed into the unit square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .charts import chart_bounds, cut_charts

_CELLS = 512  # a side of the grid on which charts are packed
_TURNS = 32  # orientations tried over half a turn


@dataclass(frozen=True)
class Atlas:
    """``corner_uv`` (F, 3, 2) float32 in [0, 1], v up, for each face's corners; ``chart`` (F,) int32;
    ``utilisation`` share of the square that faces cover."""

    corner_uv: np.ndarray
    chart: np.ndarray
    utilisation: float


def build_atlas(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    parts: np.ndarray | None = None,
    size: int = 2048,
    padding: int = 4,
) -> Atlas:
    """Unwrap a closed mesh, ``vertices`` (V, 3) and ``faces`` (F, 3), for a texture ``size`` pixels a side.

    All charts have the same scale and stay at least ``padding`` texels apart. Most faces are seen from within
    55 degrees of straight on, which stretches texels 1.7 times at worst. ``parts`` (F,) small integers, say
    limbs, that get charts of their own: these pack better than a whole person's outline.
    """
    chart, flat = cut_charts(vertices, faces, parts)
    flat = _turn_to_smallest_box(flat, chart)
    area = (
        0.5
        * np.abs(
            (flat[:, 1, 0] - flat[:, 0, 0]) * (flat[:, 2, 1] - flat[:, 0, 1])
            - (flat[:, 1, 1] - flat[:, 0, 1]) * (flat[:, 2, 0] - flat[:, 0, 0])
        ).sum()
    )
    low, high = chart_bounds(flat, chart)
    flat = flat - low[chart][:, None]
    extent = high - low
    gap = padding / size * _CELLS
    # The largest scale that still fits, by bisection; each trial packs everything anew.
    fits, fails = 0.0, min((_CELLS - 2 * gap) / extent.max(), _CELLS / np.sqrt(area))
    scale, best = 0.75 * fails, None
    for _ in range(7 if len(extent) < 300 else 3):
        places = _pack(flat * scale, chart, gap)
        if places is None:
            fails = scale
        else:
            fits, best = scale, (scale, places)
        scale = (fits + fails) / 2
    while best is None:
        # Very many tiny charts: their margins fill the square.
        places = _pack(flat * scale, chart, gap)
        best, scale = (None if places is None else (scale, places)), scale / 2
    scale, places = best
    uv = (flat * scale + places[chart][:, None]) / _CELLS
    return Atlas(uv.astype(np.float32), chart.astype(np.int32), float(area * scale**2 / _CELLS**2))


def _turn_to_smallest_box(flat: np.ndarray, chart: np.ndarray) -> np.ndarray:
    """Turn every chart so that its bounding box is smallest, and upright."""
    order = np.argsort(chart, kind="stable")
    starts = np.flatnonzero(np.diff(chart[order], prepend=-1)) * 3
    angles = np.arange(_TURNS) * np.pi / _TURNS
    along = flat[order].reshape(-1, 2) @ np.stack([np.cos(angles), np.sin(angles)])
    width = np.maximum.reduceat(along, starts) - np.minimum.reduceat(along, starts)
    # Turned by an angle, a chart is as wide as it is long along that angle, and as high as along the next
    # quarter turn; of all boxes only the upright ones.
    height = np.roll(width, -_TURNS // 2, axis=1)
    best = angles[np.where(width <= height, width * height, np.inf).argmin(1)][chart]
    c, s = np.cos(best)[:, None], np.sin(best)[:, None]
    u, v = flat[:, :, 0], flat[:, :, 1]
    return np.stack([c * u + s * v, c * v - s * u], axis=-1)


def _pack(flat: np.ndarray, chart: np.ndarray, gap: float) -> np.ndarray | None:
    """Offsets (C, 2) in cells that place every chart, or None if they do not fit.

    Charts fall from the tallest to the smallest onto the skyline of those before, each where its underside
    wastes least, as in Levy et al. 2002, "Least squares conformal maps", section 4.
    """
    outlines = _outlines(flat, chart, gap)
    height = np.array([outline[1].max() for outline in outlines])
    skyline = np.zeros(_CELLS, np.int64)
    places = np.empty((len(outlines), 2))
    for index in np.argsort(-height, kind="stable"):
        under, over = outlines[index]
        width = len(under)
        if width > _CELLS:
            return None
        windows = np.lib.stride_tricks.sliding_window_view(skyline, width)
        rest = np.maximum((windows - under).max(1), 0)
        column = int((rest + over.max()).argmin())
        row = int(rest[column])
        if row + over.max() > _CELLS:
            return None
        skyline[column : column + width] = np.maximum(skyline[column : column + width], row + over)
        places[index] = column + gap / 2, row + gap / 2
    return places


def _outlines(flat: np.ndarray, chart: np.ndarray, gap: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per chart its lowest and highest cell (W,) of each column of cells, half a gap around it included."""
    a, b, c = flat[:, 0], flat[:, 1], flat[:, 2]
    low = np.floor(np.minimum(np.minimum(a, b), c)).astype(np.int64)
    # Offsets are shifted by half a gap, so a chart's own margin spans one gap above and to the right.
    high = np.ceil(np.maximum(np.maximum(a, b), c) + gap).astype(np.int64)
    widths = np.zeros(int(chart.max()) + 1, np.int64)
    np.maximum.at(widths, chart, high[:, 0])
    first = np.cumsum(widths) - widths
    under = np.full(int(widths.sum()), 1 << 30)
    over = np.zeros(int(widths.sum()), np.int64)
    for step in range(int((high - low)[:, 0].max())):
        covers = low[:, 0] + step < high[:, 0]
        column = first[chart[covers]] + low[covers, 0] + step
        np.minimum.at(under, column, low[covers, 1])
        np.maximum.at(over, column, high[covers, 1])
    return [(under[a : a + w], over[a : a + w]) for a, w in zip(first, widths, strict=True)]
