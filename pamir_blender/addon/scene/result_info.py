"""Reading ``result.json``: where a result comes from and how its body came about.

The file may come from a stranger: its size is bounded, and every value is checked or left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...contracts import JOINT_NAMES, LIMBS
from ...errors import ResultError
from ...plain_files import why_not_plain

MAX_JSON_BYTES = 4_000_000
KINDS = ("estimate", "regenerated", "suggested")
OPTIONS = (
    "photo", "mask", "person", "box", "resolution", "size", "body_model", "weights", "seed", "texture",
    "texture_size", "faces",
)  # fmt: skip
"""The options of a result that a regeneration repeats."""


@dataclass(frozen=True)
class Placed:
    """Where the body stands: :class:`pamir_blender.camera.Placement` and the character's frame, box units."""

    scale: float
    translation: tuple[float, float, float]
    frame_scale: float
    frame_origin: tuple[float, float, float]


@dataclass(frozen=True)
class ResultInfo:
    """What result.json says about how the character came about. ``confidence`` is in [0, 1] per limb.

    ``kind`` is one of :data:`KINDS`; ``edited`` the joints that the artist posed; ``flipped`` the limbs that
    were mirrored in depth; ``held`` those posed where the photo shows background; ``optimisation`` the report
    on body reference optimisation; ``options`` those of :data:`OPTIONS` that it was made with.
    """

    folder: Path
    version: str = ""
    photo: str = ""
    photo_digest: str = ""
    body_model: str = ""
    weights: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    silhouette_iou: float | None = None
    placed: Placed | None = None
    kind: str = "estimate"
    edited: tuple[str, ...] = ()
    flipped: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    optimisation: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a result folder, bounded in size. Raises :class:`ResultError`."""
    try:
        if reason := why_not_plain(path, MAX_JSON_BYTES):
            raise ResultError(f"{path} {reason}: it is not a result of this add-on.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultError(
            f"{path.parent} holds no {path.name}: it is not a finished result folder."
        ) from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise ResultError(f"{path} cannot be read: {error}. Reconstruct the photo again.") from error
    if not isinstance(data, dict):
        raise ResultError(f"{path} is not a result of this add-on.")
    if data.get("format") != 1:
        raise ResultError(
            f"{path} has format {data.get('format')!r}, this add-on reads format 1. "
            "Reconstruct the photo again, or update the add-on."
        )
    return data


def read_info(folder: Path) -> ResultInfo:
    """Read and check ``result.json``."""
    data = read_json(folder / "result.json")
    photo, body, made = _dict(data, "photo"), _dict(data, "body"), _dict(data, "hypothesis")
    iou, optimisation = data.get("silhouette_iou"), data.get("optimisation")
    return ResultInfo(
        folder=folder,
        version=text(data.get("version")),
        photo=text(photo.get("path")),
        photo_digest=text(photo.get("digest")),
        body_model=text(body.get("model")),
        weights={
            text(k): text(v) for k, v in list(_dict(data, "weights").items())[:50] if isinstance(v, str)
        },
        confidence=_confidence(_dict(body, "confidence")),
        warnings=_warnings(photo.get("warnings"), data.get("warnings")),
        silhouette_iou=float(iou) if is_number(iou) else None,
        placed=_placed(body, _dict(data, "camera")),
        kind=made["kind"] if made.get("kind") in KINDS else "estimate",
        edited=_names(made.get("edited"), JOINT_NAMES),
        flipped=_names(made.get("flipped"), tuple(LIMBS)),
        held=_names(made.get("held"), tuple(LIMBS)),
        optimisation=optimisation if isinstance(optimisation, dict) else None,
        options={name: value for name, value in _dict(data, "options").items() if name in OPTIONS},
    )


def _placed(body: dict, camera: dict) -> Placed | None:
    scale, frame_scale = body.get("scale"), camera.get("frame_scale")
    translation, origin = body.get("translation"), camera.get("frame_origin")
    if not (is_number(scale) and is_number(frame_scale) and _is_point(translation) and _is_point(origin)):
        return None
    return Placed(float(scale), tuple(map(float, translation)), float(frame_scale), tuple(map(float, origin)))


def _names(found: object, allowed: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in allowed if isinstance(found, list) and name in found)


def _warnings(*lists: object) -> tuple[str, ...]:
    sentences = [text(w) for found in lists if isinstance(found, list) for w in found[:50]]
    return tuple(dict.fromkeys(s for s in sentences if s))


def _confidence(data: dict) -> dict[str, float]:
    return {limb: min(max(float(data[limb]), 0.0), 1.0) for limb in LIMBS if is_number(data.get(limb))}


def _dict(data: dict, key: str) -> dict:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(is_number(v) for v in value)


def text(value: object) -> str:
    """A string of bounded length that Blender can hold; anything else is the empty string.

    No zero bytes, and no half characters but those of odd file names.
    """
    found = value[:4000].replace("\0", "") if isinstance(value, str) else ""
    try:
        found.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        found = found.encode("utf-8", "replace").decode("utf-8")
    return found


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite number of JSON."""
    # Compared, not converted: JSON's whole numbers may be too long for any float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 < value < 1e300
