"""One text that tells whoever helps what is going on: versions, device, paths, the last error. No bpy."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path


def abbreviated(text: str, home: Path | None = None) -> str:
    """``text`` with the home folder, and with it the user's name, written as ``~``."""
    folder = str(home or Path.home())
    if len(folder) < 4:  # "/" or "C:\" is nobody's name
        return text
    return text.replace(folder, "~").replace(folder.replace("\\", "/"), "~")


def compose(facts: Mapping[str, object], findings: Sequence[str], error: str, log: str) -> str:
    """The report; an empty fact is said to be missing, not left out."""
    lines = ["PaMIR report", f"System: {platform.system()} {platform.release()} {platform.machine()}"]
    lines += [f"{name}: {value or 'none'}" for name, value in facts.items()]
    lines += ["", "Backend, when last checked:"]
    lines += [f"  {line}" for line in findings] or ["  not checked yet"]
    lines += ["", f"Last error: {error or 'none'}"]
    if log:
        lines.append(f"Log: {log}")
    return abbreviated("\n".join(lines)) + "\n"
