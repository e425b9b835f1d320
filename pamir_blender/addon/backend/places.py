"""Where backends live and which one the worker uses.

Below the add-on's user folder: ``bundled/DIGEST`` for unpacked wheels, ``backend`` for an environment that
the add-on made.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from ...errors import BackendError
from ...paths import PACKAGE, package_root
from .bundle import Bundle, mismatch, read_bundle


@dataclass(frozen=True)
class Found:
    """The Python that runs the worker; ``packages`` a folder that is put before its own, or None."""

    python: str
    packages: Path | None = None
    kind: str = ""
    """ "source", "bundled" or "managed"; empty if nothing was found."""


def bundle_folder() -> Path:
    """Where the installed extension keeps its wheels, if its zip had any."""
    return PACKAGE / "backend"


def usable_bundle() -> Bundle | None:
    """The bundle, if there is one and it fits this Python and platform."""
    try:
        bundle = read_bundle(bundle_folder())
    except BackendError:
        return None
    return bundle if bundle is not None and not mismatch(bundle) else None


def unpacked_folder(user: Path, bundle: Bundle) -> Path:
    """Where ``bundle`` is unpacked; another set of wheels gets another folder."""
    return user / "bundled" / bundle.digest[:16]


def managed_folder(user: Path) -> Path:
    """The environment that the add-on makes."""
    return user / "backend"


def python_of(environment: Path) -> Path:
    """A virtual environment's interpreter."""
    return environment / (Path("Scripts", "python.exe") if sys.platform == "win32" else Path("bin", "python"))


def find_backend(user: Path) -> Found:
    """The backend to use when the preferences name no Python, best first; empty ``python`` if there is none.

    A source tree's environment, then the unpacked wheels of this very zip, then the add-on's environment.
    """
    source = python_of(package_root() / ".venvs" / "backend")
    if source.is_file():
        return Found(str(source), kind="source")
    bundle = usable_bundle()
    if bundle is not None:
        packages = unpacked_folder(user, bundle)
        if packages.is_dir():
            return Found(str(blender_python()), packages, "bundled")
    managed = python_of(managed_folder(user))
    if managed.is_file():
        return Found(str(managed), kind="managed")
    return Found("")


def blender_python() -> Path:
    """The interpreter that runs inside this Blender, as a program of its own.

    Official builds bring one; Blender from a Linux distribution uses the system's; Blender as a module is run
    by it.
    """
    running = Path(sys.executable)
    if running.name.lower().startswith("python"):
        return running
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    places = [
        Path(sys.prefix, "bin", name),
        Path(sys.prefix, "bin", "python.exe"),
        Path(sys.prefix, "python.exe"),
    ]
    return next((place for place in places if place.is_file()), running)
