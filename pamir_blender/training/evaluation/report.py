"""The evaluation's folder: tables, figures, sheets, and one JSON file that says how all of it came about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...check import versions
from .cache import RowCache
from .case import Condition, ViewSet
from .contender import Contender
from .measuring import Row, Settings
from .paper import NORMAL_ERROR, as_json
from .pictures import contact_sheet, read_picture, write_picture
from .plots import draw_noise, draw_spread
from .tables import gains_table, markdown_table, summarise

FORMAT = 1
SHEET_ROWS = 24


def write_report(
    out: Path,
    command: Sequence[str],
    views: ViewSet,
    contenders: Sequence[Contender],
    lines: Sequence[Condition],
    rows: Sequence[Row],
    noise: Sequence[dict[str, Any]],
    settings: Settings,
    cache: RowCache,
) -> str:
    """Write everything but the cache; returns the Markdown text."""
    summary = summarise(rows, lines)
    described = views.describe()
    text = _markdown(command, described, contenders, summary, rows, noise, settings)
    (out / "tables.md").write_text(text, encoding="utf-8")
    content = {
        "format": FORMAT,
        "command": ["python", "-m", "pamir_blender", "evaluate", *command],
        "versions": versions(),
        "settings": vars(settings),
        "test_set": described,
        "weights": [
            {"name": c.name, "file": str(c.path), "sha256": c.digest, "variant": c.variant, "card": c.card}
            for c in contenders
        ],
        "summary": summary,
        "rows": [
            {**{k: v for k, v in row.items() if k != "key"}, "tags": views.tags(row["view"])} for row in rows
        ],
        "noise": list(noise),
        "paper": {"other_data": True, "figures": as_json(), "normal_error": NORMAL_ERROR},
    }
    write_json(out / "evaluation.json", content)
    spread = {_label(line): _values(rows, line) for line in lines}
    if any(spread.values()):
        draw_spread(spread, out / "spread.png")
    if noise:
        draw_noise(noise, out / "noise.png")
    _write_sheets(out / "sheets", lines, rows, cache)
    return text


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that any parser reads (no NaN), whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def _markdown(
    command: Sequence[str],
    described: dict[str, Any],
    contenders: Sequence[Contender],
    summary: Sequence[dict[str, Any]],
    rows: Sequence[Row],
    noise: Sequence[dict[str, Any]],
    settings: Settings,
) -> str:
    parts = ["# Evaluation\n", f"`python -m pamir_blender evaluate {' '.join(command)}`\n"]
    parts.append(
        f"{described['views']} views, meshes at {settings.resolution}^3, {settings.samples:,} points on each "
        f"surface, seed {settings.seed}. Means over the views; lengths in centimetres.\n"
    )
    parts.append(markdown_table(summary, contenders))
    parts.append(
        "\\* The paper's own figures, on its own data with networks trained on its scans: not measured here, "
        f"and not comparable number by number. Its normal error from one image is {NORMAL_ERROR}.\n"
    )
    gains = gains_table(rows)
    if gains:
        parts += ["## Body reference optimisation\n", gains]
    if noise:
        parts += ["## Noisy bodies\n", _noise_table(noise)]
    failed = [row for row in rows if not row["ok"]]
    if failed:
        parts.append("## Not measured\n")
        parts += [f"- {row['view']}, {_label_of(row)}: {row['reason']}" for row in failed]
        parts.append("")
    parts.append("## Networks\n")
    parts += [f"- {c.name}: {c.variant}, sha256 {c.digest}" for c in contenders]
    return "\n".join(parts) + "\n"


def _noise_table(noise: Sequence[dict[str, Any]]) -> str:
    lines = ["| noise | level | network | views | P2S cm | Chamfer cm |", "|" + " --- |" * 6]
    for entry in noise:
        numbers = " | ".join(
            "-" if entry[key] is None else f"{entry[key]:.2f}" for key in ("point_to_surface", "chamfer")
        )
        name = entry["weights"] or "none: the body alone"
        lines.append(f"| {entry['kind']} | {entry['level']:g} | {name} | {entry['views']} | {numbers} |")
    return "\n".join(lines) + "\n"


def _write_sheets(out: Path, lines: Sequence[Condition], rows: Sequence[Row], cache: RowCache) -> None:
    """One contact sheet per network and body, the largest point-to-surface first."""
    out.mkdir(exist_ok=True)
    for line in lines:
        if line.weights is None:
            continue
        mine = [row for row in rows if _is(row, line) and row["ok"]]
        mine.sort(key=lambda row: -(row["scores"]["point_to_surface"] or 0.0))
        strips = []
        for row in mine[:SHEET_ROWS]:
            picture = read_picture(cache.picture(row["key"]))
            if picture is not None:
                strips.append((_caption(row), picture))
        if strips:
            name = "".join(c if c.isalnum() or c in "-_." else "_" for c in _label(line))
            write_picture(out / f"{name}.png", contact_sheet(strips))


def _caption(row: Row) -> str:
    scores = row["scores"]
    told = [("P2S", "point_to_surface", 2), ("Chamfer", "chamfer", 2), ("MPJPE", "mpjpe", 2)]
    told.append(("IoU", "silhouette_iou", 3))
    known = [f"{head} {scores[key]:.{digits}f}" for head, key, digits in told if scores.get(key) is not None]
    return f"{row['view']}   {'   '.join(known)}"


def _is(row: Row, line: Condition) -> bool:
    return (row["weights"], row["body"], row["optimised"]) == (line.weights, line.body, line.optimised)


def _values(rows: Sequence[Row], line: Condition) -> list[float]:
    values = [row["scores"]["point_to_surface"] for row in rows if row["ok"] and _is(row, line)]
    return [value for value in values if value is not None]


def _label(line: Condition) -> str:
    return f"{line.weights or 'body alone'}, {line.body}{' optimised' if line.optimised else ''}"


def _label_of(row: Row) -> str:
    return _label(Condition(row["weights"], row["body"], row["optimised"]))
