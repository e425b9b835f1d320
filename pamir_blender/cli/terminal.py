"""What the command line shows and listens to: progress, reports, standard output, Ctrl+C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO


def plain_lines(report: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Nested dicts and lists as indented ``name: value`` lines."""
    for name, value in report.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from plain_lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{name}:" + ("" if value else " none")
            for item in value:
                if isinstance(item, dict):
                    yield f"{indent}  - " + ", ".join(f"{k}: {v}" for k, v in item.items())
                else:
                    yield f"{indent}  - {item}"
        else:
            yield f"{indent}{name}: {'missing' if value is None else value}"


class ProgressLine:
    """Progress for people: one line that is redrawn on a terminal; elsewhere stderr is for errors alone."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._stage, self._width, self._drawn_at = "", 0, 0.0

    def __call__(self, stage: str, fraction: float, message: str = "", *_: object) -> None:
        """Show that ``stage`` has brought the whole job to ``fraction``."""
        now = time.monotonic()
        same = stage == self._stage
        if self._quiet or (same and now - self._drawn_at < 0.1):
            return
        self._stage, self._drawn_at = stage, now
        line = f"{round(100 * fraction):3d} %  {message or stage}"
        sys.stderr.write("\r" + line.ljust(self._width))
        self._width = len(line)
        sys.stderr.flush()

    def end(self) -> None:
        """Wipe the line, so that what is printed next stands alone."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


@contextlib.contextmanager
def own_stdout() -> Iterator[TextIO]:
    """Keep standard output to ourselves; what libraries print meanwhile goes to standard error.

    On the level of file descriptors as well, because native libraries print too.
    """
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    # File names that are no valid Unicode must come out as they went in.
    stdout = open(os.dup(real), "w", encoding="utf-8", errors="surrogateescape")  # noqa: PTH123, SIM115
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield stdout
        stdout.flush()
    finally:
        os.dup2(real, 1)
        os.close(real)
        with contextlib.suppress(OSError):
            stdout.close()


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl+C or a request to terminate sets; a second one interrupts at once."""
    stopped = threading.Event()

    def stop(number: int, frame: object) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
