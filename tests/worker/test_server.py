"""The server by hand: raw lines in, raw lines out."""

import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from pamir_blender import errors
from pamir_blender.worker import protocol, server, streams

FAKE = Path(__file__).with_name("fake_worker.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def worker(tmp_path):
    with (tmp_path / "log").open("a+b") as log:
        process = subprocess.Popen(
            [sys.executable, str(FAKE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def tell(worker, line):
    worker.stdin.write(line)
    worker.stdin.flush()


def hear(worker):
    """The next event that is no heartbeat."""
    while True:
        event = protocol.decode_event(worker.stdout.readline())
        if not isinstance(event, protocol.Heartbeat):
            return event


def test_garbage_is_rejected_and_the_worker_goes_on(worker):
    tell(worker, b"garbage\n\n\xff\xfe\n[]\n")
    tell(worker, b'{"protocol": 2, "type": "Regret"}\n')
    tell(worker, b"x" * (3 * protocol.MAX_LINE) + b"\n")
    for says in ("JSON", "JSON", "object", "Regret", "bytes"):
        event = hear(worker)
        assert isinstance(event, protocol.Rejected) and says in event.reason
    tell(worker, protocol.encode(protocol.Hello()))
    assert hear(worker).pid == worker.pid


def test_a_bad_request_that_names_its_job_fails_that_job(worker):
    tell(worker, b'{"protocol": 2, "type": "Reconstruct", "job": "abc", "photo": "relative", "out": "/o"}\n')
    event = hear(worker)
    assert (type(event), event.job, event.kind) == (protocol.Failed, "abc", "request")


def test_a_job_submitted_twice_is_rejected_once(worker, tmp_path):
    line = protocol.encode(protocol.Reconstruct(str(tmp_path / "slow.png"), str(tmp_path / "out"), job="abc"))
    tell(worker, line)
    assert isinstance(hear(worker), protocol.Progress)
    tell(worker, line)
    assert "under way" in hear(worker).reason
    tell(worker, protocol.encode(protocol.Cancel("abc")))
    assert hear(worker) == protocol.Cancelled("abc")


def test_too_many_waiting_jobs_are_refused(worker, tmp_path):
    for number in range(server.MAX_WAITING + 2):
        photo = str(tmp_path / "slow.png")
        tell(worker, protocol.encode(protocol.Reconstruct(photo, str(tmp_path / "o"), job=f"job{number}")))
    event = hear(worker)
    while isinstance(event, protocol.Progress):
        event = hear(worker)
    assert event.kind == "request" and event.job == f"job{server.MAX_WAITING + 1}"


BODY = protocol.BodyState.from_arrays(
    [[0.0] * 3] * 24,
    [0.0] * 10,
    scale=0.4,
    translation=(0.0, 0.1, 0.0),
    frame_scale=0.4,
    frame_origin=(0.0, -0.4, 0.0),
)


def final(worker, job):
    while True:
        event = hear(worker)
        if isinstance(event, protocol.FINAL) and event.job == job:
            return event


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        (protocol.Reconstruct, {"optimise": 7}),
        (protocol.Regenerate, {"body": BODY, "edited": ("neck",), "optimise": 3, "preview": True}),
        (protocol.Suggest, {"body": BODY, "edited": ("neck",), "count": 2}),
    ],
)
def test_each_kind_of_job_reaches_its_own_task(worker, tmp_path, kind, extra):
    request = kind(str(tmp_path / "fine.png"), str(tmp_path / "out"), resolution=96, **extra)
    tell(worker, protocol.encode(request))
    done = final(worker, request.job)
    *_, options, task = ast.literal_eval((Path(done.folder) / "answer.txt").read_text("utf-8"))
    assert task == kind.__name__.lower()
    assert options == {name: value for name, value in asdict(request).items() if name in options}
    assert set(extra) <= set(options)


def test_a_new_job_supersedes_the_one_that_is_cancelled(worker, tmp_path):
    """What live preview does at each change: cancel and ask anew in one breath, on one warm backend."""
    old = protocol.Regenerate(str(tmp_path / "slow.png"), str(tmp_path / "old"), body=BODY, preview=True)
    tell(worker, protocol.encode(old))
    assert isinstance(hear(worker), protocol.Progress)
    new = protocol.Regenerate(str(tmp_path / "fine.png"), str(tmp_path / "new"), body=BODY, preview=True)
    tell(worker, protocol.encode(protocol.Cancel(old.job)) + protocol.encode(new))
    assert isinstance(final(worker, old.job), protocol.Cancelled)
    done = final(worker, new.job)
    pid, jobs, *_ = ast.literal_eval((Path(done.folder) / "answer.txt").read_text("utf-8"))
    assert (pid, jobs) == (worker.pid, 2)
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize("ending", ["end of file", "shutdown"])
def test_it_ends_at_once_whatever_it_computes(worker, tmp_path, ending):
    tell(worker, protocol.encode(protocol.Reconstruct(str(tmp_path / "deaf.png"), str(tmp_path / "out"))))
    assert isinstance(hear(worker), protocol.Progress)
    if ending == "shutdown":
        tell(worker, protocol.encode(protocol.Shutdown()))
    else:
        worker.stdin.close()
    assert worker.wait(1.0) == 0


def test_heartbeats_name_the_job(worker, tmp_path):
    photo = str(tmp_path / "deaf.png")
    tell(worker, protocol.encode(protocol.Reconstruct(photo, str(tmp_path / "out"), job="abc")))
    hear(worker)
    assert protocol.decode_event(worker.stdout.readline()) == protocol.Heartbeat("abc")


def test_errors_keep_their_kind():
    original = errors.WeightsError("wrong hash")
    assert server.as_pamir_error(original) is original
    assert server.as_pamir_error(MemoryError()).kind == "memory"
    assert server.as_pamir_error(RuntimeError("std::bad_alloc")).kind == "memory"
    assert server.as_pamir_error(PermissionError(13, "Permission denied", "/x")).kind == "result"
    assert server.as_pamir_error(KeyError("x")).kind == "error"


def test_a_log_that_outgrows_its_limit_keeps_its_end(tmp_path):
    path = tmp_path / "log"
    with path.open("a+b") as log:
        log.write(b"".join(b"line %d\n" % i for i in range(1000)))
        log.flush()
        streams.bound_log(log.fileno(), limit=2000)
        log.write(b"and on\n")
    lines = path.read_bytes().splitlines()
    assert path.stat().st_size < 1100
    assert lines[0] == b"[earlier lines were dropped]" and lines[-2:] == [b"line 999", b"and on"]
    assert lines[1].startswith(b"line ")


def test_lines_are_bounded_and_none_is_lost():
    reading, writing = os.pipe()
    os.write(writing, b"one\n\n  \n" + b"x" * 50 + b"\ntwo\nunfinished")
    os.close(writing)
    reader = streams.LineReader(reading, limit=20)
    assert [reader.read() for _ in range(4)] == [b"one", None, b"two", b""]
    os.close(reading)


# --- the real entry points ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["module", "launcher", "extension"])
def test_every_way_in_leads_to_this_package(tmp_path, how):
    """Started from elsewhere, with a package of the same name and one called torch in the way."""
    for name in ("pamir_blender", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    package = ROOT / "pamir_blender"
    if how == "extension":  # under another name, among other people's add-ons
        package = tmp_path / "pamir (älter)"
        shutil.copytree(ROOT / "pamir_blender" / "worker", package / "worker")
        for name in ("__init__.py", "errors.py", "body_state.py"):
            shutil.copy(ROOT / "pamir_blender" / name, package / name)
    launcher = package / "worker" / "launch.py"
    command = ["-m", "pamir_blender.worker"] if how == "module" else [str(launcher)]
    folder = ROOT if how == "module" else tmp_path
    done = subprocess.run(
        [sys.executable, *command],
        input=protocol.encode(protocol.Hello()) + protocol.encode(protocol.Shutdown()),
        capture_output=True,
        cwd=folder,
        timeout=20,
    )
    (line,) = done.stdout.splitlines()
    assert isinstance(protocol.decode_event(line), protocol.Ready), done.stderr


def test_a_report_is_json_even_when_libraries_print(tmp_path):
    code = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); from types import SimpleNamespace as N;"
        "from pamir_blender.worker import server;"
        "check = lambda device: (print('noise'), os.write(1, b'more noise'), {'device': device})[2];"
        "sys.exit(server.print_report(lambda: N(check_backend=check), 'cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20)
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["device"] == "cpu" and "torch" in report["versions"]
    assert b"more noise" in done.stderr


def test_a_backend_that_is_incomplete_is_reported(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pamir_blender.worker import server;"
        "import importlib; load = lambda: importlib.import_module('a_package_nobody_has');"
        "sys.exit(server.print_report(load, 'cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["error"]["kind"] == "backend"
    assert "a_package_nobody_has" in report["error"]["message"]
