"""Starting a fresh backend once, before it is called one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import BackendError
from ...worker.client import worker_command
from .command_line import run_lines


def check_backend(python: Path, packages: Path | None, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """The worker's own report; raises :class:`BackendError` with its complaint if it does not work."""
    lines: list[str] = []
    command = [str(python), *worker_command(packages), "--check"]
    code, last = run_lines(command, lines.append, cancelled)
    text = "\n".join(lines)
    try:
        report = json.loads(text[text.index("{\n") : text.rindex("}") + 1])
    except ValueError:
        said = last[-1] if last else f"exit code {code}"
        raise BackendError(f"The backend was installed but does not start: {said}") from None
    if "error" in report:
        raise BackendError(f"The backend was installed but does not work: {report['error']['message']}")
    return report
