"""The one owner of the worker: at most one job at a time, safe against whatever Blender does meanwhile.

A job keeps names and ids, never Blender's own objects: undo, another .blend or disabling the add-on may
take those away at any moment.
"""

from __future__ import annotations

import sys
import traceback
from abc import ABC, abstractmethod
from pathlib import Path

import bpy

from ..errors import BackendError, Cancelled, PamirError, RequestError
from ..worker import protocol
from ..worker.client import WorkerClient
from .preferences import Settings

YIELD_SECONDS = 8.0
"""A preview that is superseded ends by itself soon; ending the warm worker for it would cost far more."""


class Job(ABC):
    """One request to the worker and what its events do to Blender."""

    yields = False
    """A job that yields gives way to any job started after it, and tells of itself nowhere but in itself."""

    def __init__(self, request: protocol.Job) -> None:
        self.request = request
        self.error: PamirError | None = None
        """Why it failed, once it has."""
        self.log = ""

    @abstractmethod
    def on_event(self, event: protocol.Event) -> None:
        """React to one event, the good ending (Done, Checked) included. May raise; the job then fails."""

    @abstractmethod
    def roll_back(self) -> None:
        """Take everything back that the job did to Blender."""


class Runner:
    """Owns the worker's client and the running job; drives it one :meth:`step` at a time."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.arguments: list[str] | None = None
        """What the worker's Python is told to run; None means this package's own worker."""
        self._client: WorkerClient | None = None
        self._client_for: tuple[str, Path | None, Path] | None = None
        self._submitted = False
        self.last_error: PamirError | None = None
        """Why the last job failed, if it did."""

    @property
    def busy(self) -> bool:
        """Whether a job is under way that others must wait for."""
        return self.job is not None and not self.job.yields

    def start(self, job: Job, settings: Settings) -> None:
        """Hand ``job`` to the worker; raises :class:`BackendError` or :class:`RequestError` if it cannot.

        A running job that yields is stopped for it. While a stopped job is still ending, perhaps together
        with the worker's process, the new one waits for its turn, which :meth:`step` gives it.
        """
        if self.busy:
            raise RequestError("A PaMIR job is running already. Wait for it or cancel it first.")
        self.abandon(seconds=YIELD_SECONDS)
        if not settings.worker_python:
            raise BackendError(
                "No Python for the worker is set. Choose the backend's Python in the add-on's preferences."
            )
        state = _state()
        if not job.yields:
            state.clear()
        try:
            client = self._client_of(settings)
            client.poll()
            self._submitted = not client.busy
            if self._submitted:
                client.submit(job.request)
        except PamirError as error:
            if not job.yields:
                state.error = str(error)
            raise
        self.job = job
        if not job.yields:
            state.running, state.message = True, "Starting the worker"

    def step(self) -> None:
        """Let the running job react to what the worker said since the last step. Never raises."""
        if self.job is None or self._client is None:
            return
        events = [e for e in self._client.poll() if getattr(e, "job", None) == self.job.request.job]
        if not self._submitted:
            self._submit_when_idle(self.job, self._client)
        if events and isinstance(events[-1], protocol.FINAL):
            # The job's folder of early results is gone by now.
            events = [e for e in events if not isinstance(e, protocol.BodyReady)]
        for event in events:
            if self.job is not None:
                self._handle(self.job, event)

    def cancel(self) -> None:
        """Ask the running job to stop; it ends within a second."""
        if self.job is None or self._client is None:
            return
        if not self._submitted:
            self.abandon()
            return
        self._client.cancel(self.job.request.job)
        if not self.job.yields:
            _state().message = "Cancelling"

    def abandon(self, seconds: float | None = None) -> None:
        """Stop the running job here and now, and take back what it did.

        A worker that has not stopped after ``seconds`` is ended; None means the client's usual patience.
        """
        if self.job is not None:
            if self._client is not None and self._submitted:
                self._client.cancel(self.job.request.job, seconds)
            self._finish(self.job, Cancelled("Cancelled."))

    def shutdown(self) -> None:
        """Abandon the job and end the worker."""
        self.abandon()
        if self._client is not None:
            self._client.close()
        self._client = self._client_for = None

    def _client_of(self, settings: Settings) -> WorkerClient:
        """The client for these settings; another Python means another worker."""
        wanted = (settings.worker_python, settings.worker_packages, settings.log_folder)
        if self._client is None or self._client_for != wanted:
            if self._client is not None:
                self._client.close()
            self._client = WorkerClient(wanted[0], wanted[2], packages=wanted[1], arguments=self.arguments)
            self._client_for = wanted
        return self._client

    def _submit_when_idle(self, job: Job, client: WorkerClient) -> None:
        if client.busy:
            return
        try:
            client.submit(job.request)
            self._submitted = True
        except PamirError as error:
            self._finish(job, error)

    def _handle(self, job: Job, event: protocol.Event) -> None:
        state = _state()
        if isinstance(event, protocol.Progress) and not job.yields:
            state.stage, state.message, state.progress = event.stage, event.message, event.fraction
        if isinstance(event, protocol.Cancelled):
            self._finish(job, job.error or Cancelled("Cancelled."))
        elif isinstance(event, protocol.Failed):
            job.log = event.log
            self._finish(job, job.error or event.error())
        elif job.error is None:
            self._react(job, event)
        elif isinstance(event, protocol.FINAL):
            self._finish(job, job.error)

    def _react(self, job: Job, event: protocol.Event) -> None:
        try:
            job.on_event(event)
        except Exception as error:
            if not isinstance(error, PamirError):
                traceback.print_exc(file=sys.stderr)
                error = PamirError(f"Unexpected {type(error).__name__}: {error}. Please report this.")
            job.error = error
            job.roll_back()
            self._client.cancel(job.request.job)
        if isinstance(event, protocol.FINAL):
            self._finish(job, job.error)

    def _finish(self, job: Job, error: PamirError | None) -> None:
        self.job, job.error, self.last_error = None, error, error
        if error is not None:
            job.roll_back()
        if job.yields:
            return
        state = _state()
        state.clear()
        if error is not None and not isinstance(error, Cancelled):
            state.error, state.log = str(error), job.log


def _state() -> bpy.types.PropertyGroup:
    return bpy.context.window_manager.pamir


runner = Runner()
"""Blender has one worker."""
