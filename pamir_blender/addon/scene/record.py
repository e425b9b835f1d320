"""What a hypothesis remembers, to and from its property group.

The strings come with a .blend that may be a stranger's: reading checks them and says which hypothesis is
unreadable (:class:`RequestError`).
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ...body_state import BodyState
from ...contracts import JOINT_NAMES, LIMBS
from ...errors import RequestError
from .armature import top_of_head
from .collection import limb_label
from .read_result import JOINTS, MAX_BETA, Result
from .rest_frame import RestFrame, rest_frame
from .result_info import ResultInfo, is_number, text


@dataclass(frozen=True)
class Follow:
    """What the armature and the body need to follow a hypothesis.

    ``pose`` (24, 3), ``betas`` (10,), ``offset`` (3,) metres, ``joints_rest`` (24, 3) metres in SMPL's rest
    frame; ``frame`` where that stands in the armature; ``top`` the height of the head in the T-pose.
    """

    pose: np.ndarray
    betas: np.ndarray
    offset: np.ndarray
    joints_rest: np.ndarray
    frame: RestFrame
    top: float


def write(record: bpy.types.PropertyGroup, result: Result, uid: str, name: str) -> None:
    """Fill a new record from the result that its hypothesis is imported from."""
    info, body, frame = result.info, result.body, rest_frame(result.body)
    record.name, record.uid, record.kind = name, uid, info.kind
    record.created = time.strftime("%Y-%m-%d %H:%M:%S")
    record.edited, record.flipped = ",".join(info.edited), ",".join(info.flipped)
    record.folder = str(info.folder)
    record.state = json.dumps(asdict(result.state)) if result.state is not None else ""
    record.rest = json.dumps(
        {
            "pose": body.pose.tolist(),
            "betas": body.betas.tolist(),
            "offset": body.offset.tolist(),
            "joints": body.joints_rest.tolist(),
            "shift": frame.shift.tolist(),
            "top": top_of_head(body, frame),
        }
    )
    record.options = json.dumps(info.options)
    record.info = json.dumps(
        {
            "version": info.version,
            "photo": info.photo,
            "photo_digest": info.photo_digest,
            "body_model": info.body_model,
            "weights": info.weights,
            "confidence": info.confidence,
            "warnings": list(info.warnings),
            "held": list(info.held),
            "silhouette_iou": info.silhouette_iou,
        }
    )
    record.optimisation = json.dumps(info.optimisation) if info.optimisation else ""


def copy(source: bpy.types.PropertyGroup, target: bpy.types.PropertyGroup, uid: str, name: str) -> None:
    """Make ``target`` say what ``source`` says, under its own id and name."""
    for field in ("kind", "created", "edited", "flipped", "folder", "state", "rest", "options", "info"):
        setattr(target, field, getattr(source, field))
    target.optimisation, target.picture = source.optimisation, source.picture
    target.uid, target.name = uid, name


def follow_of(record: bpy.types.PropertyGroup) -> Follow:
    """What armature and body need to follow the hypothesis."""
    with _Readable(record):
        data = json.loads(record.rest)
        return Follow(
            pose=_array(data["pose"], (JOINTS, 3)),
            betas=_array(data["betas"], (10,), MAX_BETA),
            offset=_array(data["offset"], (3,)),
            joints_rest=_array(data["joints"], (JOINTS, 3)),
            frame=RestFrame(_array(data["shift"], (3,))),
            top=float(data["top"]),
        )


def state_of(record: bpy.types.PropertyGroup) -> BodyState:
    """The exact body of the hypothesis. Raises :class:`RequestError` if it never was told."""
    if not record.state:
        raise RequestError(
            f"{record.name} was made by an older version and does not tell its exact body. "
            "Reconstruct the photo again."
        )
    with _Readable(record):
        return BodyState.from_arrays(**json.loads(record.state))


def options_of(record: bpy.types.PropertyGroup) -> dict[str, Any]:
    """The photo and model options that the hypothesis was made with."""
    with _Readable(record):
        return dict(json.loads(record.options or "{}"))


def info_of(record: bpy.types.PropertyGroup) -> ResultInfo:
    """Provenance, confidence and warnings of the hypothesis."""
    with _Readable(record):
        data = json.loads(record.info)
        return ResultInfo(**{**data, "folder": Path(record.folder), "warnings": tuple(data["warnings"])})


def held_text(record: bpy.types.PropertyGroup) -> str:
    """Which limbs were posed against the photo, as a sentence; empty if none. Raises like :func:`info_of`."""
    limbs = [limb for limb in info_of(record).held if limb in LIMBS]
    if not limbs:
        return ""
    named = ", ".join(map(limb_label, limbs)).lower()
    return f"Posed where the photo shows background: {named}. Wide cloth does not follow it there."


def edited_of(record: bpy.types.PropertyGroup) -> tuple[str, ...]:
    """Joints that an artist posed, in SMPL's order."""
    named = record.edited.split(",")
    return tuple(joint for joint in JOINT_NAMES if joint in named)


def relink(record: bpy.types.PropertyGroup, what: str, path: str) -> None:
    """Remember that the ``photo`` or ``mask`` of a hypothesis lies at ``path`` now."""
    options = {**options_of(record), what: path}
    with _Readable(record):
        info = dict(json.loads(record.info))
    if what == "photo":
        info["photo"] = path
    record.options, record.info = json.dumps(options), json.dumps(info)


def optimisation_of(record: bpy.types.PropertyGroup) -> dict[str, Any]:
    """The report on body reference optimisation; empty if there was none."""
    with _Readable(record):
        return dict(json.loads(record.optimisation or "{}"))


def optimisation_text(report: dict[str, Any] | None) -> str:
    """The report on body reference optimisation as a sentence; empty if there was none."""
    if not report:
        return ""
    if report.get("kept") is False:
        return f"Optimising the body changed nothing for the better. {text(report.get('reason'))}".strip()
    parts = [part if isinstance(part, dict) else {} for part in (report.get("before"), report.get("after"))]
    values = [part.get("silhouette_iou") for part in parts]
    if all(is_number(value) for value in values):
        before, after = (f"{value:.1%}" for value in values)
        if before == after:
            return f"Body optimised; its outline matches as well as before ({after})."
        return f"Body optimised: its outline matches {after}, {before} before."
    return "Body optimised."


class _Readable:
    """Turns whatever unreadable text raises into one error that names the hypothesis."""

    def __init__(self, record: bpy.types.PropertyGroup) -> None:
        self._name = record.name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (ValueError, TypeError, KeyError, AttributeError, RecursionError)):
            raise RequestError(
                f"What the hypothesis {self._name} remembers was changed and cannot be read. "
                "Delete it, or undo the change."
            ) from error


def _array(values: object, shape: tuple[int, ...], bound: float = 100.0) -> np.ndarray:
    array = np.array(values, np.float64)
    if array.shape != shape or not (np.abs(array) <= bound).all():
        raise ValueError("wrong numbers")
    return array
