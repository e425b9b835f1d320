"""The fetching script, against wheels made here; nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path

import pytest

from pamir_blender.photo.model_files import MODEL_FILES, ModelFile

SCRIPT = Path(__file__).resolve().parents[2] / "models" / "fetch_landmark_models.py"
CONTENTS = {"first.tflite": b"first network" * 10, "second.tflite": b"second network" * 20}


@pytest.fixture
def script(monkeypatch):
    """The script as a module that expects two small files instead of the real ones."""
    spec = importlib.util.spec_from_file_location("fetch_landmark_models", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = [
        ModelFile(name, f"package/{name}", len(data), hashlib.sha256(data).hexdigest())
        for name, data in CONTENTS.items()
    ]
    monkeypatch.setattr(module, "MODEL_FILES", tuple(files))
    return module


def wheel(tmp_path: Path, contents: dict[str, bytes]) -> Path:
    path = tmp_path / "package-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(f"package/{name}", data)
    return path


def test_files_are_written_once(script, tmp_path, capsys):
    out = tmp_path / "models"
    source = wheel(tmp_path, CONTENTS)
    assert script.main(["--wheel", str(source), "--out", str(out)]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == CONTENTS
    source.unlink()  # the second run must not need it
    assert script.main(["--wheel", str(source), "--out", str(out)]) == 0
    assert "already right" in capsys.readouterr().out


def test_a_damaged_file_is_replaced(script, tmp_path):
    out = tmp_path / "models"
    out.mkdir()
    (out / "first.tflite").write_bytes(b"x" * len(CONTENTS["first.tflite"]))
    assert script.main(["--wheel", str(wheel(tmp_path, CONTENTS)), "--out", str(out)]) == 0
    assert (out / "first.tflite").read_bytes() == CONTENTS["first.tflite"]


@pytest.mark.parametrize("change", ["content", "size", "missing", "not a wheel", "no such file"])
def test_wrong_wheels_leave_nothing_behind(script, tmp_path, capsys, change):
    contents = dict(CONTENTS)
    if change == "content":
        contents["second.tflite"] = bytes(reversed(contents["second.tflite"]))
    elif change == "size":
        contents["second.tflite"] += b"more"
    elif change == "missing":
        del contents["second.tflite"]
    source = wheel(tmp_path, contents)
    if change == "not a wheel":
        source.write_bytes(b"PK but not really")
    elif change == "no such file":
        source.unlink()
    out = tmp_path / "models"
    assert script.main(["--wheel", str(source), "--out", str(out)]) == 1
    assert "fetch_landmark_models:" in capsys.readouterr().err
    assert not out.exists() or not list(out.iterdir())


def test_an_interrupted_write_leaves_the_old_file(script, tmp_path, monkeypatch):
    path = tmp_path / "first.tflite"
    path.write_bytes(b"old")

    def fail(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(script.Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        script.write_atomically(path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["first.tflite"]
    assert path.read_bytes() == b"old"


def test_the_download_asks_pip_for_the_pinned_wheel_whatever_python_runs(script, tmp_path, monkeypatch):
    commands = []

    def record(command, **_options):
        commands.append(command)
        if "download" in command:
            destination = Path(command[command.index("--dest") + 1])
            destination.mkdir(parents=True)
            wheel(destination, CONTENTS)
        return script.subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(script.subprocess, "run", record)
    written = script.fetch(tmp_path / "models")
    assert [path.name for path in written] == list(CONTENTS)
    download = commands[-1]
    assert download[-1] == "mediapipe==0.10.21"
    assert "--no-deps" in download
    assert download[download.index("--python-version") + 1] == "3.11"


def test_the_real_files_are_pinned():
    assert [file.name for file in MODEL_FILES] == ["pose_detection.tflite", "pose_landmark_full.tflite"]
    for file in MODEL_FILES:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert not file.matches(b"\0" * file.size)
