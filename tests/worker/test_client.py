"""The client and the process together: order, failures, cancelling, crashes, orphans. Python of any kind."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pamir_blender import errors
from pamir_blender.worker import process as worker_process
from pamir_blender.worker import protocol
from pamir_blender.worker.client import WorkerClient

FAKE = Path(__file__).with_name("fake_worker.py")
ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and process tables of POSIX systems")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")


@pytest.fixture
def make_client(tmp_path):
    clients = []

    def make(**options):
        options = {"arguments": [str(FAKE)], **options}
        clients.append(WorkerClient(sys.executable, tmp_path / "log ä", **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client):
    return make_client()


def request(tmp_path, photo, **options):
    name = f"result {len(list(tmp_path.iterdir()))}"
    return protocol.Reconstruct(str(tmp_path / f"{photo}.png"), str(tmp_path / name), **options)


def events_until(client, finished, patience=10.0):
    """Every event up to the first for which ``finished`` holds."""
    events, deadline = [], time.monotonic() + patience
    while time.monotonic() < deadline:
        for event in client.poll():
            events.append(event)
            if finished(event):
                return events
        time.sleep(0.01)
    raise AssertionError(f"not in {patience} s; so far {events}")


def outcome(client, job):
    return events_until(client, lambda e: isinstance(e, protocol.FINAL) and e.job == job)[-1]


def wait_for(condition, patience=3.0):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid):
    """Whether the process has ended (one that nobody has waited for yet counts as ended)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def answer(done):
    return ast.literal_eval((Path(done.folder) / "answer.txt").read_text("utf-8"))


def test_events_arrive_in_order(client, tmp_path):
    sent = request(tmp_path, "fine ünï 人")
    job = client.submit(sent)
    events = events_until(client, lambda e: isinstance(e, protocol.FINAL))
    assert isinstance(events[0], protocol.Ready)
    assert events[0] == client.ready and events[0].pid == client.pid
    assert events[0].python == sys.version.split()[0]
    assert {e.job for e in events[1:]} == {job}
    kinds = [type(e).__name__ for e in events[1:]]
    assert kinds == ["Progress", "Progress", "BodyReady", "Progress", "Progress", "Done"]
    assert [e.stage for e in events if isinstance(e, protocol.Progress)] == [
        "start",
        "photo",
        "field",
        "surface",
    ]
    assert events[4] == protocol.Progress(job, "field", 0.5, 0.25, "Asking the field")
    assert events[-1] == protocol.Done(job, sent.out)
    assert answer(events[-1])[3] == {**sent.options(), "photo": sent.photo}
    assert not client.busy and client.running


def test_the_bar_never_runs_backwards(client, tmp_path):
    client.submit(request(tmp_path, "backwards"))
    events = events_until(client, lambda e: isinstance(e, protocol.FINAL))
    fractions = [e.fraction for e in events if isinstance(e, protocol.Progress)]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_the_backend_stays_warm_and_follows_the_device(client, tmp_path):
    def ask(device):
        return answer(outcome(client, client.submit(request(tmp_path, "fine", device=device))))

    answers = [ask(device) for device in ("cpu", "cpu", "auto")]
    pids, counts, devices, *_ = zip(*answers, strict=True)
    assert len(set(pids)) == 1 and pids[0] == client.pid
    assert counts == (1, 2, 1) and devices == ("cpu", "cpu", "auto")


def test_jobs_wait_their_turn_and_can_be_cancelled_there(client, tmp_path):
    running = client.submit(request(tmp_path, "slow"))
    waiting = client.submit(request(tmp_path, "slow"))
    last = client.submit(request(tmp_path, "fine"))
    events_until(client, lambda e: isinstance(e, protocol.Progress))
    pid = client.pid
    client.cancel(waiting)
    client.cancel(running)
    events = events_until(client, lambda e: isinstance(e, protocol.Done))
    ended = [(type(e).__name__, e.job) for e in events if isinstance(e, protocol.FINAL)]
    assert ended == [("Cancelled", running), ("Cancelled", waiting), ("Done", last)]
    assert client.pid == pid


@pytest.mark.parametrize(
    ("photo", "kind", "says"),
    [
        ("no_person", "no_person", "Nobody in"),
        ("cuda_memory", "memory", "graphics card"),
        ("cpu_memory", "memory", "computer"),
        ("memory", "memory", "Lower the resolution"),
        ("import", "backend", "a_package_nobody_has"),
        ("disk_full", "result", "/full/place"),
        ("bug", "error", "ValueError: a bug"),
        ("sys_exit", "error", "somebody called exit"),
    ],
)
def test_failures_have_their_kind_and_leave_the_worker_up(client, tmp_path, photo, kind, says):
    failed = outcome(client, client.submit(request(tmp_path, photo)))
    assert isinstance(failed, protocol.Failed) and failed.kind == kind and says in failed.message
    assert failed.error().kind == kind
    assert Path(failed.log).is_file()
    if kind == "error":
        assert "Traceback" in failed.tail or "exit" in failed.tail
    pid = client.pid
    assert isinstance(outcome(client, client.submit(request(tmp_path, "fine"))), protocol.Done)
    # Half of a broken backend may be loaded: only then a fresh process is had.
    assert (client.pid == pid) == (kind != "backend")


def test_cancel_that_is_heeded_keeps_the_process(client, tmp_path):
    job = client.submit(request(tmp_path, "slow"))
    events_until(client, lambda e: isinstance(e, protocol.Progress))
    pid, began = client.pid, time.monotonic()
    client.cancel(job)
    client.cancel(job)
    assert outcome(client, job) == protocol.Cancelled(job)
    assert time.monotonic() - began < 0.6
    assert client.pid == pid
    assert isinstance(outcome(client, client.submit(request(tmp_path, "fine"))), protocol.Done)
    assert client.pid == pid


@posix
@pytest.mark.parametrize("photo", ["deaf", "stubborn"])
def test_cancel_that_is_ignored_ends_the_process(client, tmp_path, photo):
    job = client.submit(request(tmp_path, photo))
    events_until(client, lambda e: isinstance(e, protocol.Progress))
    pid, began = client.pid, time.monotonic()
    client.cancel(job)
    assert outcome(client, job) == protocol.Cancelled(job)
    assert time.monotonic() - began < 1.0
    assert not client.running and wait_for(lambda: gone(pid))
    assert isinstance(outcome(client, client.submit(request(tmp_path, "fine"))), protocol.Done)
    assert client.pid != pid


def test_cancelling_an_unknown_or_finished_job_does_nothing(client, tmp_path):
    client.cancel("nobody")
    job = client.submit(request(tmp_path, "fine"))
    outcome(client, job)
    client.cancel(job)
    time.sleep(0.2)
    assert client.poll() == []


@posix
def test_a_killed_worker_is_reported_and_replaced(client, tmp_path):
    job = client.submit(request(tmp_path, "slow"))
    events_until(client, lambda e: isinstance(e, protocol.Progress))
    pid = client.pid
    os.kill(pid, signal.SIGKILL)
    failed = outcome(client, job)
    assert (failed.kind, failed.message) == ("memory", worker_process.MEMORY_MESSAGE)
    assert isinstance(failed.error(), errors.DeviceMemoryError)
    assert isinstance(outcome(client, client.submit(request(tmp_path, "fine"))), protocol.Done)
    assert client.pid != pid


@posix
@pytest.mark.parametrize(("photo", "says"), [("segfault", "SIGSEGV"), ("exit", "code 3: last words")])
def test_a_crashed_worker_is_reported_with_its_last_words(client, tmp_path, photo, says):
    failed = outcome(client, client.submit(request(tmp_path, photo)))
    assert failed.kind == "backend" and says in failed.message and failed.log in failed.message
    assert failed.tail
    assert not client.running and not client.busy


@posix
def test_a_hung_worker_is_ended(make_client, tmp_path):
    client = make_client(silence_seconds=0.5)
    job = client.submit(request(tmp_path, "stubborn"))
    failed = outcome(client, job)
    assert failed.kind == "backend" and "no sign of life" in failed.message


def test_heartbeats_keep_a_silent_job_alive(make_client, tmp_path):
    client = make_client(silence_seconds=protocol.HEARTBEAT_SECONDS + 1.5)
    job = client.submit(request(tmp_path, "slow"))
    with pytest.raises(AssertionError):
        events_until(client, lambda e: isinstance(e, protocol.FINAL), protocol.HEARTBEAT_SECONDS + 2.5)
    client.cancel(job)
    assert isinstance(outcome(client, job), protocol.Cancelled)


def test_a_computer_that_slept_is_no_hung_worker(client, tmp_path):
    job = client.submit(request(tmp_path, "slow"))
    events_until(client, lambda e: isinstance(e, protocol.Progress))
    client._polled_at -= 3600.0
    client.poll()
    assert client.running
    client.cancel(job)
    assert outcome(client, job) == protocol.Cancelled(job) and client.running


def test_stray_prints_go_to_the_log(client, tmp_path):
    assert isinstance(outcome(client, client.submit(request(tmp_path, "prints"))), protocol.Done)
    log = client.log_path.read_text("utf-8")
    for line in ("a stray print", "a stray write", "a stray puts", "a stray child"):
        assert line in log


def test_run_waits_and_raises(client, tmp_path):
    seen = []
    done = client.run(request(tmp_path, "fine"), seen.append)
    assert Path(done.folder).is_dir() and any(isinstance(e, protocol.BodyReady) for e in seen)
    with pytest.raises(errors.NoPersonError, match="Nobody"):
        client.run(request(tmp_path, "no_person"))
    with pytest.raises(errors.Cancelled):
        client.run(request(tmp_path, "slow"), cancelled=lambda: True)
    assert client.run(protocol.CheckBackend("cpu")).report == {"device": "cpu", "pid": client.pid}


def test_a_missing_python_is_named(tmp_path):
    missing = tmp_path / "no such" / "python"
    client = WorkerClient(missing, tmp_path)
    with pytest.raises(errors.BackendError, match="There is no Python at") as caught:
        client.submit(request(tmp_path, "fine"))
    assert str(missing) in str(caught.value) and not client.busy


@posix
def test_a_python_that_cannot_run_is_named(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("not a program")
    broken.chmod(0o755)
    with pytest.raises(errors.BackendError, match="could not be started"):
        WorkerClient(broken, tmp_path / "log").start()


@posix
def test_a_python_that_ends_at_once_is_reported(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho what a pity >&2\nexit 5\n")
    broken.chmod(0o755)
    client = WorkerClient(broken, tmp_path / "log")
    failed = outcome(client, client.submit(request(tmp_path, "fine")))
    assert failed.kind == "backend" and "code 5: what a pity" in failed.message
    assert str(broken) in failed.message
    client.close()


def test_close_ends_jobs_and_process_and_can_be_undone(client, tmp_path):
    job = client.submit(request(tmp_path, "deaf"))
    events_until(client, lambda e: isinstance(e, protocol.Progress))
    process = client._process.popen
    client.close()
    assert process.poll() is not None
    assert client.poll() == [protocol.Cancelled(job)]
    assert isinstance(outcome(client, client.submit(request(tmp_path, "fine"))), protocol.Done)


def test_blenders_python_settings_do_not_reach_the_worker(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/blender/python")
    monkeypatch.setenv("PYTHONPATH", "/blender/scripts")
    environment = worker_process.clean_environment()
    assert [name for name in environment if name.startswith("PYTHON")] == ["PYTHONUTF8"]


def test_old_logs_are_removed(tmp_path):
    for number in range(20):
        (tmp_path / f"worker-2020010{number // 10}-{number:06d}.log").touch()
    (tmp_path / "mine.log").touch()
    client = WorkerClient(sys.executable, tmp_path, arguments=[str(FAKE)])
    client.start()
    assert client.log_path.is_file()
    assert len(list(tmp_path.glob("worker-*.log"))) == worker_process.KEPT_LOGS
    assert (tmp_path / "mine.log").exists()
    client.close()


# --- the death of the parent ----------------------------------------------------------------------------

PARENT = """
import sys, time
sys.path.insert(0, {root!r})
from pamir_blender.worker import protocol
from pamir_blender.worker.client import WorkerClient
client = WorkerClient(sys.executable, {log!r}, arguments=[{fake!r}])
client.submit(protocol.Reconstruct({photo!r}, {out!r}))
while not any(isinstance(e, protocol.Progress) for e in client.poll()):
    time.sleep(0.01)
print(client.pid, flush=True)
{then}
"""


def start_parent(tmp_path, photo, then):
    log, out = tmp_path / "log", tmp_path / "out"
    code = PARENT.format(
        root=str(ROOT), log=str(log), fake=str(FAKE), photo=str(tmp_path / photo), out=str(out), then=then
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    return parent, int(parent.stdout.readline())


@linux
@pytest.mark.parametrize("photo", ["deaf.png", "stubborn.png"])
def test_a_killed_parent_takes_the_worker_with_it(tmp_path, photo):
    parent, pid = start_parent(tmp_path, photo, "time.sleep(60)")
    assert not gone(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_for(lambda: gone(pid), 2.0)


@linux
def test_a_parent_that_just_ends_takes_the_worker_with_it(tmp_path):
    parent, pid = start_parent(tmp_path, "deaf.png", "")
    parent.wait(5)
    parent.stdout.close()
    assert wait_for(lambda: gone(pid), 2.0)


@linux
def test_a_dead_parent_is_noticed_even_while_standard_input_stays_open(tmp_path):
    """The worker's standard input is this test's pipe; only its parent dies."""
    code = (
        f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, {str(FAKE)!r}]);"
        "print(p.pid, file=sys.stderr, flush=True); time.sleep(60)"
    )
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    parent = subprocess.Popen([sys.executable, "-c", code], **pipes)
    pid = int(parent.stderr.readline())
    parent.stdin.write(protocol.encode(protocol.Hello()))
    parent.stdin.flush()
    assert isinstance(protocol.decode_event(parent.stdout.readline()), protocol.Ready)
    parent.kill()
    parent.wait()
    assert wait_for(lambda: gone(pid), 2.0)
    for pipe in (parent.stdin, parent.stdout, parent.stderr):
        pipe.close()
