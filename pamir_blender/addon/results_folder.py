"""What ended jobs leave behind in the results folder."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

STALE_SECONDS = 24 * 3600.0
"""No job takes this long. A younger partial folder may belong to another Blender's running job."""

_PARTIAL = re.compile(r"\..+-\d{8}-\d{6}-[0-9a-f]{6}\.[0-9a-f]{8}\.partial")


def sweep(out: Path) -> None:
    """Remove what a killed worker left of the result ``out``."""
    for partial in out.parent.glob(f".{out.name}.*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def sweep_stale(results: Path) -> None:
    """Remove what jobs left whose Blender ended with them, a crash for instance; nobody else would."""
    for partial in results.glob(".*.partial"):
        if not _PARTIAL.fullmatch(partial.name) or partial.is_symlink():
            continue
        try:
            old = time.time() - partial.stat().st_mtime > STALE_SECONDS
        except OSError:  # another Blender was faster
            continue
        if old:
            shutil.rmtree(partial, ignore_errors=True)
