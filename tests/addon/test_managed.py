"""An environment that the add-on makes: real venv and pip, an index of tiny wheels on the disk."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_wheels import write_wheel

from pamir_blender.addon.backend import managed, task
from pamir_blender.addon.backend.command_line import run_lines
from pamir_blender.addon.backend.places import python_of
from pamir_blender.addon.backend.unpack import partial_folder
from pamir_blender.errors import BackendError, Cancelled, RequestError


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    write_wheel(folder, "torch", {"torch.py": "name = 'tiny torch'"})
    write_wheel(folder, "helper", {"helper.py": "x = 1"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(managed, "requirements", lambda: ["torch==1.0", "helper"])
    monkeypatch.setitem(managed.CHOICES, "cpu", managed.Choice("Processor", 1, 1))
    return folder


def create(tmp_path, **options):
    told = []
    target = tmp_path / "user" / "backend"
    given = {"cancelled": lambda: False, "log": tmp_path / "user/logs/setup.log", **options}
    managed.create(
        Path(sys.executable), target, "cpu", lambda fraction, text: told.append((fraction, text)), **given
    )
    return target, told


def test_the_environment_has_what_was_asked_for_and_nothing_partial_is_left(index, tmp_path):
    checked = []
    target, told = create(tmp_path, check=checked.append)
    code = "import torch, helper; print(torch.name)"
    done = subprocess.run([python_of(target), "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "tiny torch", done.stderr
    assert checked == [python_of(partial_folder(target))] and not partial_folder(target).exists()
    texts = [text for _, text in told]
    assert texts[0] == "Making an environment" and "Installing packages" in texts
    assert "torch==1.0" in (tmp_path / "user/logs/setup.log").read_text("utf-8")


def test_a_failed_try_is_explained_and_the_next_one_goes_on(index, tmp_path):
    (index / "helper-1.0-py3-none-any.whl").rename(tmp_path / "helper-1.0-py3-none-any.whl")
    with pytest.raises(
        BackendError, match=r"Getting packages failed: ERROR: No matching distribution.*helper"
    ):
        create(tmp_path)
    target = tmp_path / "user" / "backend"
    assert not target.exists() and python_of(partial_folder(target)).is_file()
    (tmp_path / "helper-1.0-py3-none-any.whl").rename(index / "helper-1.0-py3-none-any.whl")
    _, told = create(tmp_path)
    assert "Making an environment" not in [text for _, text in told]


def test_a_backend_that_does_not_start_does_not_replace_the_one_that_does(index, tmp_path):
    working = tmp_path / "user" / "backend" / "works"
    working.parent.mkdir(parents=True)
    working.touch()

    def refuse(python):
        raise BackendError("does not start")

    with pytest.raises(BackendError, match="does not start"):
        create(tmp_path, check=refuse)
    assert working.is_file()


def test_a_python_without_pip_and_venv_says_what_to_install(tmp_path, monkeypatch):
    bare = tmp_path / "python3"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setattr(managed.shutil, "which", lambda name: None)
    monkeypatch.setitem(managed.CHOICES, "cpu", managed.Choice("Processor", 1, 1))
    with pytest.raises(BackendError, match="sudo apt install python3"):
        managed.create(
            bare, tmp_path / "backend", "cpu", lambda *_: None, lambda: False, tmp_path / "logs" / "log"
        )


def test_cancelling_ends_the_program_and_what_it_started(tmp_path):
    file = tmp_path / "ticks"
    child = f"import time\nwhile True: open({str(file)!r}, 'a').write('x'); time.sleep(0.01)"
    command = [
        sys.executable,
        "-c",
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])",
    ]
    with pytest.raises(Cancelled):
        run_lines(command, lambda line: None, file.exists)
    time.sleep(0.1)
    size = file.stat().st_size
    time.sleep(0.3)
    assert file.stat().st_size == size


def test_what_pip_says_becomes_progress(tmp_path):
    told = []
    steps = managed._Steps(lambda fraction, text: told.append((fraction, text)), bool, tmp_path / "log", 200)
    for line in (
        "Downloading https://x/torch-2-cp311.whl (100 B)",
        "Progress 50 of 100",
        "Progress 100 of 100",
    ):
        steps._hear(line)
    steps._hear("Downloading numpy-2-cp311.whl (100 B)")
    steps._hear("Progress 50 of 100")
    assert [round(fraction, 3) for fraction, _ in told] == [0.02, 0.245, 0.47, 0.47, 0.695]
    assert told[1][1].startswith("Fetching torch")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ConnectionError: HTTPSConnectionPool: Max retries exceeded", "cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: something else", "something else"),
    ],
)
def test_complaints_are_readable(tmp_path, said, expected):
    assert expected in managed._complaint("Getting torch", ["noise", said], tmp_path / "log")


def test_smplx_is_never_asked_for():
    names = {managed.package_name(line) for line in managed.requirements()}
    assert "torch" in names and "smplx" not in names


def test_torch_comes_from_the_index_that_has_this_build(monkeypatch):
    monkeypatch.delenv("PAMIR_TORCH_INDEX", raising=False)
    assert managed.torch_source("cuda", "linux") == managed.torch_source("cpu", "win32") == []
    assert managed.torch_source("cpu", "linux")[1].endswith("/cpu")
    assert "/cu" in managed.torch_source("cuda", "win32")[1]
    monkeypatch.setenv("PAMIR_TORCH_INDEX", "https://mirror")
    assert managed.torch_source("cpu", "linux") == ["--index-url", "https://mirror"]


def test_one_set_up_at_a_time_and_its_failure_is_kept():
    def work(setup):
        while not setup.cancelled():
            setup.progress(0.5, "half")
            time.sleep(0.01)
        raise BackendError("the disk is full")

    first = task.start(task.SetupTask("one", work))
    with pytest.raises(RequestError):
        task.start(task.SetupTask("two", work))
    assert task.running() is first and task.failure() == ""
    first.cancel()
    first.join(5)
    assert task.running() is None and task.failure() == "the disk is full"
    task.forget()
    assert task.failure() == "" and task.latest() is None
