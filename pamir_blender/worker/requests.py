"""What Blender may ask of the worker; :mod:`pamir_blender.worker.protocol` says how it travels."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ..body_state import BodyState
from .conform import require

RESOLUTIONS = (64, 96, 128, 192, 256, 384, 512)
TEXTURE_SIZES = (256, 512, 1024, 2048, 4096)
FACES = (2_000, 2_000_000)
MOST_ITERATIONS = 500
MOST_SUGGESTIONS = 6
MOST_EDITED = 24

Device = Literal["auto", "cpu", "cuda"]
Size = Literal["lite", "paper"]
Estimator = Literal["landmarks", "graphcmr", "both"]


def new_job() -> str:
    """A fresh job id."""
    return uuid.uuid4().hex


def require_job(job: str) -> None:
    """Refuse what is no job id."""
    require(0 < len(job) <= 64 and job.isascii() and job.isalnum(), "A job id is 1 to 64 letters and digits.")


def _require_one_of(what: str, value: int, allowed: tuple[int, ...]) -> None:
    require(value in allowed, f"The {what} must be one of {', '.join(map(str, allowed))}, not {value}.")


def _require_iterations(count: int) -> None:
    require(0 <= count <= MOST_ITERATIONS, f"Iterations must be 0 to {MOST_ITERATIONS}, not {count}.")


def _require_joints(edited: tuple[str, ...]) -> None:
    # Which names there are is the pipeline's to say; here a list from a stranger is only kept small.
    require(len(edited) <= MOST_EDITED, f"At most {MOST_EDITED} joints can be edited.")
    require(len(set(edited)) == len(edited), "A joint is named twice among the edited ones.")


@dataclass(frozen=True)
class Hello:
    """First request of every connection; answered by :class:`~.protocol.Ready`."""

    client: str = ""


@dataclass(frozen=True)
class CheckBackend:
    """Ask what the backend can do on ``device``; answered by ``Checked`` or ``Failed``."""

    device: Device = "auto"
    job: str = field(default_factory=new_job)

    def __post_init__(self) -> None:
        require_job(self.job)


@dataclass(frozen=True)
class PhotoJob:
    """What every job on one photo says; the result appears as the folder ``out``, whole or not at all.

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
        require_job(self.job)
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
        """The fields of the pipeline's options: all but the job, its folder and the device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if name not in ("job", "out", "device")}


@dataclass(frozen=True)
class Reconstruct(PhotoJob):
    """Turn one photo into a rigged person.

    ``optimise``: iterations of body reference optimisation (PaMIR section 4.3) after the first estimate of
    the body; 0 leaves it out. ``estimator`` says what finds the body.
    """

    optimise: int = 50
    estimator: Estimator = "landmarks"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_iterations(self.optimise)


@dataclass(frozen=True)
class Regenerate(PhotoJob):
    """Run the networks again for the same photo and a body that the artist has posed.

    ``body`` is taken exactly as it is. With ``optimise`` iterations, the joints not named in ``edited``
    (SMPL joint names) and the betas are first optimised; edited ones keep their local rotation. ``preview``
    asks for geometry alone, fast: a folder with ``scene.npz`` (vertex colours, no UV) and ``result.json``.
    """

    body: BodyState = field(kw_only=True)
    edited: tuple[str, ...] = ()
    optimise: int = 0
    preview: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_joints(self.edited)
        _require_iterations(self.optimise)


@dataclass(frozen=True)
class Suggest(PhotoJob):
    """Reconstruct the ``count`` most plausible depth flips of a body's foreshortened limbs, best first.

    The folder holds ``suggestions.json`` and one whole result per suggestion. Limbs with a joint named in
    ``edited`` are not flipped.
    """

    body: BodyState = field(kw_only=True)
    edited: tuple[str, ...] = ()
    count: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_joints(self.edited)
        require(
            1 <= self.count <= MOST_SUGGESTIONS,
            f"Between 1 and {MOST_SUGGESTIONS} suggestions can be asked for, not {self.count}.",
        )


@dataclass(frozen=True)
class Cancel:
    """Stop a running or waiting job; answered by ``Cancelled``."""

    job: str

    def __post_init__(self) -> None:
        require_job(self.job)


@dataclass(frozen=True)
class Shutdown:
    """End the worker, whatever it is doing."""
