"""Training processes never outlive the command that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pamir_blender.errors import BackendError
from pamir_blender.training.parallel import each_in_processes, end_with_parent, run_in_processes

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


def _nothing(*_):
    pass


def _crash_once(item):
    number, folder = item
    marker = folder / "crashed"
    if number == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def _crash(item):
    os.kill(os.getpid(), signal.SIGSEGV)


def _fail(item):
    raise ValueError(f"no {item}")


def test_a_crashed_worker_loses_nothing(tmp_path, capsys):
    items = [(number, tmp_path) for number in range(5)]
    assert sorted(each_in_processes(_crash_once, items, 2, _nothing, (1, 2))) == list(range(5))
    assert "crashed" in capsys.readouterr().err


def test_workers_that_always_crash_end_it():
    with pytest.raises(BackendError, match="crashed 3 times"):
        list(each_in_processes(_crash, [1], 1, _nothing))


def test_what_a_worker_raises_is_raised_here():
    with pytest.raises(ValueError, match="no 7"):
        list(each_in_processes(_fail, [7], 1, _nothing))
    assert list(each_in_processes(_fail, [], 1, _nothing)) == []
