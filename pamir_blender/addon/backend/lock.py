"""One set-up at a time in one place, also between two Blenders. Standard library only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import BackendError

if os.name == "nt":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold what is being made in ``folder``; :class:`BackendError` if another Blender holds it.

    The system lets go of it when this process ends, however it ends. The empty file beside ``folder`` stays:
    to delete it would let a third one in. Raises :class:`OSError` where that file cannot be made.
    """
    file = folder.with_name(f"{folder.name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _try_lock(descriptor)
        except (BlockingIOError, PermissionError):
            raise BackendError(
                f"Another Blender is setting up the backend in {folder}. Wait until it is done; then "
                "press the button again, if it is still there."
            ) from None
        yield
    finally:
        os.close(descriptor)
