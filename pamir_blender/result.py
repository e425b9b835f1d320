"""A reconstruction's folder: what is in it, and writing it whole or not at all.

=============== =================================================================================
result.json     provenance, options, timings, body parameters, camera, confidence, scores
scene.npz       the arrays Blender builds its objects from (character frame, metres)
texture.png     the clothed mesh's colours
clothed.glb     rigged and textured, for other programs
clothed.ply     the full-resolution surface with vertex colours
body.obj        the posed body
preview.png     the photo's crop beside the mesh from front, side and back
thumbnail.png   the character alone from the front, on a transparent ground
=============== =================================================================================
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ResultError

FORMAT = 1
"""Version of the folder's layout."""

EXACT = ("body_placement",)
"""Scene arrays stored in double precision, because a body made of them must be the same to the last bit."""

JSON_NAME = "result.json"
SCENE_NAME = "scene.npz"
SUGGESTIONS_NAME = "suggestions.json"


def write_json(folder: Path, content: dict[str, Any], name: str = JSON_NAME) -> None:
    """Write ``result.json``, or another file; numbers must be finite, as strict JSON asks."""
    text = json.dumps({"format": FORMAT, **content}, indent=1, allow_nan=False, ensure_ascii=False)
    # A file name that is no Unicode holds half characters; JSON can spell them, UTF-8 cannot.
    (folder / name).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_scene(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write ``scene.npz``; floats as float32, refusing anything that is not finite.

    Arrays named in :data:`EXACT` keep their float64.
    """
    stored = {}
    for name, array in arrays.items():
        value = np.asarray(array)
        if value.dtype == object:
            raise ResultError(f"scene array {name!r} is not numeric")
        if np.issubdtype(value.dtype, np.floating):
            value = value.astype(np.float64 if name in EXACT else np.float32)
            if not np.isfinite(value).all():
                raise ResultError(f"scene array {name!r} holds numbers that are not finite")
        stored[name] = value
    # Uncompressed: it is read once, by Blender, while the artist waits.
    np.savez(folder / SCENE_NAME, **stored)


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A new folder that appears as ``out`` when the block ends well, and leaves nothing otherwise.

    An earlier result at ``out`` is replaced only then. A folder that holds anything else is refused with
    :class:`ResultError`, as is a place that cannot be written.
    """
    out = Path(out).absolute()
    earlier = out.is_dir() and any((out / name).is_file() for name in (JSON_NAME, SUGGESTIONS_NAME))
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not earlier)):
        raise ResultError(f"{out} exists and is not an earlier result: choose an empty or a new folder")
    partial = _unfinished(out)
    # A job that was killed could not tidy up; one folder never has two jobs at a time.
    for leftover in out.parent.glob(f".{glob.escape(out.name)}.????????.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    made = [folder for folder in out.parents if not folder.exists()]
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise ResultError(_cannot_write(out.parent, error)) from error
    try:
        yield partial
        _replace(partial, out)
    except OSError as error:
        raise ResultError(_cannot_write(out, error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:  # only those made here, and only while they are empty
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def passing_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside ``out`` for what is read while the job runs; it goes when the block ends.

    Inside of :func:`whole_folder`'s block. A file that another program keeps open, as Windows lets it, costs
    nothing: what cannot be removed now is removed by the next job.
    """
    place = _unfinished(Path(out).absolute())
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _unfinished(out: Path) -> Path:
    """A new name beside ``out`` that :func:`whole_folder` clears away when a killed job left it."""
    return out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.partial")


def _cannot_write(place: Path, error: OSError) -> str:
    """What happened, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {place} is full. Make room, or choose a results folder on another disk."
    reason = error.strerror or error
    return f"Cannot write to {place}: {reason}. Choose another results folder, or make this one writable."


def _replace(partial: Path, out: Path) -> None:
    """Put ``partial`` in ``out``'s place; the earlier result goes only after the new one stands."""
    if not out.exists():
        partial.rename(out)
        return
    earlier = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.earlier")
    out.rename(earlier)
    try:
        partial.rename(out)
    except OSError:
        earlier.rename(out)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
