"""Makes the environments that ``make demo`` and ``make test`` use. Standard library only.

Three environments, because they must never mix: the backend (torch and friends, Python 3.11 or 3.13),
Blender 4.5 LTS as a module (Python 3.11) and Blender 5.2 LTS as a module (Python 3.13).
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".venvs"
BLENDER_PYTHONS = {"4.5": (3, 11), "5.2": (3, 13)}
# What importing bpy and drawing without a screen load, and the Debian package each comes from.
SYSTEM_LIBRARIES = {
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
}


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def say(text: str) -> None:
    """Print one line at once."""
    print(f"[setup] {text}", flush=True)


def run(*command: str | Path, **options: object) -> None:
    """Run a command, its output shown only if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if done.returncode:
        sys.stderr.write(done.stdout[-6000:])
        raise SetupError(f"this command failed (exit {done.returncode}): {' '.join(map(str, command))}")


def version_of(python: Path | str) -> tuple[int, int] | None:
    """(major, minor) of an interpreter, or None if it does not run."""
    try:
        text = subprocess.run(
            [str(python), "-c", "import sys; print(*sys.version_info[:2])"],
            capture_output=True, text=True, timeout=30, check=True,
        ).stdout  # fmt: skip
        major, minor = text.split()
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def find_python(version: tuple[int, int]) -> Path | None:
    """An interpreter of exactly this version: the running one, on the PATH, or one that pyenv or uv keeps."""
    name = f"python{version[0]}.{version[1]}"
    candidates: list[Path | str] = [sys.executable]
    candidates += [path for path in (shutil.which(name), shutil.which("python3")) if path]
    homes = {Path(sys.base_prefix).parent, Path.home() / ".pyenv/versions"}
    if "PYENV_ROOT" in os.environ:
        homes.add(Path(os.environ["PYENV_ROOT"]) / "versions")
    homes.add(Path.home() / ".local/share/uv/python")
    for home in homes:
        candidates += sorted(home.glob(f"*{version[0]}.{version[1]}*/bin/{name}"))
    for candidate in candidates:
        if version_of(candidate) == version:
            return Path(candidate)
    return None


def python_from_uv(version: tuple[int, int]) -> Path:
    """Let uv bring an interpreter when the system has none (needs the network)."""
    wanted = f"{version[0]}.{version[1]}"
    say(f"no Python 3.11 or 3.13 found; uv brings {wanted}")
    uv = shutil.which("uv")
    if uv is None:
        folder = ENVIRONMENTS / "uv"
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin/python", "-m", "pip", "install", "-q", "uv")
        uv = str(folder / "bin/uv")
    run(uv, "python", "install", wanted)
    found = subprocess.run([uv, "python", "find", wanted], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def apt_install(packages: list[str]) -> None:
    """Install Debian packages as root; otherwise say the one line to run."""
    line = f"apt-get install -y {' '.join(packages)}"
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(f"system packages are missing. Run this once, then try again:\n    sudo {line}")
    say(line)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", env=environment)
    run(*line.split(), "--no-install-recommends", env=environment)


def system_libraries() -> None:
    """Make sure that the libraries bpy needs can be loaded."""
    if sys.platform != "linux":
        return
    missing = []
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    if missing:
        apt_install(missing)


def environment(name: str, python: Path, extras: str) -> Path:
    """A virtual environment with this project's extras, made anew only when its recipe changed."""
    folder = ENVIRONMENTS / name
    recipe = (ROOT / "pyproject.toml").read_bytes() + extras.encode() + str(version_of(python)).encode()
    stamp, digest = folder / "recipe.sha256", hashlib.sha256(recipe).hexdigest()
    interpreter = folder / "bin/python"
    if stamp.is_file() and stamp.read_text() == digest and version_of(interpreter):
        return interpreter
    began = time.monotonic()
    say(f"{name}: installing [{extras}] with {python}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        run(python, "-m", "venv", folder)
    except SetupError:
        major, minor = version_of(python) or (3, 11)
        apt_install([f"python{major}.{minor}-venv"])
        shutil.rmtree(folder, ignore_errors=True)
        run(python, "-m", "venv", folder)
    run(interpreter, "-m", "pip", "install", "-e", f"{ROOT}[{extras}]", cwd=ROOT)
    stamp.write_text(digest)
    say(f"{name}: ready after {time.monotonic() - began:.0f} s")
    return interpreter


def main(argv: list[str] | None = None) -> int:
    """Set up for the demo (one Blender) or the tests (every Blender whose Python is here)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("purpose", choices=("demo", "test"))
    purpose = parser.parse_args(argv).purpose
    began = time.monotonic()
    try:
        system_libraries()
        pythons = {blender: find_python(version) for blender, version in BLENDER_PYTHONS.items()}
        if not any(pythons.values()):
            pythons["4.5"] = python_from_uv(BLENDER_PYTHONS["4.5"])
        found = {blender: python for blender, python in pythons.items() if python}
        backend_extras = "backend" if purpose == "demo" else "backend,train,dev"
        ready = ENVIRONMENTS / "backend" / "extras"
        if ready.is_file() and ready.read_text() == "backend,train,dev":
            backend_extras = "backend,train,dev"  # a superset is there already
        backend = environment("backend", next(iter(found.values())), backend_extras)
        ready.write_text(backend_extras)
        for blender, python in list(found.items())[: 1 if purpose == "demo" else None]:
            environment(f"blender-{blender}", python, "blender")
        for blender in BLENDER_PYTHONS.keys() - found.keys():
            wanted = ".".join(map(str, BLENDER_PYTHONS[blender]))
            say(f"no Python {wanted} here: Blender {blender} is left out")
        run(backend, ROOT / "models/fetch_landmark_models.py", cwd=ROOT)
    except SetupError as error:
        print(f"[setup] {error}", file=sys.stderr)
        return 3
    say(f"ready after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
