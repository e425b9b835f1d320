"""Blender's side of the worker: starts, feeds, cancels, watches and restarts the process.

Knows nothing of Blender or of torch; standard library only. Nothing here blocks, except
:meth:`WorkerClient.run`, which is for programs without a window.
"""

from __future__ import annotations

import atexit
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from .. import errors
from ..errors import RequestError
from ..plain_files import is_file, is_folder
from . import protocol
from .process import WorkerProcess

CANCEL_SECONDS = 0.7
"""A job that has not stopped by itself after this long is stopped by ending the process."""

SILENCE_SECONDS = 60.0
"""A working process that sends nothing for this long is taken for hung; heartbeats come every two."""


def worker_command(packages: Path | None = None) -> list[str]:
    """What a Python is told in order to be the worker.

    With ``packages`` it sees that folder and its standard library, and nothing that was ever installed into
    it: Blender's own Python has a NumPy for Blender.
    """
    launch = str(Path(__file__).resolve().with_name("launch.py"))
    if packages is None:
        return [launch]
    return ["-I", "-S", "-X", "utf8", launch, "--packages", str(packages)]


class WorkerClient:
    """The worker as its user sees it: submit requests, poll events.

    ``python`` is the interpreter of the backend's environment; ``log_dir`` receives the logs and is the
    process's working folder. Every job that :meth:`submit` accepted ends with exactly one of
    :data:`protocol.FINAL` from :meth:`poll`, whatever happens to the process. The process starts with the
    first job, stays warm between jobs, and is started anew after it ended. Use from one thread.

    ``packages`` is a folder of packages to use instead of Python's own. ``arguments`` replaces what Python is
    told to run; the default is this very package's worker.
    """

    def __init__(
        self,
        python: Path | str,
        log_dir: Path | str,
        *,
        packages: Path | None = None,
        arguments: Sequence[str] | None = None,
        cancel_seconds: float = CANCEL_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.python, self.log_dir, self._packages = Path(python), Path(log_dir), packages
        self._arguments = worker_command(packages) if arguments is None else list(arguments)
        self._cancel_seconds, self._silence_seconds = cancel_seconds, silence_seconds
        self._process: WorkerProcess | None = None
        self._events: queue.SimpleQueue[protocol.Event] = queue.SimpleQueue()
        # Unfinished jobs and the process each was given to; guarded by _lock, as is _cancelling.
        self._jobs: dict[str, WorkerProcess] = {}
        self._cancelling: set[str] = set()
        self._lock = threading.Lock()
        self._ready: protocol.Ready | None = None
        self._silence, self._polled_at, self._heard_at = 0.0, time.monotonic(), 0.0

    @property
    def running(self) -> bool:
        """Whether a process is up."""
        return self._process is not None and self._process.alive()

    @property
    def pid(self) -> int | None:
        """The process id of the running worker."""
        return self._process.pid if self.running else None

    @property
    def busy(self) -> bool:
        """Whether any job is unfinished."""
        with self._lock:
            return bool(self._jobs)

    @property
    def ready(self) -> protocol.Ready | None:
        """What the worker said about itself when it last started."""
        return self._ready

    @property
    def log_path(self) -> Path | None:
        """The log of the newest process."""
        return self._process.log_path if self._process else None

    def start(self) -> None:
        """Start the process now, for the first job to find it up. Raises :class:`errors.BackendError`."""
        if self.running and (self.busy or not self._spoiled()):
            return
        if self.running:
            self.close()
        process = WorkerProcess(self.python, self._arguments, self.log_dir, self._on_line, self._on_exit)
        if self._process is None:
            atexit.register(self.close)
        self._process, self._silence = process, 0.0
        process.send(protocol.Hello("pamir_blender"))

    def submit(self, request: protocol.Job) -> str:
        """Hand a job to the worker, starting it if need be; returns the job's id.

        Raises :class:`errors.BackendError` when there is no worker to be had.
        """
        self.start()
        with self._lock:
            if request.job in self._jobs:
                raise RequestError(f"Job {request.job} is under way already.")
            self._jobs[request.job] = self._process
        self._process.send(request)
        if self._process.popen.poll() is not None:
            # It died in between. Had its reader already counted its jobs, nobody would end this one.
            self._process.join()
            self._on_exit(self._process)
        return request.job

    def poll(self) -> list[protocol.Event]:
        """The events since the last call, oldest first. Call it every 0.1 s or so while a job runs."""
        self._watch_silence()
        events = []
        with contextlib.suppress(queue.Empty):
            while True:
                events.append(self._events.get_nowait())
        return events

    def cancel(self, job: str, seconds: float | None = None) -> None:
        """Stop a job: by asking, and if that takes longer than ``seconds``, by ending the process.

        By default that is within a second. Unknown jobs are ignored.
        """
        with self._lock:
            process = self._jobs.get(job)
            if process is None or job in self._cancelling:
                return
            self._cancelling.add(job)
        process.send(protocol.Cancel(job))
        patience = self._cancel_seconds if seconds is None else seconds
        timer = threading.Timer(patience, self._stop_if_unfinished, (job, process))
        timer.daemon = True
        timer.start()

    def run(
        self,
        request: protocol.Job,
        on_event: Callable[[protocol.Event], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> protocol.Done | protocol.Checked:
        """Submit and wait, for programs without a window. Raises the job's error or ``Cancelled``."""
        job = self.submit(request)
        while True:
            if cancelled is not None and cancelled():
                self.cancel(job)
            for event in self.poll():
                if isinstance(event, protocol.FINAL) and event.job == job:
                    if isinstance(event, protocol.Failed):
                        raise event.error()
                    if isinstance(event, protocol.Cancelled):
                        raise errors.Cancelled("Cancelled.")
                    return event
                if on_event is not None:
                    on_event(event)
            time.sleep(0.05)

    def close(self) -> None:
        """End the process; unfinished jobs end as cancelled. The client can be used again afterwards."""
        atexit.unregister(self.close)
        process, self._process = self._process, None
        if process is not None:
            with self._lock:
                self._cancelling.update(job for job, owner in self._jobs.items() if owner is process)
            process.close()

    def _spoiled(self) -> bool:
        """Whether the idle process can no longer be trusted: its backend failed, or was deleted under it."""
        gone = not is_file(self.python) or (self._packages is not None and not is_folder(self._packages))
        return gone or self._process.suspect

    def _stop_if_unfinished(self, job: str, process: WorkerProcess) -> None:
        with self._lock:
            if self._jobs.get(job) is not process:
                return
            del self._jobs[job]
            self._cancelling.discard(job)
        process.kill("cancel")
        # Not from _on_exit: a process of several gigabytes takes its time to go.
        self._events.put(protocol.Cancelled(job))

    def _watch_silence(self) -> None:
        """Count the silence in short steps: a computer that slept must not look like a hung worker."""
        now, process = time.monotonic(), self._process
        step, self._polled_at = min(now - self._polled_at, 1.0), now
        if process is None or not self.busy or process.last_heard != self._heard_at:
            self._silence, self._heard_at = 0.0, process.last_heard if process else 0.0
            return
        self._silence += step
        if self._silence > self._silence_seconds and process.alive():
            process.kill("silence")

    def _on_line(self, process: WorkerProcess, line: bytes) -> None:
        try:
            event = protocol.decode_event(line)
        except RequestError:
            return  # a Python that prints at start-up, before the worker owns its output
        if isinstance(event, protocol.Heartbeat):
            return
        if isinstance(event, protocol.Ready):
            self._ready = event
        job = getattr(event, "job", None)
        if job is not None:
            with self._lock:
                if self._jobs.get(job) is not process:
                    return
                stopping = job in self._cancelling
                if isinstance(event, protocol.FINAL):
                    del self._jobs[job]
                    self._cancelling.discard(job)
                elif stopping:
                    return
            if isinstance(event, protocol.FINAL) and stopping:
                event = protocol.Cancelled(job)
            elif isinstance(event, protocol.Failed):
                process.suspect = process.suspect or event.kind == errors.BackendError.kind
                event = self._with_log(event, process)
        self._events.put(event)

    def _on_exit(self, process: WorkerProcess) -> None:
        with self._lock:
            jobs = [job for job, owner in self._jobs.items() if owner is process]
            stopping = {job for job in jobs if job in self._cancelling}
            for job in jobs:
                del self._jobs[job]
            self._cancelling -= stopping
        if not jobs:
            return
        error = process.exit_error()
        for job in jobs:
            if job in stopping:
                self._events.put(protocol.Cancelled(job))
            else:
                failed = protocol.Failed(job, error.kind, str(error))
                self._events.put(self._with_log(failed, process))

    @staticmethod
    def _with_log(event: protocol.Failed, process: WorkerProcess) -> protocol.Failed:
        return replace(event, log=str(process.log_path), tail=process.log_tail())
