"""One set-up task at a time, on a thread of its own; Blender only looks at it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from ...errors import Cancelled, PamirError, RequestError


class SetupTask:
    """Runs ``work(task)`` on a thread. The thread writes the fields below and nothing else of Blender's."""

    def __init__(self, title: str, work: Callable[[SetupTask], None]) -> None:
        self.title = title
        self.fraction: float = 0.0
        self.message = "Starting"
        self.error: PamirError | None = None
        self._stop = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._run, name="pamir-setup", daemon=True)

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._thread.is_alive()

    def progress(self, fraction: float, message: str) -> None:
        """Called by the work."""
        self.fraction, self.message = min(max(fraction, 0.0), 1.0), message

    def cancelled(self) -> bool:
        """Asked by the work, often."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """Ask it to stop."""
        self._stop.set()

    def join(self, seconds: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work(self)
        except PamirError as error:
            self.error = error
        except Exception as error:
            traceback.print_exc()
            self.error = PamirError(f"Unexpected {type(error).__name__}: {error}. Please report this.")


_latest: SetupTask | None = None


def latest() -> SetupTask | None:
    """The running task, or the last one that failed."""
    return _latest


def running() -> SetupTask | None:
    """The running task, if there is one."""
    return _latest if _latest is not None and _latest.running else None


def start(task: SetupTask) -> SetupTask:
    """Start ``task``; raises :class:`RequestError` while another one runs."""
    global _latest
    if running() is not None:
        raise RequestError("The backend is being set up already. Wait for it or cancel it first.")
    _latest = task
    task.start()
    return task


def forget() -> None:
    """Drop a finished task's message."""
    global _latest
    if running() is None:
        _latest = None


def failure() -> str:
    """What the last task failed with; empty if it did not, or was cancelled."""
    task = _latest
    if task is None or task.running or task.error is None or isinstance(task.error, Cancelled):
        return ""
    return str(task.error)
