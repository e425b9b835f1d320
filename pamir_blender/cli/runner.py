"""Who does the command line's work: the pipeline in this process, or whoever the caller brings."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ..errors import BackendError, Cancelled

OnProgress = Callable[[str, float, str], None]
"""Called with ``(stage, fraction of the whole job, sentence)``."""


@dataclass(frozen=True)
class Job:
    """``task`` "reconstruct", "regenerate" or "suggest"; every path is absolute.

    ``options`` are the fields of the pipeline's options of that task.
    """

    task: str
    options: dict[str, Any]
    out: Path
    device: str


class Runner(Protocol):
    """Who does the work. Both methods raise the errors of :mod:`pamir_blender.errors`."""

    def run(self, job: Job, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Path:
        """Run one job; returns the result's folder."""

    def check(self, device: str) -> dict[str, Any]:
        """The backend's report."""


class LocalRunner:
    """Runs the pipeline in this process."""

    def run(self, job: Job, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Path:
        """See :class:`Runner`."""
        pipeline = backend_module("pipeline")
        options = getattr(pipeline, f"{job.task.capitalize()}Options")(**job.options)
        if cancelled():
            raise Cancelled("Cancelled.")
        backend = pipeline.Backend(device=job.device)
        return getattr(backend, job.task)(options, job.out, on_progress=on_progress, cancelled=cancelled)

    def check(self, device: str) -> dict[str, Any]:
        """See :class:`Runner`."""
        return backend_module("pipeline").check_backend(device)


def backend_module(name: str) -> ModuleType:
    """A module of this package that needs the backend's packages; :class:`BackendError` without them."""
    try:
        return importlib.import_module(f"..{name}", __package__)
    except ImportError as error:
        raise BackendError(
            f"This Python ({sys.executable}) is incomplete: {error}. Install the backend into it: "
            'python -m pip install "pamir-blender[backend]"'
        ) from error


def evaluation_module() -> ModuleType:
    """The ``evaluate`` command; :class:`BackendError` where the training code or what it needs is missing."""
    if not (Path(__file__).resolve().parents[1] / "training").is_dir():
        raise BackendError("evaluate belongs to the source code, not to the installed add-on. Run it there.")
    try:
        return importlib.import_module("..training.evaluation.command", __package__)
    except ImportError as error:
        raise BackendError(
            f"This Python ({sys.executable}) cannot evaluate: {error}. Install what it needs: "
            'python -m pip install "pamir-blender[backend,train]"'
        ) from error
