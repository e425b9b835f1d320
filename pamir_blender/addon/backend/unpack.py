"""Wheels to a folder of importable packages: verified, bounded, resumable, whole or not at all.

Everything goes into a partial folder first. A wheel that is completely there leaves a mark, so that an
interrupted run goes on after it. The folder takes its name only when the last wheel is in.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ...errors import BackendError, Cancelled
from ...plain_files import is_folder
from .bundle import Bundle, Wheel
from .lock import one_at_a_time

Progress = Callable[[float, str], None]
"""Called with the fraction done and a sentence."""

SPARE_BYTES = 100 << 20
"""Room that must be left on the disk."""

_BLOCK = 1 << 20
_LIBRARIES = ("purelib", "platlib")  # PEP 427: the parts of NAME.data that go beside the package


def partial_folder(target: Path) -> Path:
    """Where ``target`` grows."""
    return target.with_name(f"{target.name}.partial")


def unpack(
    bundle: Bundle,
    target: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
    check: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Unpack every wheel of ``bundle`` into the folder ``target``; returns it.

    ``check(folder)`` is asked before the folder takes its name, and may raise. Raises
    :class:`BackendError` (a damaged wheel, a full disk) or :class:`Cancelled`; what was unpacked by then is
    kept for the next try.
    """
    try:
        with one_at_a_time(target.parent):
            return target if target.is_dir() else _unpack(bundle, target, progress, cancelled, check)
    except OSError as error:
        raise BackendError(disk_message(error, partial_folder(target))) from error


def _unpack(
    bundle: Bundle,
    target: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
    check: Callable[[Path], None],
) -> Path:
    partial = partial_folder(target)
    site, marks = partial / "packages", partial / "done"
    site.mkdir(parents=True, exist_ok=True)
    marks.mkdir(exist_ok=True)
    todo = [w for w in bundle.wheels if not _marked(marks, w)]
    _check_room(partial, sum(wheel.unpacked for wheel in todo))
    total = max(1, bundle.unpacked)
    done = bundle.unpacked - sum(wheel.unpacked for wheel in todo)
    for wheel in todo:
        name = wheel.file.split("-")[0].replace("_", "-")

        def step(written: int, before: int = done, name: str = name) -> None:
            if cancelled():
                raise Cancelled("Unpacking was cancelled. What was unpacked is kept for the next try.")
            progress(0.95 * (before + written) / total, f"Unpacking {name}")

        step(0)
        source = bundle.folder / wheel.file
        verify(source, wheel, step)
        extract(source, wheel, site, step)
        (marks / wheel.file).write_text(wheel.sha256, encoding="ascii")
        done += wheel.unpacked
    progress(0.96, "Checking the backend")
    check(site)
    site.replace(target)
    shutil.rmtree(partial, ignore_errors=True)
    return target


def disk_message(error: OSError, folder: Path) -> str:
    """A file system's complaint as a sentence that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {folder} is full. Make room and press the button again: it goes on from there."
    return (
        f"Cannot write {error.filename or folder}: {error.strerror or error}. Make it writable and press the "
        "button again, or choose a Python that has the backend in the preferences."
    )


def verify(source: Path, wheel: Wheel, step: Callable[[int], None]) -> None:
    """Raise :class:`BackendError` unless ``source`` is the file that the bundle names."""
    try:
        digest, size = hashlib.sha256(), source.stat().st_size
        with source.open("rb") as file:
            while size == wheel.size and (block := file.read(_BLOCK)):
                digest.update(block)
                step(0)
    except FileNotFoundError:
        size = -1
    if size != wheel.size or digest.hexdigest() != wheel.sha256:
        what = "missing" if size < 0 else "damaged"
        raise BackendError(
            f"{source.name} is {what} in the installed add-on. Install the add-on's zip again."
        )


def extract(source: Path, wheel: Wheel, folder: Path, step: Callable[[int], None]) -> None:
    """Write the importable files of one wheel into ``folder``, never outside it nor more than announced.

    Scripts, headers and data files of the wheel are left out: nothing here runs them.
    """
    written = 0
    try:
        with zipfile.ZipFile(source) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) > wheel.files or sum(info.file_size for info in members) > wheel.unpacked:
                raise BackendError(f"{source.name} holds more than it announces. Install the zip again.")
            for info in members:
                parts = member_path(info, source.name)
                if parts is None:
                    continue
                file = folder.joinpath(*parts)
                file.parent.mkdir(parents=True, exist_ok=True)
                # A link left by somebody else must not lead the writing elsewhere.
                file.unlink(missing_ok=True)
                with archive.open(info) as packed, file.open("xb") as out:
                    while block := packed.read(_BLOCK):
                        out.write(block)
                        written += len(block)
                        step(written)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BackendError(f"{source.name} cannot be unpacked: {error}. Install the zip again.") from error


def member_path(info: zipfile.ZipInfo, wheel: str) -> tuple[str, ...] | None:
    """The member's place below the packages folder; None for what is left out.

    Raises :class:`BackendError` for a path that leads out of it, and for links.
    """
    path = PurePosixPath(info.filename)
    bad = path.is_absolute() or ".." in path.parts or any(c in info.filename for c in "\\:\0")
    if bad or not path.parts or stat.S_ISLNK(info.external_attr >> 16):
        raise BackendError(f"{wheel} holds a path that leads elsewhere: {info.filename!r}. Do not use it.")
    parts = path.parts
    if parts[0].endswith(".data"):
        return parts[2:] if len(parts) > 2 and parts[1] in _LIBRARIES else None
    return parts


def _marked(marks: Path, wheel: Wheel) -> bool:
    try:
        return (marks / wheel.file).read_text(encoding="ascii") == wheel.sha256
    except (OSError, ValueError):
        return False


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise BackendError(
            f"The backend needs {needed / 1e9:.1f} GB in {folder.parent}, "
            f"where {free / 1e9:.1f} GB are free. Make room and press the button again."
        )


def remove_others(folder: Path, keep: Path) -> None:
    """Delete what earlier versions of the add-on unpacked in ``folder``; whatever is in use stays.

    Nothing goes while another Blender unpacks there: its partial folder would.
    """
    with contextlib.suppress(BackendError, OSError), one_at_a_time(folder):
        for old in folder.iterdir() if folder.is_dir() else ():
            if old not in (keep, partial_folder(keep)) and is_folder(old) and not old.is_symlink():
                shutil.rmtree(old, ignore_errors=True)
