"""``python -m pamir_blender.worker``: the worker process. See :mod:`pamir_blender.worker.server`."""

from __future__ import annotations

import argparse
import importlib
import sys
from types import ModuleType

from . import server


def _load_pipeline() -> ModuleType:
    return importlib.import_module("..pipeline", __package__)


def main() -> int:
    """Serve requests from standard input, or print the backend's report with ``--check``."""
    parser = argparse.ArgumentParser(prog="python -m pamir_blender.worker", description=__doc__)
    parser.add_argument("--check", action="store_true", help="print the backend's report as JSON and exit")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for --check")
    parser.add_argument("--die-with-parent", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check:
        return server.print_report(_load_pipeline, arguments.device)
    server.serve(_load_pipeline, die_with_parent=arguments.die_with_parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
