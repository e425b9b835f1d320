"""``blender --command pamir ...``: the command line of :mod:`pamir_blender.cli`, done by the worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from ..errors import BackendError
from ..worker import protocol
from ..worker.client import WorkerClient
from .jobs import runner
from .preferences import settings

if TYPE_CHECKING:
    from .. import cli

PROGRAM = "blender --command pamir"

_REQUESTS = {
    "reconstruct": protocol.Reconstruct,
    "regenerate": protocol.Regenerate,
    "suggest": protocol.Suggest,
}

_handle: object | None = None


class WorkerRunner:
    """The command line's :class:`pamir_blender.cli.Runner` in Blender: a worker of its own, ended after."""

    def run(self, job: cli.Job, on_progress: cli.OnProgress, cancelled: Callable[[], bool]) -> Path:
        """Run one job; returns the result's folder."""

        def tell(event: protocol.Event) -> None:
            if isinstance(event, protocol.Progress):
                on_progress(event.stage, event.fraction, event.message)

        request = _REQUESTS[job.task](out=str(job.out), device=job.device, **job.options)
        return Path(self._run(request, tell, cancelled).folder)

    def check(self, device: str) -> dict[str, Any]:
        """The backend's report."""
        return self._run(protocol.CheckBackend(device=device)).report

    def _run(self, request: protocol.Request, *callbacks: Callable) -> Any:
        found = settings()
        if not found.worker_python:
            raise BackendError(
                "No Python for the worker is set. Choose the backend's Python in the add-on's preferences."
            )
        client = WorkerClient(
            found.worker_python,
            found.log_folder,
            packages=found.worker_packages,
            arguments=runner.arguments,
        )
        try:
            return client.run(request, *callbacks)
        finally:
            client.close()


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit status."""
    from .. import cli  # only here: Blender starts faster without it

    return cli.main(arguments, runner=WorkerRunner(), prog=PROGRAM)


def register() -> None:
    """Make the command known to Blender."""
    global _handle
    _handle = bpy.utils.register_cli_command("pamir", run)


def unregister() -> None:
    """Take the command back."""
    global _handle
    bpy.utils.unregister_cli_command(_handle)
    _handle = None
