"""Where the real backend is, for the tests that run it."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def backend_python():
    python = os.environ.get("PAMIR_BACKEND_PYTHON", str(ROOT / ".venvs/backend/bin/python"))
    assert Path(python).exists(), f"no backend at {python}: run `make test`, or set PAMIR_BACKEND_PYTHON"
    return python


def use_real_backend():
    """Let the registered add-on start the real worker."""
    from pamir_blender.addon.jobs import runner
    from pamir_blender.addon.preferences import get_preferences

    runner.arguments = None
    get_preferences().worker_python = backend_python()
