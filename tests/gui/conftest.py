"""The zip as an artist gets it, and one Blender window for the whole story."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hands import Hands
from session import REPOSITORY, Session

ENVIRONMENTS = REPOSITORY / ".venvs"
ROOT = Path(os.environ.get("PAMIR_GUI_ROOT", ENVIRONMENTS / "gui-root"))
BACKEND = Path(os.environ.get("PAMIR_BACKEND_PYTHON", ENVIRONMENTS / "backend" / "bin" / "python"))


def _visible():
    """The repository, the backend's environment where it really is, and the Python it was made from."""
    prefix = subprocess.check_output([BACKEND, "-c", "import sys; print(sys.base_prefix)"], text=True)
    folders = {REPOSITORY, BACKEND.parents[1].resolve(), Path(prefix.strip())}
    assert Path("/usr") not in folders, (
        "the backend's Python is the system's own: use one that has a folder of its own"
    )
    return sorted(folders)


@pytest.fixture(scope="session")
def exchange():
    """A folder that this process and Blender share; its path is short, for the socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="pamir-gui-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def hands(exchange):
    assert os.geteuid() == 0, "the window tests enter a Debian root with chroot and need to be root"
    assert (ROOT / ".complete").exists(), f"no root at {ROOT}: `make test-gui` makes it"
    assert BACKEND.exists(), f"no backend at {BACKEND}: `make test-gui` makes it"
    blender = max(ENVIRONMENTS.glob("blender-*/bin/python"))
    command = [blender, "build_addon.py", "--out", exchange / "dist"]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=sys.stderr)
    shutil.copy(REPOSITORY / "examples" / "person.png", exchange)
    pictures = REPOSITORY / "out" / "gui"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    session = Session(ROOT, exchange, _visible())
    try:
        session.wait_ready()
        yield Hands(session, pictures)
    finally:
        session.close()
        shutil.copy(session.log, pictures)
