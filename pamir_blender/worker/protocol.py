"""What Blender and the worker say to each other: one JSON object per line, UTF-8, both ways.

Every line carries ``"protocol"`` (the version), ``"type"`` and the fields of one of the dataclasses below.
Requests go to the worker's standard input, events come from its standard output. Arrays never travel
here: they lie as files in the job's folder. Standard library only, so that both sides can import it.
"""

from __future__ import annotations

import json
import typing
import uuid
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ..errors import PamirError, RequestError, error_from_kind
from .conform import conform, require

PROTOCOL = 1
"""Version of this protocol; lines of any other version are refused."""

MAX_LINE = 1 << 20
"""Longest line in bytes, newline included; anything longer is refused unread."""

HEARTBEAT_SECONDS = 2.0
"""The worker says that it is alive this often, whatever it is computing."""

RESOLUTIONS = (64, 96, 128, 192, 256, 384, 512)
TEXTURE_SIZES = (256, 512, 1024, 2048, 4096)
FACES = (2_000, 2_000_000)

Device = Literal["auto", "cpu", "cuda"]
Size = Literal["lite", "paper"]


def new_job() -> str:
    """A fresh job id."""
    return uuid.uuid4().hex


def _require_one_of(what: str, value: int, allowed: tuple[int, ...]) -> None:
    require(value in allowed, f"The {what} must be one of {', '.join(map(str, allowed))}, not {value}.")


@dataclass(frozen=True)
class Hello:
    """First request of every connection; answered by :class:`Ready`."""

    client: str = ""


@dataclass(frozen=True)
class CheckBackend:
    """Ask what the backend can do on ``device``; answered by :class:`Checked` or :class:`Failed`."""

    device: Device = "auto"
    job: str = field(default_factory=new_job)

    def __post_init__(self) -> None:
        _require_job(self.job)


@dataclass(frozen=True)
class Reconstruct:
    """Turn one photo into a rigged person; the result appears as the folder ``out``, whole or not at all.

    Every path is absolute. ``box`` (x0, y0, x1, y1) in photo pixels or ``person`` (1 = most prominent)
    says which person is meant; ``mask`` is the artist's own mask image; ``body_model`` and ``weights``
    None mean the shipped ones. ``resolution`` is cells per side of the unit box, ``texture_size`` pixels
    per side, ``faces`` the most triangles of the clothed mesh.
    """

    photo: str
    out: str
    mask: str | None = None
    person: int | None = None
    box: tuple[float, float, float, float] | None = None
    resolution: int = 256
    device: Device = "auto"
    size: Size = "lite"
    body_model: str | None = None
    weights: str | None = None
    seed: int = 0
    texture: bool = True
    texture_size: int = 2048
    faces: int = 60_000
    job: str = field(default_factory=new_job)

    def __post_init__(self) -> None:
        _require_job(self.job)
        for name in ("photo", "out", "mask", "body_model", "weights"):
            path = getattr(self, name)
            if path is not None:
                require("\0" not in path, f"The path given as {name} holds a zero byte.")
                require(Path(path).is_absolute(), f"The {name} path must be absolute, not {path!r}.")
        require(self.person is None or self.person >= 1, "Persons are counted from 1.")
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            ordered = -1e9 < x0 < x1 < 1e9 and -1e9 < y0 < y1 < 1e9  # false for NaN as well
            require(ordered, "The person box must be x0 y0 x1 y1 in pixels, with x1 > x0 and y1 > y0.")
        _require_one_of("resolution", self.resolution, RESOLUTIONS)
        _require_one_of("texture size", self.texture_size, TEXTURE_SIZES)
        low, high = FACES
        require(low <= self.faces <= high, f"The number of faces must be between {low} and {high}.")
        require(0 <= self.seed < 2**32, "The seed must be between 0 and 4294967295.")

    def options(self) -> dict[str, Any]:
        """The fields of ``pipeline.ReconstructOptions``: all but the job, its folder and the device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if name not in ("job", "out", "device")}


@dataclass(frozen=True)
class Cancel:
    """Stop a running or waiting job; answered by :class:`Cancelled`."""

    job: str

    def __post_init__(self) -> None:
        _require_job(self.job)


@dataclass(frozen=True)
class Shutdown:
    """End the worker, whatever it is doing."""


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


Request = Hello | CheckBackend | Reconstruct | Cancel | Shutdown
Event = Ready | Heartbeat | Checked | Progress | BodyReady | Done | Failed | Cancelled | Rejected
FINAL = (Checked, Done, Failed, Cancelled)
"""A job ends with exactly one of these."""

_REQUESTS: dict[str, type] = {cls.__name__: cls for cls in typing.get_args(Request)}
_EVENTS: dict[str, type] = {cls.__name__: cls for cls in typing.get_args(Event)}
_HINTS = {cls: typing.get_type_hints(cls) for cls in (*_REQUESTS.values(), *_EVENTS.values())}


def _require_job(job: str) -> None:
    require(0 < len(job) <= 64 and job.isascii() and job.isalnum(), "A job id is 1 to 64 letters and digits.")


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
        _require_job(job)
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
    hints = _HINTS[cls]
    unknown = sorted(set(record) - set(hints))
    require(not unknown, f"{name} has no field {', '.join(unknown)[:80]}.")
    values = {key: conform(value, hints[key], f"{name}.{key}") for key, value in record.items()}
    try:
        return cls(**values)
    except TypeError as error:  # a field without default is missing
        raise RequestError(f"{name} is incomplete: {error}") from None
