"""The worker process: requests in, events out, one job at a time, models kept warm between jobs.

Three threads: the main one computes; one reads standard input, so that the end of Blender is noticed
whatever is being computed; one sends heartbeats and keeps the log bounded. Standard output carries events
and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import gc
import importlib.metadata
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from .. import __version__
from ..errors import BackendError, Cancelled, DeviceMemoryError, PamirError, RequestError, ResultError
from . import protocol, streams

MAX_WAITING = 16
"""Jobs that may wait; more are refused."""

_PROGRESS_SECONDS = 0.05  # at most twenty progress lines a second
_REPORTED_PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "opencv-python-headless", "ai-edge-litert")
_MEMORY_PHRASES = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "bad_alloc",
)
# Request -> the backend's method, and the options it takes.
_TASKS = {
    protocol.Reconstruct: ("reconstruct", "ReconstructOptions"),
    protocol.Regenerate: ("regenerate", "RegenerateOptions"),
    protocol.Suggest: ("suggest", "SuggestOptions"),
}
_DISK_ERRORS = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT)


class Pipeline(Protocol):
    """What the server needs of :mod:`pamir_blender.pipeline`; tests bring their own."""

    Backend: Callable[..., Any]
    ReconstructOptions: Callable[..., Any]
    RegenerateOptions: Callable[..., Any]
    SuggestOptions: Callable[..., Any]
    check_backend: Callable[[str], dict[str, Any]]


def as_pamir_error(error: BaseException) -> PamirError:
    """The error an artist should read for whatever the pipeline raised."""
    if isinstance(error, PamirError):
        return error
    text = str(error).strip()
    if isinstance(error, MemoryError) or any(phrase in text.lower() for phrase in _MEMORY_PHRASES):
        device = "graphics card" if "cuda" in text.lower() else "computer"
        return DeviceMemoryError(
            f"The {device} ran out of memory. Lower the resolution, use the lite size or close programs."
        )
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return ResultError(
            f"Cannot write {error.filename or 'the result'}: {error.strerror}. Choose another folder."
        )
    if isinstance(error, ImportError):
        return _incomplete(error)
    return PamirError(f"Unexpected {type(error).__name__}: {text or 'no message'}")


def _incomplete(error: BaseException) -> BackendError:
    return BackendError(
        f"The worker's Python ({sys.executable}) is incomplete: {str(error).strip()}. "
        "Install the backend's packages into it, or choose another Python in the preferences."
    )


def _to_log(error: BaseException) -> None:
    """The traceback into the log; a log on a full disk must not cost the artist the message."""
    with contextlib.suppress(OSError):
        traceback.print_exception(error, file=sys.stderr)
        sys.stderr.flush()


class Server:
    """Answers requests; ``load_pipeline`` imports the heavy part when the first job needs it."""

    def __init__(self, load_pipeline: Callable[[], Pipeline], requests: int, events: int) -> None:
        self._load_pipeline = load_pipeline
        self._reader = streams.LineReader(requests, protocol.MAX_LINE)
        self._events = events
        self._write_lock = threading.Lock()
        self._waiting: queue.Queue[protocol.Job] = queue.Queue()
        # Cancel flags of every job that waits or runs; guarded by _jobs_lock.
        self._jobs: dict[str, threading.Event] = {}
        self._jobs_lock = threading.Lock()
        self._current: str | None = None
        self._backend: Any = None
        self._backend_device: str | None = None

    def run(self) -> None:
        """Serve until standard input ends; never returns."""
        threading.Thread(target=self._read_requests, name="requests", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        while True:
            self._run_job(self._waiting.get())

    def send(self, event: protocol.Event) -> None:
        """Write one event; a reader that is gone ends the process."""
        line = protocol.encode(event)
        try:
            with self._write_lock:
                while line:
                    line = line[os.write(self._events, line) :]
        except OSError:
            os._exit(0)

    def _beat(self) -> None:
        while True:
            time.sleep(protocol.HEARTBEAT_SECONDS)
            self.send(protocol.Heartbeat(self._current))
            streams.bound_log()

    def _read_requests(self) -> None:
        try:
            self._read_forever()
        except BaseException:
            # Without this thread nobody would notice Blender's end: better no worker than an orphan.
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)

    def _read_forever(self) -> None:
        while True:
            try:
                line = self._reader.read()
            except OSError:
                line = b""
            if line == b"":
                os._exit(0)
            if line is None:
                self.send(protocol.Rejected(f"A line of more than {protocol.MAX_LINE} bytes was ignored."))
                continue
            try:
                self._accept(protocol.decode_request(line))
            except RequestError as error:
                job = protocol.job_of(line)
                refused = job and job not in self._jobs
                self.send(
                    protocol.Failed(job, error.kind, str(error)) if refused else protocol.Rejected(str(error))
                )

    def _accept(self, request: protocol.Request) -> None:
        match request:
            case protocol.Hello():
                self.send(_ready())
            case protocol.Shutdown():
                os._exit(0)
            case protocol.Cancel(job):
                with self._jobs_lock:
                    flag = self._jobs.get(job)
                if flag is None:  # it ended, or never was: nothing is left to stop
                    self.send(protocol.Cancelled(job))
                else:
                    flag.set()
            case protocol.CheckBackend() | protocol.PhotoJob():
                with self._jobs_lock:
                    if request.job in self._jobs:
                        raise RequestError(f"Job {request.job} is under way already.")
                    if len(self._jobs) > MAX_WAITING:
                        raise RequestError(f"{MAX_WAITING} jobs are waiting already; wait for one of them.")
                    self._jobs[request.job] = threading.Event()
                self._waiting.put(request)

    def _run_job(self, request: protocol.Job) -> None:
        self._current = request.job
        flag = self._jobs[request.job]
        try:
            if flag.is_set():
                raise Cancelled("Cancelled before it began.")
            if isinstance(request, protocol.CheckBackend):
                report = self._pipeline().check_backend(request.device)
                ending: protocol.Event = protocol.Checked(request.job, report)
            else:
                ending = protocol.Done(request.job, str(self._photo_job(request, flag)))
            protocol.encode(ending)  # a report that JSON cannot hold fails here, as this job's failure
        except (Exception, SystemExit) as error:
            ending = self._ending(request.job, error, flag)
        with self._jobs_lock:
            del self._jobs[request.job]
        self._current = None
        self.send(ending)
        if isinstance(ending, protocol.Failed) and ending.kind == DeviceMemoryError.kind:
            # Out here the traceback, and with it the job's arrays, are gone already.
            self._drop_backend()

    def _ending(self, job: str, error: BaseException, flag: threading.Event) -> protocol.Event:
        # A stage that was interrupted half-way may complain in its own words; the user only said stop.
        if isinstance(error, Cancelled) or flag.is_set():
            return protocol.Cancelled(job)
        mapped = as_pamir_error(error)
        if mapped is not error:
            _to_log(error)
        return protocol.Failed(job, mapped.kind, str(mapped)[:4000])

    def _photo_job(self, request: protocol.PhotoJob, flag: threading.Event) -> Path:
        self.send(protocol.Progress(request.job, "start", 0.0, 0.0, "Loading the backend"))
        pipeline = self._pipeline()
        if self._backend is None or self._backend_device != request.device:
            self._drop_backend()
            self._backend = pipeline.Backend(device=request.device)
            self._backend_device = request.device
        task, options = _TASKS[type(request)]
        return getattr(self._backend, task)(
            getattr(pipeline, options)(**request.options()),
            Path(request.out),
            on_progress=_ProgressSender(self, request.job),
            on_body=lambda folder: self.send(protocol.BodyReady(request.job, str(folder))),
            cancelled=flag.is_set,
        )

    def _pipeline(self) -> Pipeline:
        try:
            return self._load_pipeline()
        except OSError as error:  # a package is there, but a library of it is not
            _to_log(error)
            raise _incomplete(error) from error

    def _drop_backend(self) -> None:
        self._backend = self._backend_device = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()


class _ProgressSender:
    """Turns the pipeline's progress calls into events, not more often than a progress bar can show."""

    def __init__(self, server: Server, job: str) -> None:
        self._server, self._job = server, job
        self._stage, self._fraction, self._sent_at = "", 0.0, 0.0

    def __call__(self, stage: str, fraction: float, message: str = "", stage_fraction: float = 0.0) -> None:
        now = time.monotonic()
        fraction, stage_fraction = (min(max(float(f), 0.0), 1.0) for f in (fraction, stage_fraction))
        if stage == self._stage and fraction < 1.0 and now - self._sent_at < _PROGRESS_SECONDS:
            return
        # A bar that runs backwards tells the artist nothing.
        self._fraction = max(self._fraction, fraction)
        self._stage, self._sent_at = stage, now
        self._server.send(protocol.Progress(self._job, stage, self._fraction, stage_fraction, message))


def _ready() -> protocol.Ready:
    versions = {}
    for name in _REPORTED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return protocol.Ready(os.getpid(), __version__, platform.python_version(), versions)


def serve(load_pipeline: Callable[[], Pipeline], *, die_with_parent: bool = False) -> None:
    """Be the worker: take over standard input and output and serve until the parent is gone."""
    if die_with_parent:
        streams.die_with_parent()
    streams.watch_parent(lambda: os._exit(0))
    streams.volunteer_for_memory_killer()
    faulthandler.enable(file=2)
    if not os.isatty(0):
        # Ctrl+C in the terminal that runs Blender is Blender's affair; it cancels through the protocol.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, events = streams.claim_stdin(), streams.claim_stdout()
    Server(load_pipeline, requests, events).run()


def print_report(load_pipeline: Callable[[], Pipeline], device: str) -> int:
    """Print the backend's report as JSON on standard output; 0 if it works, 1 with ``error`` in it if not."""
    real = streams.claim_stdout()
    ready = _ready()
    report: dict[str, Any] = {"package": ready.package, "python": ready.python, "versions": ready.versions}
    try:
        report.update(load_pipeline().check_backend(device))
    except Exception as error:
        mapped = as_pamir_error(error)
        if mapped is not error:
            traceback.print_exception(error, file=sys.stderr)
        report["error"] = {"kind": mapped.kind, "message": str(mapped)}
    with open(real, "w", encoding="utf-8") as stdout:  # noqa: PTH123 - a descriptor, not a path
        json.dump(report, stdout, indent=2, default=str)
        stdout.write("\n")
    return 1 if "error" in report else 0
