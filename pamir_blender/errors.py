"""Every error this package raises on purpose.

Each message says what happened, in which file, and what the artist can do about it. ``kind`` is the
stable name that travels over the worker's protocol, so that Blender can rebuild the same error.
"""

from __future__ import annotations


class PamirError(Exception):
    """Base of all errors an artist may see."""

    kind = "error"


class Cancelled(PamirError):
    """The job was stopped by the user; nothing was kept."""

    kind = "cancelled"


class RequestError(PamirError):
    """A request or option that cannot be carried out as given."""

    kind = "request"


class PhotoError(PamirError):
    """A photo or mask that cannot be read or used."""

    kind = "photo"


class NoPersonError(PhotoError):
    """Nobody was found in the photo."""

    kind = "no_person"


class PersonCroppedError(PhotoError):
    """The person's head or most of the body is outside the photo."""

    kind = "person_cropped"


class PersonTooSmallError(PhotoError):
    """The person covers too few pixels to be reconstructed."""

    kind = "person_too_small"


class BodyModelError(PamirError):
    """A body model file that is missing, malformed or of the wrong kind."""

    kind = "body_model"


class WeightsError(PamirError):
    """Network weights that are missing, damaged or made for another configuration."""

    kind = "weights"


class SurfaceError(PamirError):
    """The network's field holds no surface to extract."""

    kind = "surface"


class ResultError(PamirError):
    """A result folder that is missing, incomplete or damaged."""

    kind = "result"


class BackendError(PamirError):
    """The worker's Python is missing, incomplete, or its process ended unexpectedly."""

    kind = "backend"


class DeviceMemoryError(BackendError):
    """The device or the machine ran out of memory."""

    kind = "memory"


class AssetsError(PamirError):
    """The training asset folder is missing or incomplete."""

    kind = "assets"


def _all_errors(base: type[PamirError] = PamirError) -> dict[str, type[PamirError]]:
    kinds = {base.kind: base}
    for sub in base.__subclasses__():
        kinds.update(_all_errors(sub))
    return kinds


def error_from_kind(kind: str, message: str) -> PamirError:
    """Rebuild an error that travelled as ``(kind, message)``; an unknown kind gives :class:`PamirError`."""
    return _all_errors().get(kind, PamirError)(message)
