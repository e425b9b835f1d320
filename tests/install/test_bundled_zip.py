"""The zip with a backend inside, installed with the network unplugged, makes a character. Takes minutes.

Needs the Blender environments that ``make test`` makes, and Linux: a network namespace without interfaces is
what unplugs the network. The wheels come from the package index, or from ``dist/wheels`` if they are there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLENDER = ROOT / ".venvs/blender-4.5/bin/python"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    if given := os.environ.get("PAMIR_BUNDLED_ZIP"):
        return Path(given)
    out = tmp_path_factory.mktemp("dist")
    command = [str(BLENDER), "build_addon.py", "--backend", "cpu", "--platform", "linux-x64"]
    command += ["--python", "3.11", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True)
    return next(out.glob("*.zip"))


def unplugged(command, environment):
    """Run in a network namespace without interfaces; as an ordinary user, in a user namespace too."""
    unshare = shutil.which("unshare")
    assert unshare, "unshare (util-linux) is needed"
    options = ["-n"] if os.geteuid() == 0 else ["-r", "-n"]
    return subprocess.run([unshare, *options, *command], env=environment, check=False)


def test_unpack_and_reconstruct_with_the_network_unplugged(archive, tmp_path):
    home, report = tmp_path / "home", tmp_path / "report.json"
    home.mkdir()
    environment = {"PATH": os.defpath, "HOME": str(home), "BLENDER_USER_RESOURCES": str(home / "blender")}
    script = Path(__file__).with_name("use_bundled_zip.py")
    command = [str(BLENDER), str(script), str(archive), str(ROOT / "examples/person.png"), str(report)]
    assert unplugged(command, environment).returncode == 0
    found = json.loads(report.read_text("utf-8"))
    print(json.dumps(found, indent=1))
    assert not found["online"] and found["before"] == ""
    assert found["unpack"] == found["reconstruct"] == ["FINISHED"], found["error"]
    assert found["packages"].startswith(str(home)) and not found["complaints"]
    assert found["roles"] == ["armature", "body", "camera", "clothed"]
    assert found["faces"]["clothed"] > 5000
    assert "site-packages/numpy" in found["numpy"][1] and str(home) not in found["numpy"][1]
