"""Rows to means, and means to a Markdown table with the paper's figures beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .case import Condition
from .contender import Contender
from .measuring import Row
from .paper import PaperFigures, beside

MEASURES: dict[str, tuple[str, int]] = {
    "point_to_surface": ("P2S cm", 2),
    "chamfer": ("Chamfer cm", 2),
    "normal_error": ("normals", 3),
    "normal_degrees": ("normals, degrees", 1),
    "mpjpe": ("MPJPE cm", 2),
    "silhouette_iou": ("silhouette IoU", 3),
}
"""Key of a score, its column's head, decimals."""

_BODY_WORDS = {"true": "true", "estimated": "estimated", "photo": "from the picture"}


def summarise(rows: Sequence[Row], lines: Sequence[Condition]) -> list[dict[str, Any]]:
    """One entry per line: means over the views where it succeeded, how many those are, how many failed.

    A measure that no view has is None.
    """
    entries = []
    for line in lines:
        mine = [
            row
            for row in rows
            if (row["weights"], row["body"], row["optimised"]) == (line.weights, line.body, line.optimised)
        ]
        good = [row["scores"] for row in mine if row["ok"]]
        entry = {"weights": line.weights, "body": line.body, "optimised": line.optimised}
        entry |= {"views": len(good), "failed": len(mine) - len(good)}
        for key in MEASURES:
            values = [scores[key] for scores in good if scores.get(key) is not None]
            entry[key] = float(np.mean(values)) if values else None
        entries.append(entry)
    return entries


def markdown_table(summary: Sequence[dict[str, Any]], contenders: Sequence[Contender]) -> str:
    """The means as a table; the last two columns are the paper's, measured on other data."""
    by_name = {contender.name: contender for contender in contenders}
    heads = ["network", "body", "views", *(head for head, _ in MEASURES.values())]
    heads += ["paper*: P2S / Chamfer, BUFF; Twindom", "paper*: MPJPE"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for entry in summary:
        contender = by_name.get(entry["weights"])
        views = f"{entry['views']}" + (f" ({entry['failed']} failed)" if entry["failed"] else "")
        cells = [entry["weights"] or "none: the body alone", _body(entry, contender), views]
        cells += [_number(entry[key], digits) for key, (_, digits) in MEASURES.items()]
        lines.append(_line(cells + _paper(entry, contender)))
    return "\n".join(lines) + "\n"


def _body(entry: dict[str, Any], contender: Contender | None) -> str:
    if contender is not None and not contender.reads_body:
        return "none; the front end's crop" if entry["body"] == "photo" else "none"
    return _BODY_WORDS[entry["body"]] + (", optimised" if entry["optimised"] else "")


def _paper(entry: dict[str, Any], contender: Contender | None) -> list[str]:
    figures: PaperFigures | None = None
    if contender is not None:
        figures = beside(
            entry["body"],
            optimised=entry["optimised"],
            variant=contender.variant,
            command=contender.command,
        )
    if figures is None:
        return ["", ""]
    surface = [
        f"{_number(p2s, 2)} / {_number(chamfer, 2)}"
        for p2s, chamfer in zip(figures.point_to_surface, figures.chamfer, strict=True)
        if p2s is not None
    ]
    joints = [_number(value, 2) for value in figures.mpjpe if value is not None]
    return ["; ".join(surface), "; ".join(joints)]


def gains_table(rows: Sequence[Row]) -> str:
    """What body reference optimisation changes, view by view: means before and after over the same views.

    Empty where nothing was optimised. The share says on how many views point-to-surface fell.
    """
    paired: dict[tuple[str, str], list[tuple[Row, Row]]] = {}
    before = {(r["weights"], r["body"], r["view"]): r for r in rows if r["ok"] and not r["optimised"]}
    for row in rows:
        first = before.get((row["weights"], row["body"], row["view"]))
        if row["ok"] and row["optimised"] and first is not None:
            paired.setdefault((row["weights"], row["body"]), []).append((first, row))
    if not paired:
        return ""
    heads = [
        "network",
        "body",
        "views",
        "MPJPE cm",
        "P2S cm",
        "Chamfer cm",
        "better P2S",
        "first body stayed",
    ]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for (weights, body), pairs in paired.items():
        cells = [weights, _BODY_WORDS[body], str(len(pairs))]
        cells += [_change(pairs, key) for key in ("mpjpe", "point_to_surface", "chamfer")]
        better = np.mean(
            [a["scores"]["point_to_surface"] > b["scores"]["point_to_surface"] for a, b in pairs]
        )
        kept = np.mean([not b.get("optimisation", {}).get("kept", True) for _, b in pairs])
        lines.append(_line([*cells, f"{better:.0%}", f"{kept:.0%}"]))
    return "\n".join(lines) + "\n"


def _change(pairs: Sequence[tuple[Row, Row]], key: str) -> str:
    both = [(a["scores"][key], b["scores"][key]) for a, b in pairs]
    both = [pair for pair in both if None not in pair]
    if not both:
        return "-"
    first, second = np.mean(both, axis=0)
    return f"{first:.2f} to {second:.2f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
