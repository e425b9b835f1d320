"""What Blender and the worker say to each other: one JSON object per line, UTF-8, both ways.

Every line carries ``"protocol"`` (the version), ``"type"`` and the fields of one of the dataclasses below.
Requests go to the worker's standard input, events come from its standard output. Arrays never travel
here: they lie as files in the job's folder. Standard library only, so that both sides can import it.
The requests themselves are in :mod:`.requests`.
"""

from __future__ import annotations

import json
import typing
from dataclasses import asdict, dataclass, field
from typing import Any

from ..body_state import BodyState
from ..errors import PamirError, RequestError, error_from_kind
from .conform import build, require
from .requests import (
    FACES,
    MOST_ITERATIONS,
    MOST_SUGGESTIONS,
    RESOLUTIONS,
    TEXTURE_SIZES,
    Cancel,
    CheckBackend,
    Device,
    Hello,
    PhotoJob,
    Reconstruct,
    Regenerate,
    Shutdown,
    Size,
    Suggest,
    new_job,
    require_job,
)

__all__ = [
    "FACES", "FINAL", "HEARTBEAT_SECONDS", "MAX_LINE", "MOST_ITERATIONS", "MOST_SUGGESTIONS", "PROTOCOL",
    "RESOLUTIONS", "TEXTURE_SIZES", "BodyReady", "BodyState", "Cancel", "Cancelled", "CheckBackend",
    "Checked", "Device", "Done", "Event", "Failed", "Heartbeat", "Hello", "Job", "PhotoJob", "Progress",
    "Ready", "Reconstruct", "Regenerate", "Rejected", "Request", "Shutdown", "Size", "Suggest",
    "decode_event", "decode_request", "encode", "job_of", "new_job",
]  # fmt: skip

PROTOCOL = 2
"""Version of this protocol; lines of any other version are refused."""

MAX_LINE = 1 << 20
"""Longest line in bytes, newline included; anything longer is refused unread."""

HEARTBEAT_SECONDS = 2.0
"""The worker says that it is alive this often, whatever it is computing."""


@dataclass(frozen=True)
class Ready:
    """The worker listens. ``versions`` names what is installed beside it, without loading any of it."""

    pid: int
    package: str
    python: str
    versions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Heartbeat:
    """The worker is alive; ``job`` is what it is computing, if anything."""

    job: str | None = None


@dataclass(frozen=True)
class Checked:
    """The backend's report: plain JSON values."""

    job: str
    report: dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """``fraction`` of the whole job and ``stage_fraction`` of the stage it names, both in [0, 1]."""

    job: str
    stage: str
    fraction: float
    stage_fraction: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class BodyReady:
    """The body can be shown already: ``folder`` holds a ``scene.npz`` with its part of the result."""

    job: str
    folder: str


@dataclass(frozen=True)
class Done:
    """The job's result lies whole in ``folder``."""

    job: str
    folder: str


@dataclass(frozen=True)
class Failed:
    """The job ended without a result; ``kind`` and ``message`` are those of :mod:`pamir_blender.errors`.

    ``log`` is the path of the worker's log and ``tail`` its last lines, both possibly empty.
    """

    job: str
    kind: str
    message: str
    log: str = ""
    tail: str = ""

    def error(self) -> PamirError:
        """The error that the job failed with."""
        return error_from_kind(self.kind, self.message)


@dataclass(frozen=True)
class Cancelled:
    """The job was stopped; nothing was kept."""

    job: str


@dataclass(frozen=True)
class Rejected:
    """A line that is no request was ignored."""

    reason: str


Job = CheckBackend | Reconstruct | Regenerate | Suggest
"""Requests that end with exactly one of :data:`FINAL`."""

Request = Hello | Job | Cancel | Shutdown
Event = Ready | Heartbeat | Checked | Progress | BodyReady | Done | Failed | Cancelled | Rejected
FINAL = (Checked, Done, Failed, Cancelled)
"""A job ends with exactly one of these."""

_REQUESTS: dict[str, type] = {cls.__name__: cls for cls in typing.get_args(Request)}
_EVENTS: dict[str, type] = {cls.__name__: cls for cls in typing.get_args(Event)}


def encode(message: Request | Event) -> bytes:
    """One line, newline included. Pure ASCII, so that paths no codec likes survive as well."""
    record = {"protocol": PROTOCOL, "type": type(message).__name__, **asdict(message)}
    line = json.dumps(record, allow_nan=False).encode("ascii") + b"\n"
    require(len(line) <= MAX_LINE, f"A {type(message).__name__} message of {len(line)} bytes is too long.")
    return line


def decode_request(line: bytes) -> Request:
    """The request in ``line``; :class:`RequestError` says what is wrong with any other line."""
    return _decode(line, _REQUESTS)


def decode_event(line: bytes) -> Event:
    """The event in ``line``; :class:`RequestError` says what is wrong with any other line."""
    return _decode(line, _EVENTS)


def job_of(line: bytes) -> str:
    """The job that a refused request meant, or "" when it named none."""
    try:
        job = json.loads(line).get("job", "")
        require_job(job)
    except (ValueError, AttributeError, TypeError, RecursionError, RequestError):
        return ""
    return job


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _decode(line: bytes, known: dict[str, type]) -> Any:
    require(len(line) <= MAX_LINE, f"A line of more than {MAX_LINE} bytes.")
    try:
        record = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"Not a line of JSON: {error}") from None
    require(isinstance(record, dict), "Not a JSON object.")
    version, name = record.pop("protocol", None), record.pop("type", None)
    require(version == PROTOCOL, f"Protocol {version!r:.40}; this side speaks {PROTOCOL}.")
    cls = known.get(name) if isinstance(name, str) else None
    if cls is None:
        raise RequestError(f"Unknown message type {name!r:.40}.")
    return build(cls, record, name)
