"""Every photo of a folder through the whole pipeline, for a human to judge a release by."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import PamirError, RequestError
from ...options import ReconstructOptions
from ...pamir.weights import find_weights, weights_digest
from ...pipeline import Backend
from .cache import RowCache
from .measuring import REFUSALS, Say
from .pictures import contact_sheet, read_picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
HEADS = ("crop", "front", "left side", "back")
_ROW_HEIGHT = 256


def photo_paths(folder: Path, limit: int = 0) -> list[Path]:
    """The pictures of ``folder``, sorted; the first ``limit``, 0 for all. Raises RequestError without any."""
    if not folder.is_dir():
        raise RequestError(f"There is no folder {folder}.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise RequestError(f"{folder} holds no photo ({', '.join(SUFFIXES)}).")
    return found[: limit or None]


def reconstruct_photos(
    paths: Sequence[Path],
    results: Path,
    cache: RowCache,
    backend: Backend,
    options: dict[str, Any],
    say: Say,
) -> list[dict[str, Any]]:
    """One row a photo: silhouette IoU and warnings, or why it was refused; results stay in ``results``.

    ``options`` of :class:`~pamir_blender.options.ReconstructOptions`, without the photo.
    """
    folder = Path(options["weights"]) if options.get("weights") else None
    size = options.get("size", "lite")
    weights = [weights_digest(find_weights(kind, size, folder)) for kind in ("geometry", "texture")]
    rows = []
    for number, path in enumerate(paths, 1):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        key = RowCache.key(photo=digest, weights=weights, options=options)
        row, out = cache.get(key), results / key
        if row is None or (row["ok"] and not (out / "preview.png").is_file()):
            row = _reconstruct(path, out, backend, options)
            cache.put(key, row)
        rows.append({"photo": path.name, "result": key, **row})
        told = f"silhouette IoU {row['silhouette_iou']:.3f}" if row["ok"] else f"refused: {row['reason']}"
        say(f"{number}/{len(paths)} {path.name}: {told}")
    return rows


def _reconstruct(path: Path, out: Path, backend: Backend, options: dict[str, Any]) -> dict[str, Any]:
    shutil.rmtree(out, ignore_errors=True)
    try:
        backend.reconstruct(ReconstructOptions(photo=str(path), **options), out)
    except PamirError as error:
        if error.kind not in (*REFUSALS, "surface"):  # not the photo's fault
            raise
        return {"ok": False, "reason": " ".join(str(error).split()), "kind": error.kind}
    report = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return {
        "ok": True,
        "silhouette_iou": report["silhouette_iou"],
        "field_iou": report.get("surface", {}).get("outline_iou"),
        "warnings": list(report.get("photo", {}).get("warnings", ())),
        "timings": report.get("timings", {}),
        "optimisation": (report.get("optimisation") or {}).get("reason"),
    }


def photos_table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: worst first, refusals last with their reasons, and the means below.

    Beside the silhouette IoU of the result stands the one of the field's surface, before its outline was
    moved onto the mask's.
    """
    made = sorted((row for row in rows if row["ok"]), key=lambda row: row["silhouette_iou"])
    refused = [row for row in rows if not row["ok"]]
    lines = ["| photo | silhouette IoU | of the field | notes |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {_cell(row['photo'])} | {row['silhouette_iou']:.3f} | {_number(row.get('field_iou'))} "
        f"| {_notes(row)} |"
        for row in made
    ]
    lines += [f"| {_cell(row['photo'])} | refused | | {_cell(row['reason'])} |" for row in refused]
    if made:
        values = [row["silhouette_iou"] for row in made]
        lines += [
            "",
            f"Mean silhouette IoU {np.mean(values):.3f}, lowest {min(values):.3f}, over {len(made)}.",
        ]
        values = [row["field_iou"] for row in made if row.get("field_iou") is not None]
        if values:
            lines[-1] += f" Of the field: {np.mean(values):.3f}, lowest {min(values):.3f}."
    lines.append(f"\n{len(refused)} of {len(rows)} refused.")
    return "\n".join(lines) + "\n"


def photos_sheet(rows: Sequence[dict[str, Any]], results: Path) -> np.ndarray:
    """Crop, front, left side and back of every reconstruction, worst silhouette first."""
    strips = []
    for row in sorted((row for row in rows if row["ok"]), key=lambda row: row["silhouette_iou"]):
        picture = read_picture(results / row["result"] / "preview.png")
        if picture is None:
            raise RequestError(f"The picture of {row['photo']} is gone. Run the command again with --fresh.")
        width = round(picture.shape[1] * _ROW_HEIGHT / picture.shape[0])
        small = cv2.resize(picture, (width, _ROW_HEIGHT), interpolation=cv2.INTER_AREA)
        strips.append((f"{row['photo']}   silhouette IoU {row['silhouette_iou']:.3f}", small))
    return contact_sheet(strips, HEADS)


def _notes(row: dict[str, Any]) -> str:
    notes = [*row["warnings"], *([f"Optimisation: {row['optimisation']}"] if row.get("optimisation") else [])]
    return _cell(" ".join(notes))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")
