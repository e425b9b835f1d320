"""The wheels that a zip with a backend inside carries: ``backend/bundle.json`` and the files beside it.

They are plain files of the extension. Named in Blender's manifest they would go to the site-packages that all
extensions share, and torch's NumPy would replace Blender's own.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import BackendError

BUNDLE_FILE = "bundle.json"
FORMAT = 1
_MAX_BYTES = 1 << 20
_MAX_WHEELS = 200
_MAX_UNPACKED = 16 << 30
_WHEEL_NAME = re.compile(r"[A-Za-z0-9_.+!]+(-[A-Za-z0-9_.+!]+){4,5}\.whl")


@dataclass(frozen=True)
class Wheel:
    """One wheel: its file's name, SHA-256 and size, and the bytes and files that unpacking may write."""

    file: str
    sha256: str
    size: int
    unpacked: int
    files: int


@dataclass(frozen=True)
class Bundle:
    """All wheels of a zip; ``digest`` names exactly this set."""

    folder: Path
    backend: str
    platform: str
    python: str
    wheels: tuple[Wheel, ...]
    digest: str

    @property
    def unpacked(self) -> int:
        """Bytes on disk once unpacked."""
        return sum(wheel.unpacked for wheel in self.wheels)


@lru_cache(maxsize=4)
def read_bundle(folder: Path) -> Bundle | None:
    """The bundle in ``folder``; None if there is none. Raises :class:`BackendError` for a damaged one.

    The answer is kept: panels ask for it at every redraw, and an installed extension's files stay.
    """
    file = folder / BUNDLE_FILE
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError("too long")
        data = file.read_bytes()
        return _bundle(folder, json.loads(data), hashlib.sha256(data).hexdigest())
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackendError(f"{file} is damaged ({error}). Install the add-on's zip again.") from error


def _bundle(folder: Path, found: dict[str, Any], digest: str) -> Bundle:
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']!r} is unknown")
    listed = found["wheels"]
    if not isinstance(listed, list) or not 0 < len(listed) <= _MAX_WHEELS:
        raise ValueError("its list of wheels")
    wheels = tuple(_wheel(entry) for entry in listed)
    if sum(wheel.unpacked for wheel in wheels) > _MAX_UNPACKED:
        raise ValueError("its wheels are too large")
    return Bundle(folder, str(found["backend"]), str(found["platform"]), str(found["python"]), wheels, digest)


def _wheel(entry: dict[str, Any]) -> Wheel:
    wheel = Wheel(*(entry[name] for name in ("file", "sha256", "size", "unpacked", "files")))
    numbers = (wheel.size, wheel.unpacked, wheel.files)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a wheel's size")
    if not _WHEEL_NAME.fullmatch(wheel.file) or not re.fullmatch("[0-9a-f]{64}", wheel.sha256):
        raise ValueError("a wheel's name or hash")
    return wheel


def this_platform() -> str:
    """Blender's name of this platform, e.g. ``linux-x64``."""
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")
    machine = platform.machine().lower()
    return f"{system}-{ {'x86_64': 'x64', 'amd64': 'x64', 'aarch64': 'arm64'}.get(machine, machine) }"


def mismatch(bundle: Bundle, version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Why these wheels cannot run here, as a sentence; empty if they can."""
    python = ".".join(map(str, version))
    if bundle.platform != this_platform():
        return f"This zip's backend is for {bundle.platform}; this computer is {this_platform()}."
    if bundle.python != python:
        return f"This zip's backend is for Python {bundle.python}; this Blender runs Python {python}."
    return ""
