"""The learning curves of one training as a picture."""

from __future__ import annotations

import json
from pathlib import Path


def read_log(path: Path) -> list[dict]:
    """The lines of a training log, oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def draw_curves(log: Path, picture: Path) -> None:
    """Draw every number of ``log`` that changes over time into ``picture`` (PNG), one small plot each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_log(log)
    skipped = {"kind", "step", "samples", "seconds", "resumed", "device", "precision"}
    plots: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in skipped and isinstance(value, int | float):
                plots.setdefault((line["kind"], name), []).append((line["seconds"] / 60.0, value))
    if not plots:
        return
    columns = 4
    rows = -(-len(plots) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    for index, ((kind, name), values) in enumerate(sorted(plots.items(), reverse=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.plot(*zip(*values, strict=True), marker="." if kind == "validation" else "")
        axes.set_title(f"{kind}: {name}", fontsize=9)
        axes.set_xlabel("minutes", fontsize=8)
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(str(picture))
