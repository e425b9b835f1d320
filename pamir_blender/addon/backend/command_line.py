"""Running another program line by line, stoppable at any moment."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import BackendError, Cancelled
from ...worker.process import clean_environment

_KEPT_LINES = 60
_LOOK_SECONDS = 0.1


def run_lines(
    command: Sequence[str | Path],
    on_line: Callable[[str], None],
    cancelled: Callable[[], bool],
    log: Path | None = None,
) -> tuple[int, list[str]]:
    """Run ``command``; its exit code and last lines, standard error among them.

    ``on_line`` gets each line as it comes. Raises :class:`Cancelled` once ``cancelled()``, the program and
    all that it started having been ended, and :class:`BackendError` if it cannot be started.
    """
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(),
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise BackendError(f"{command[0]} could not be started: {error.strerror or error}.") from error
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), name="pamir-setup-output", daemon=True).start()
    last: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_end, process)
        file = stack.enter_context(log.open("a", encoding="utf-8")) if log is not None else None
        if file is not None:
            file.write("$ " + " ".join(map(str, command)) + "\n")
        while True:
            if cancelled():
                raise Cancelled("Cancelled.")
            try:
                line = lines.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if line is None:
                break
            if not line.startswith("Progress "):
                last = [*last[-_KEPT_LINES:], line]
                if file is not None:
                    file.write(line + "\n")
            on_line(line)
        return process.wait(), last


def _read(process: subprocess.Popen, lines: queue.SimpleQueue[str | None]) -> None:
    with process.stdout as out:
        while raw := out.readline(8192):
            text = raw.decode("utf-8", "replace").strip()
            if text:
                lines.put(re.sub(r"\x1b\[[0-9;]*m", "", text))
    lines.put(None)


def _end(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            # A virtual environment's python.exe only starts the real one; both must go.
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False
            )
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
