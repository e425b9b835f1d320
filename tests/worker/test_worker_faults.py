"""What can befall the worker from outside: killed, stopped, its backend deleted, its disk full.

After each, the next job works.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import private_mount
import pytest
from private_mount import needs_mounts

from pamir_blender import errors
from pamir_blender.worker import protocol
from pamir_blender.worker.client import WorkerClient

FAKE = Path(__file__).with_name("fake_worker.py")
ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")


@pytest.fixture
def make_client(tmp_path):
    clients = []

    def make(python=sys.executable, log="log", **options):
        clients.append(WorkerClient(python, tmp_path / log, **{"arguments": [str(FAKE)], **options}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def request(tmp_path, photo):
    name = f"result {len(list(tmp_path.iterdir()))}"
    return protocol.Reconstruct(str(tmp_path / f"{photo}.png"), str(tmp_path / name))


def finish(client, job, patience=15.0):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for event in client.poll():
            if isinstance(event, protocol.FINAL) and event.job == job:
                return event
        time.sleep(0.01)
    raise AssertionError(f"job not ended in {patience} s")


def run(client, tmp_path, photo):
    return finish(client, client.submit(request(tmp_path, photo)))


@posix
def test_a_worker_killed_between_two_jobs_is_replaced_without_a_word(make_client, tmp_path):
    client = make_client()
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done)
    pid = client.pid
    os.kill(pid, signal.SIGKILL)
    client._process.popen.wait()
    assert client.poll() == []
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done) and client.pid != pid


@posix
def test_a_stopped_worker_is_ended_and_the_next_job_works(make_client, tmp_path):
    """SIGSTOP: no heartbeat, no answer, and no end of its own."""
    client = make_client(silence_seconds=0.6)
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done)
    os.kill(client.pid, signal.SIGSTOP)
    failed = run(client, tmp_path, "fine")
    assert failed.kind == "backend" and "no sign of life" in failed.message
    assert "Start the job again" in failed.message
    client._silence_seconds = 30.0
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done)


@posix
def test_a_stopped_worker_can_be_cancelled(make_client, tmp_path):
    client = make_client()
    job = client.submit(request(tmp_path, "slow"))
    while not any(isinstance(e, protocol.Progress) for e in client.poll()):
        time.sleep(0.01)
    os.kill(client.pid, signal.SIGSTOP)
    client.cancel(job)
    assert finish(client, job) == protocol.Cancelled(job)
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done)


@posix
def test_a_backend_deleted_between_two_jobs_is_said_and_its_return_is_noticed(make_client, tmp_path):
    """The process would go on for a while with what it has loaded, and fail somewhere in the middle."""
    environment = tmp_path / "environment"
    environment.mkdir()
    python = environment / "python"
    python.symlink_to(sys.executable)
    client = make_client(python)
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done)
    pid = client.pid
    shutil.rmtree(environment)
    with pytest.raises(errors.BackendError, match="There is no Python at"):
        client.submit(request(tmp_path, "fine"))
    assert not client.running and not client.busy
    environment.mkdir()
    python.symlink_to(sys.executable)
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done) and client.pid != pid


def test_packages_deleted_under_the_worker_are_noticed(make_client, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    client = make_client(packages=packages)
    assert isinstance(run(client, tmp_path, "fine"), protocol.Done)
    pid = client.pid
    packages.rmdir()
    run(client, tmp_path, "fine")
    assert client.pid != pid


def test_a_package_that_was_missing_is_found_once_it_is_there(make_client, tmp_path):
    """A fresh process: the old one remembers that there was nothing."""
    module = tmp_path / "a_package_nobody_has.py"
    script = tmp_path / "worker.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        + FAKE.read_text("utf-8").replace("Path(__file__).resolve().parents[2]", f"Path({str(ROOT)!r})")
    )
    client = make_client(arguments=[str(script)])
    failed = run(client, tmp_path, "import")
    assert failed.kind == "backend" and "a_package_nobody_has" in failed.message
    assert "is incomplete" in failed.message and "preferences" in failed.message
    module.write_text("")
    assert isinstance(run(client, tmp_path, "import"), protocol.Done)


def test_a_library_that_is_missing_is_no_riddle():
    from pamir_blender.worker import server

    def load():
        raise OSError("libtorch_cpu.so: cannot open shared object file: No such file or directory")

    waiting = server.Server(load, 0, 1)
    with pytest.raises(errors.BackendError, match=r"is incomplete: libtorch_cpu\.so"):
        waiting._pipeline()


# --- full and read-only disks ---------------------------------------------------------------------------

DISK = """
import sys
from pathlib import Path
root, fake, disk, out, story = sys.argv[1:]
sys.path.insert(0, root)
from pamir_blender import errors
from pamir_blender.worker import protocol
from pamir_blender.worker.client import WorkerClient

ballast = Path(disk, "ballast")
client = WorkerClient(sys.executable, disk + "/log", arguments=[fake])

def run(photo, number):
    return client.run(protocol.Reconstruct(f"{disk}/{photo}.png", f"{out}/{number}"))

if story == "full while running":
    run("fine", 1)
if story != "read-only":
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x"):
                pass
        except OSError:
            pass
try:
    run("bug", 2)
except errors.PamirError as error:
    print(type(error).__name__, error)
if story != "read-only":
    ballast.unlink()
    print("then", Path(run("fine", 3).folder).is_dir())
client.close()
"""


def on_disk(tmp_path, story, **mounts):
    disk, out = tmp_path / "disk", tmp_path / "out"
    for folder in (disk, out):
        folder.mkdir()
    mounts = {"read_only": [disk]} if story == "read-only" else {"tiny": [disk], **mounts}
    done = private_mount.run(DISK, ROOT, FAKE, disk, out, story, **mounts)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_mounts
def test_a_log_on_a_full_disk_does_not_cost_the_message(tmp_path):
    """The traceback of a failure cannot be written; the failure is told all the same."""
    said = on_disk(tmp_path, "full while running", size="16k")
    assert said == ["PamirError Unexpected ValueError: a bug", "then True"]


@needs_mounts
def test_a_log_that_cannot_be_begun_on_a_full_disk_is_named(tmp_path):
    """Three entries: the folder itself, the ballast, and the log's folder; the log is one too many."""
    said = on_disk(tmp_path, "full at first", size="16k,nr_inodes=3")
    assert said[0].startswith("BackendError The worker's log folder") and "No space left" in said[0]
    assert "Make room" in said[0] and said[1:] == ["then True"]


@needs_mounts
def test_a_log_folder_that_cannot_be_written_is_named(tmp_path):
    (said,) = on_disk(tmp_path, "read-only")
    assert said.startswith("BackendError The worker's log folder")
    assert "Read-only file system" in said and "writable" in said


# --- two at once ----------------------------------------------------------------------------------------

ANOTHER = """
import sys
from pathlib import Path
root, fake, folder, name = sys.argv[1:]
sys.path.insert(0, root)
from pamir_blender.worker import protocol
from pamir_blender.worker.client import WorkerClient
client = WorkerClient(sys.executable, folder + "/log", arguments=[fake])
for number in range(4):
    out = f"{folder}/results/photo-{name}-{number}"
    client.run(protocol.Reconstruct(f"{folder}/fine.png", out))
    print(Path(out, "answer.txt").is_file() and client.log_path.is_file())
client.close()
"""


def test_two_blenders_share_a_results_and_a_log_folder(tmp_path):
    command = [sys.executable, "-c", ANOTHER, str(ROOT), str(FAKE), str(tmp_path)]
    both = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    for one in both:
        said, _ = one.communicate(timeout=60)
        assert said.split() == ["True"] * 4 and one.returncode == 0
    assert len(list((tmp_path / "results").iterdir())) == 8
