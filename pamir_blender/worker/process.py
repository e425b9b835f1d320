"""One run of the worker's process: start it, write to it, read it, end it. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import BackendError, DeviceMemoryError, PamirError
from ..plain_files import is_file
from . import protocol

KEPT_LOGS = 8
TAIL_BYTES = 4000
_STATUS_NO_MEMORY = 0xC0000017  # Windows' exit code of a process that could not get memory

MEMORY_MESSAGE = "The system ended the worker, most likely out of memory; lower the resolution."


def clean_environment() -> dict[str, str]:
    """Our environment without what would steer another Python: Blender's PYTHONHOME breaks any other one."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("PYTHON")}
    environment.pop("__PYVENV_LAUNCHER__", None)
    environment["PYTHONUTF8"] = "1"
    return environment


class WorkerProcess:
    """One process and the thread that reads its events.

    ``on_line(process, line)`` is called from that thread for each line, ``on_exit(process)`` once, after the
    process has ended and its last line was delivered.

    Raises :class:`BackendError` when the process cannot be started.
    """

    def __init__(
        self,
        python: Path,
        arguments: Sequence[str],
        log_dir: Path,
        on_line: Callable[[WorkerProcess, bytes], None],
        on_exit: Callable[[WorkerProcess], None],
    ) -> None:
        if not is_file(python):
            raise BackendError(
                f"There is no Python at {python}. Choose the Python of the backend's environment "
                "as the worker's Python in the preferences."
            )
        self.python = python
        self.stopped_because: str | None = None
        """Why we ended it ourselves, if we did: "cancel", "silence" or "close"."""
        self.suspect = False
        """Whether it said that its backend does not work; it may hold half of one that was mended since."""
        self._on_line, self._on_exit = on_line, on_exit
        self._write_lock = threading.Lock()
        self.log_path = _new_log(log_dir)
        command = [str(python), *arguments]
        if sys.platform.startswith("linux") and threading.current_thread() is threading.main_thread():
            # The kernel ties the child to the thread that starts it; only the main one lives long enough.
            command.append("--die-with-parent")
        try:
            log = self.log_path.open("a+b")
        except OSError as error:
            raise BackendError(_no_log(log_dir, error)) from error
        try:
            with log:
                self.popen = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=log_dir,
                    env=clean_environment(),
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
        except OSError as error:
            raise BackendError(
                f"The worker's Python {python} could not be started: {error.strerror or error}. "
                "Choose another Python in the preferences."
            ) from error
        self.last_heard = time.monotonic()
        self._reader = threading.Thread(target=self._read, name="pamir-worker-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    def alive(self) -> bool:
        """Whether it still runs and we have not ended it."""
        return self.stopped_because is None and self.popen.poll() is None

    def send(self, request: protocol.Request) -> None:
        """Write one request. A process that has just died is noticed by its reader, not here."""
        line = protocol.encode(request)
        with contextlib.suppress(OSError, ValueError), self._write_lock:
            self.popen.stdin.write(line)
            self.popen.stdin.flush()

    def kill(self, because: str) -> None:
        """End it at once; ``on_exit`` follows from the reader thread."""
        self.stopped_because = self.stopped_because or because
        with contextlib.suppress(OSError):
            self.popen.kill()

    def close(self, patience: float = 0.5) -> None:
        """Ask it to end, then make it end."""
        self.stopped_because = self.stopped_because or "close"
        self.send(protocol.Shutdown())
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill("close")
        self.join()

    def join(self, patience: float = 2.0) -> None:
        """Wait until the last event of an ended process was delivered."""
        if threading.current_thread() is not self._reader:
            self._reader.join(patience)

    def _read(self) -> None:
        with self.popen.stdout as stdout:
            while line := stdout.readline(protocol.MAX_LINE):
                self.last_heard = time.monotonic()
                self._on_line(self, line)
        self.popen.wait()
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        self._on_exit(self)

    def log_tail(self) -> str:
        """The last lines of its log, or "" if there are none."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - TAIL_BYTES))
                return log.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def exit_error(self) -> PamirError:
        """What its ending means; only after it has ended."""
        code, tail = self.popen.returncode, self.log_tail()
        if self.stopped_because == "silence":
            return BackendError(
                "The worker gave no sign of life and was ended. Start the job again; if it hangs again, "
                f"lower the resolution. Its log: {self.log_path}"
            )
        if self.stopped_because == "cancel":
            return BackendError("The worker was ended to stop another job. Start this one again.")
        if self.stopped_because == "close":
            return BackendError("The worker was closed.")
        if code in (-9, 137, _STATUS_NO_MEMORY) or "MemoryError" in tail or "bad_alloc" in tail:
            return DeviceMemoryError(MEMORY_MESSAGE)
        last = tail.splitlines()[-1] if tail else "nothing in its log"
        how = f"ended with code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = f"crashed ({signal.Signals(-code).name})"
        return BackendError(f"The worker ({self.python}) {how}: {last}. Its log: {self.log_path}")


def _new_log(log_dir: Path) -> Path:
    """A fresh log's path; all but the newest logs of earlier runs are removed."""
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        for old in sorted(log_dir.glob("worker-*.log"))[: -KEPT_LOGS + 1]:
            with contextlib.suppress(OSError):  # another Blender's worker may be writing it
                old.unlink()
    except OSError as error:
        raise BackendError(_no_log(log_dir, error)) from error
    stamp = time.strftime("%Y%m%d-%H%M%S") + f"-{time.time_ns() % 1_000_000_000:09d}"
    return log_dir / f"worker-{stamp}-{os.getpid()}.log"


def _no_log(log_dir: Path, error: OSError) -> str:
    return (
        f"The worker's log folder {log_dir} cannot be written: {error.strerror or error}. "
        "Make room on its disk, or make it writable, and start the job again."
    )
