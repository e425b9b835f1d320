"""An environment that the add-on makes and fills from the package index, after the artist said so.

It grows in a partial folder, where an interrupted run goes on, and takes its name when it has worked once.
pip fills it, or uv where the system's Python has no pip to give.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import BackendError
from ...paths import PACKAGE, package_root
from .command_line import run_lines
from .lock import one_at_a_time
from .places import python_of
from .unpack import Progress, disk_message, partial_folder

NOT_BUNDLED = ("smplx",)
"""Of the project's backend packages: smplx is only compared with, and its licence forbids passing it on."""

TORCH_INDEX = "https://download.pytorch.org/whl/"
_DEBIAN_ADVICE = (
    "{python} can make no environment: it comes without pip. On Debian or Ubuntu run "
    "`sudo apt install python{version}-venv`, or install uv, and press the button again. "
    "Or choose a Python of your own as the worker's Python."
)


@dataclass(frozen=True)
class Choice:
    """What to install: its label, and about how much is fetched and takes room on disk, in bytes."""

    label: str
    download: int
    disk: int


CHOICES = {
    "cpu": Choice("Processor", 360_000_000, 1_700_000_000),
    "cuda": Choice("NVIDIA GPU", 2_900_000_000, 10_000_000_000),
}
"""Sizes on Linux, the cache of the download included; docs/install.md says which are measured."""


def nvidia_driver() -> bool:
    """Whether NVIDIA's driver is loaded, which CUDA builds of torch need."""
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll").is_file()
    return Path("/proc/driver/nvidia/version").is_file() or Path("/dev/nvidiactl").exists()


def recommended() -> str:
    """ "cuda" where an NVIDIA driver is seen, else "cpu"."""
    return "cuda" if nvidia_driver() else "cpu"


def requirements() -> list[str]:
    """The backend's packages, as the project's metadata names them, without :data:`NOT_BUNDLED`."""
    listed = PACKAGE / "backend" / "requirements.txt"
    if listed.is_file():
        return listed.read_text(encoding="utf-8").split("\n")[:-1]
    import tomllib  # in a source tree only

    project = tomllib.loads((package_root() / "pyproject.toml").read_text(encoding="utf-8"))
    return without_not_bundled(project["project"]["optional-dependencies"]["backend"])


def without_not_bundled(listed: list[str]) -> list[str]:
    """``listed`` without what may not be passed on."""
    return [line for line in listed if package_name(line) not in NOT_BUNDLED]


def package_name(requirement: str) -> str:
    """The normalised name at the head of a requirement."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def torch_source(backend: str, platform: str = sys.platform) -> list[str]:
    """pip's arguments for where torch comes from.

    The package index serves CUDA builds for Linux and processor builds for Windows; the other two come from
    PyTorch's own index. PAMIR_TORCH_INDEX names another index, e.g. a mirror.
    """
    if mirror := os.environ.get("PAMIR_TORCH_INDEX"):
        return ["--index-url", mirror]
    if platform == "darwin" or (backend == "cpu") == platform.startswith("win"):
        return []
    return ["--index-url", TORCH_INDEX + ("cpu" if backend == "cpu" else "cu130")]


def create(
    base: Path,
    target: Path,
    backend: str,
    progress: Progress,
    cancelled: Callable[[], bool],
    log: Path,
    check: Callable[[Path], None] = lambda python: None,
) -> Path:
    """Make the environment ``target`` with the Python ``base``; returns its interpreter.

    ``check(interpreter)`` may raise before the environment takes its name. Raises :class:`BackendError`
    or ``Cancelled``; what was installed by then is kept for the next try.
    """
    partial = partial_folder(target)
    steps = _Steps(progress, cancelled, log, CHOICES[backend].download)
    try:
        with one_at_a_time(target):
            log.parent.mkdir(parents=True, exist_ok=True)
            partial.mkdir(parents=True, exist_ok=True)
            needed = CHOICES[backend].disk
            if shutil.disk_usage(partial).free < needed:
                raise BackendError(
                    f"The backend needs about {needed / 1e9:.1f} GB in {partial.parent}. "
                    "Make room and try again."
                )
            installer = _environment(base, partial, steps)
            torch = [line for line in requirements() if package_name(line) == "torch"]
            rest = [line for line in requirements() if line not in torch]
            steps.run("Getting torch", [*installer, *torch_source(backend), *torch])
            steps.run("Getting packages", [*installer, *rest, *torch])
            steps.say(0.97, "Checking the backend")
            check(python_of(partial))
            shutil.rmtree(partial / "cache", ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            partial.replace(target)
    except OSError as error:
        raise BackendError(disk_message(error, partial)) from error
    return python_of(target)


def _environment(base: Path, partial: Path, steps: _Steps) -> list[str | Path]:
    """Make the empty environment if it is not there yet; the command that installs into it."""
    python, cache = python_of(partial), partial / "cache"
    if steps.code([base, "-I", "-c", "import ensurepip, venv"]) == 0:
        pip = [python, "-m", "pip", "install", "--no-input", "--cache-dir", cache]
        if not python.is_file() or steps.code([python, "-m", "pip", "--version"]):
            steps.run("Making an environment", [base, "-I", "-m", "venv", "--clear", partial])
        # Older ones do not say how far a download is. Should that fail, the next command says why.
        steps.code([*pip, "-q", "pip>=24.1"])
        told = steps.code([*pip, "--progress-bar", "raw", "--dry-run", "-q", "pip"]) == 0
        return [*pip, "--progress-bar", "raw" if told else "off"]
    if uv := shutil.which("uv"):
        if not python.is_file():
            steps.run("Making an environment", [uv, "venv", "--python", base, "--allow-existing", partial])
        return [uv, "pip", "install", "--python", python, "--cache-dir", cache]
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise BackendError(_DEBIAN_ADVICE.format(python=base, version=version))


class _Steps:
    """Commands one after the other, and what they say as progress.

    The bar counts the bytes that pip reports, against what this choice is known to need.
    """

    def __init__(self, progress: Progress, cancelled: Callable[[], bool], log: Path, expected: int) -> None:
        self._progress, self.cancelled, self._log, self._expected = progress, cancelled, log, expected
        self._file, self._file_bytes, self._bytes = "", 0, 0
        self._title = ""

    def say(self, fraction: float, message: str) -> None:
        """Report."""
        self._progress(fraction, message)

    def code(self, command: list[str | Path]) -> int:
        """A command's exit code."""
        return run_lines(command, lambda line: None, self.cancelled, self._log)[0]

    def run(self, title: str, command: list[str | Path]) -> None:
        """Run one command; raises :class:`BackendError` with its own complaint."""
        self._title = title
        self._tell(title)
        code, last = run_lines(command, self._hear, self.cancelled, self._log)
        if code:
            raise BackendError(_complaint(title, last, self._log))

    def _tell(self, message: str) -> None:
        got = self._bytes + self._file_bytes
        self._progress(0.02 + 0.9 * min(got / self._expected, 1.0), message)

    def _hear(self, line: str) -> None:
        if match := re.match(r"Progress (\d+) of (\d+)", line):
            self._file_bytes, whole = int(match[1]), int(match[2])
            self._tell(f"Fetching {self._file} ({self._file_bytes / 1e6:.0f} of {whole / 1e6:.0f} MB)")
        elif match := re.match(r"(?:Downloading|Using cached) (\S+)", line):
            self._bytes, self._file_bytes = self._bytes + self._file_bytes, 0
            self._file = match[1].rsplit("/", 1)[-1].split("-")[0]
            self._tell(f"Fetching {self._file}")
        elif line.startswith("Installing collected packages"):
            self._tell("Installing packages")


def _complaint(title: str, last: list[str], log: Path) -> str:
    text = "\n".join(last)
    if re.search(r"Max retries|resolve|ConnectionError|NewConnectionError|unreachable|dns error", text, re.I):
        return f"{title} failed: the package index cannot be reached. Check the connection. Log: {log}"
    if "No space left" in text:
        return f"{title} failed: the disk is full. Make room and press the button again. Log: {log}"
    said = [line for line in last if line.lower().startswith("error")] or last or ["it said nothing"]
    return f"{title} failed: {said[-1][:300]} Log: {log}"
