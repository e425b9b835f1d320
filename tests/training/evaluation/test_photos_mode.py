"""A folder of photos through a pipeline that does what the photo's name says."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("igl", reason="libigl is not installed (extra 'train')")

from pamir_blender import cli, pipeline
from pamir_blender.errors import BackendError, NoPersonError, ResultError


class Pipeline:
    made: list = []

    def __init__(self, device="auto"):
        pass

    def reconstruct(self, options, out):
        name = options.photo.rsplit("/", 1)[-1]
        self.made.append(name)
        if name.startswith("nobody"):
            raise NoPersonError(f"Nobody was found in\n{name}.")
        if name.startswith("crash"):
            raise BackendError("The backend is gone.")
        if name.startswith("full"):
            raise ResultError("The disk is full.")
        out.mkdir(parents=True)
        value = float(name.removesuffix(".png").split("_")[1]) / 100
        report = {
            "silhouette_iou": value,
            "photo": {"warnings": ["The left arm was guessed."]},
            "timings": {},
        }
        (out / "result.json").write_text(json.dumps(report))
        Image.fromarray(np.full((64, 256, 3), 90, np.uint8)).save(out / "preview.png")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "Backend", Pipeline)
    Pipeline.made = []
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()

    def go(*names, words=()):
        for name in names:
            # Every name a picture of its own: one that was seen before is not made again.
            colour = np.frombuffer(hashlib.sha256(name.encode()).digest()[:3], np.uint8)
            Image.fromarray(np.broadcast_to(colour, (40, 40, 3)).copy()).save(folder / name)
        code = cli.main(["evaluate", "--photos", str(folder), "--out", str(out), *words])
        return code, out

    return go


def test_every_photo_is_reconstructed_or_refused_with_its_reason(run):
    code, out = run("a_95.png", "b_85.png", "nobody.png")
    assert code == 0
    report = json.loads((out / "photos.json").read_text())
    assert [(row["photo"], row["ok"]) for row in report["rows"]] == [
        ("a_95.png", True), ("b_85.png", True), ("nobody.png", False),
    ]  # fmt: skip
    assert report["rows"][2]["reason"] == "Nobody was found in nobody.png."
    text = (out / "photos.md").read_text()
    assert text.index("b_85.png") < text.index("a_95.png")
    with Image.open(out / "photos.png") as sheet:
        assert sheet.size == (1024, 22 + 2 * (22 + 256))


def test_photos_are_made_once(run):
    run("a_95.png")
    run("b_85.png")
    assert Pipeline.made == ["a_95.png", "b_85.png"]
    run(words=["--fresh"])
    assert Pipeline.made[2:] == ["a_95.png", "b_85.png"]


def test_the_same_photo_under_two_names_is_made_once(run):
    _code, out = run("a_95.png")
    photos = out.parent / "photos"
    (photos / "again.png").write_bytes((photos / "a_95.png").read_bytes())
    run()
    assert Pipeline.made == ["a_95.png"]
    rows = json.loads((out / "photos.json").read_text())["rows"]
    assert [(row["photo"], row["silhouette_iou"]) for row in rows] == [
        ("a_95.png", 0.95),
        ("again.png", 0.95),
    ]


def test_what_would_stop_every_photo_stops_the_command(run, capsys):
    code, out = run("crash.png")
    assert code == cli.FAILED
    assert "The backend is gone." in capsys.readouterr().err
    assert not (out / "photos.md").exists()


def test_a_full_disk_is_not_remembered_as_a_refusal(run, capsys):
    code, out = run("full.png", "a_95.png")
    assert code != 0
    assert "The disk is full." in capsys.readouterr().err
    (out.parent / "photos" / "full.png").rename(out.parent / "photos" / "b_85.png")
    assert run()[0] == 0
    rows = json.loads((out / "photos.json").read_text())["rows"]
    assert all(row["ok"] for row in rows)


def test_folders_without_photos_are_refused(run, capsys):
    assert run()[0] == 2
    assert "holds no photo" in capsys.readouterr().err


def test_photos_come_as_users_get_them(run, capsys):
    assert run("a_90.png", words=["--plain"])[0] == 2
    assert "--plain is for measuring" in capsys.readouterr().err
