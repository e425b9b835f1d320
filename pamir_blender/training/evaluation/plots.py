"""The evaluation's pictures of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .noise import LEVELS, UNITS


def draw_noise(means: Sequence[dict[str, Any]], path: Path) -> None:
    """Point-to-surface against body noise, one panel a kind, one line a network; the body alone is dashed."""
    figure = Figure(figsize=(4.2 * len(LEVELS), 3.6), layout="constrained")
    for number, kind in enumerate(LEVELS, 1):
        axes = figure.add_subplot(1, len(LEVELS), number)
        for weights in dict.fromkeys(entry["weights"] for entry in means):
            mine = [e for e in means if (e["weights"], e["kind"]) == (weights, kind)]
            mine = [e for e in mine if e["point_to_surface"] is not None]
            axes.plot(
                [entry["level"] for entry in mine],
                [entry["point_to_surface"] for entry in mine],
                marker=".",
                linestyle="-" if weights else "--",
                label=weights or "body alone",
            )
        axes.set_title(f"{kind} noise", fontsize=10)
        axes.set_xlabel(UNITS[kind], fontsize=9)
        axes.set_ylabel("point-to-surface, cm", fontsize=9)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    FigureCanvasAgg(figure).print_png(str(path))


def draw_spread(groups: dict[str, Sequence[float]], path: Path) -> None:
    """How point-to-surface spreads over the views: one box a line of the table, whiskers to the extremes."""
    filled = {name: list(values) for name, values in groups.items() if len(values)}
    figure = Figure(figsize=(8, 0.45 * len(filled) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.boxplot(list(filled.values()), orientation="horizontal", whis=(0, 100))
    axes.set_yticks(range(1, len(filled) + 1), list(filled), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("point-to-surface, cm")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3, axis="x")
    FigureCanvasAgg(figure).print_png(str(path))
