"""Training processes never outlive the command that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pamir_blender.training.parallel import end_with_parent, run_in_processes

ROOT = Path(__file__).parents[2]
START = "from pathlib import Path; from tests.training.test_parallel import start; start(Path({folder!r}))"


def _linger(group, folder):
    (folder / f"{group.rank}.tmp").write_text(str(os.getpid()))
    (folder / f"{group.rank}.tmp").rename(folder / f"{group.rank}.pid")
    time.sleep(120)


def start(folder):
    run_in_processes(2, _linger, folder)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that ended but was not yet collected by init is no longer running.
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="reads /proc")
def test_killing_the_command_ends_its_processes(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", START.format(folder=str(tmp_path))], cwd=ROOT)
    try:
        wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2 or parent.poll() is not None)
        pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
        assert len(pids) == 2
        assert all(is_running(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_for(lambda: not any(is_running(pid) for pid in pids), 20)
    finally:
        parent.kill()


def test_a_process_of_its_own_has_no_parent_to_follow():
    with pytest.raises(RuntimeError, match="no parent"):
        end_with_parent()
