"""The worker's pipes and its ties to the parent process. Standard library only."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

LOG_LIMIT = 4 << 20
"""Bytes of log that are kept at most; the older half goes when a log grows past it."""


def claim_stdout() -> int:
    """Keep the real standard output for ourselves and send everybody else's prints to the log.

    Returns a new file descriptor, not inherited by children, for what used to be descriptor 1. From then
    on descriptor 1 is the same file as descriptor 2 (the log), for Python and for native libraries alike.
    """
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    # Python's own sys.stdout still writes to descriptor 1, which is the log now; never let it fail.
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    return real


def claim_stdin() -> int:
    """Keep the real standard input for ourselves; children and libraries read an empty one instead."""
    real = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return real


class LineReader:
    """Lines of bounded length from a file descriptor; an overlong one is skipped to its end."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor, self._limit = descriptor, limit
        self._buffer = bytearray()

    def read(self) -> bytes | None:
        """The next line without its newline; ``b""`` at the end of the file; None for an overlong line.

        Empty lines are skipped.
        """
        overlong = False
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                if overlong or len(line) >= self._limit:
                    return None
                if line.strip():
                    return line
                continue
            if len(self._buffer) >= self._limit:
                overlong = True
                self._buffer.clear()
            chunk = os.read(self._descriptor, 65536)
            if not chunk:
                return b""
            self._buffer += chunk


def watch_parent(gone: Callable[[], None], interval: float = 0.5) -> None:
    """Call ``gone`` when the parent process ends, even if somebody else still holds our standard input.

    A dead parent's children get another parent on POSIX systems. Windows has no such sign; there the end of
    standard input has to do.
    """
    if os.name != "posix":
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval)
        gone()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends.

    Works even while native code holds Python's global lock. Only for parents whose starting thread lives
    as long as they do.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes
    import signal

    pr_set_pdeathsig = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGKILL), 0, 0, 0)


def volunteer_for_memory_killer() -> None:
    """When Linux runs out of memory, let it end this process rather than Blender."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")


def bound_log(descriptor: int = 2, limit: int = LOG_LIMIT) -> None:
    """Keep the newer half of a log file opened for reading and appending once it has outgrown ``limit``."""
    with contextlib.suppress(OSError):
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size <= limit:
            return
        os.lseek(descriptor, status.st_size - limit // 2, os.SEEK_SET)
        tail = os.read(descriptor, limit // 2)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"[earlier lines were dropped]\n" + tail.partition(b"\n")[2])
