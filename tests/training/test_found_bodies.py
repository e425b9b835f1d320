"""Bodies that the product finds in a data set's pictures join the estimated ones."""

import shutil

import numpy as np
import pytest

pytest.importorskip("embreex", reason="embreex is not installed (extra 'train')")

from pamir_blender.camera import CropWindow
from pamir_blender.errors import PhotoError
from pamir_blender.training import found_bodies
from pamir_blender.training.box_change import BoxChange
from pamir_blender.training.dataset import ViewDataset
from pamir_blender.training.evaluation.data_set import DataViews
from pamir_blender.training.storage import read_arrays, read_json


@pytest.fixture
def copied(data, tmp_path):
    return shutil.copytree(data / "val", tmp_path / "val")


def true_body(folder, number=0):
    views = DataViews(folder)
    name = views.names()[number]
    body = views.body(name, 0)
    return name, body.vertices, read_arrays(folder / "views" / f"{name}.npz")["parameters"][0]


def add(folder, moved, monkeypatch):
    """Pretend that the front end finds the true body, changed by ``moved``; returns the view's new entry."""
    name, vertices, row = true_body(folder)
    view = next(v for v in read_json(folder / "data.json")["views"] if v["name"] == name)
    monkeypatch.setattr(found_bodies, "find_body", lambda *_: (moved(vertices.copy()), row.copy()))
    finder = found_bodies.make_finder(folder)
    scale = view["scale"]
    subject = (vertices - view["translation"]) @ np.array(view["rotation"]) / scale
    return view, found_bodies.add_to_view(finder, folder, view, subject)


def test_a_found_body_becomes_an_estimate(copied, monkeypatch):
    def bent(vertices):
        vertices[vertices[:, 1] > 0.2] += [0.0, 0.0, 0.05]
        return vertices + np.array([0.0, 0.0, 0.3])  # how far away the person is cannot be seen

    before, entry = add(copied, bent, monkeypatch)
    assert entry["found"]
    assert entry["found_plane_m"] < 0.002
    assert 0.005 < entry["found_depth_m"] < 0.12
    stored = read_arrays(copied / "views" / f"{entry['name']}.npz")
    count = len(before["severity"]) + 1
    assert len(stored["estimates"]) == count
    assert len(stored["parameters"]) == count + 1
    assert len(stored[f"volume{count}"])
    _, again = add(copied, bent, monkeypatch)
    assert len(read_arrays(copied / "views" / f"{again['name']}.npz")["estimates"]) == count
    # Training draws it like the others, and its points follow it in depth.
    data = ViewDataset(copied, true_body_share=0.0, points=64, augment=False)
    shifts = set()
    for epoch in range(30):
        data.set_epoch(epoch)
        sample = data[0]
        shifts.add(round(float((sample["body"] - sample["body_true"])[:, 2].abs().max()), 3))
    assert len(shifts) == count


@pytest.mark.parametrize("move", [[0.2, 0.0, 0.0], None])
def test_a_body_that_is_far_off_is_left_out(copied, move, monkeypatch):
    def wrong(vertices):
        return vertices + move if move else vertices * [1.0, 1.0, -4.0]

    before, entry = add(copied, wrong, monkeypatch)
    assert entry == {**before, "found": False}


def test_the_command_marks_every_view_and_goes_on_where_it_stopped(copied, capsys):
    """With the real front end; whether it sees a person in these dolls does not matter here."""
    before = (copied / "data.json").read_bytes()
    assert found_bodies.main([str(copied), "--workers", "1"]) == 0
    index = read_json(copied / "data.json")
    assert index["split"] == "val"
    assert all(view["found"] in (True, False) for view in index["views"])
    assert "1 posed subjects, 0 already done" in capsys.readouterr().out
    assert found_bodies.main([str(copied), "--workers", "1"]) == 0
    assert "1 already done" in capsys.readouterr().out
    # Killed after the last subject, before the index was written.
    (copied / "data.json").write_bytes(before)
    assert found_bodies.main([str(copied), "--workers", "1"]) == 0
    assert read_json(copied / "data.json") == index


def test_nobody_in_the_picture(copied, monkeypatch):
    def nobody(*_):
        raise PhotoError("There is no person in it.")

    monkeypatch.setattr(found_bodies, "find_body", nobody)
    finder = found_bodies.make_finder(copied)
    view = read_json(copied / "data.json")["views"][0]
    assert found_bodies.add_to_view(finder, copied, view, np.zeros((6890, 3)))["found"] is False


def test_a_folder_without_data_is_refused(tmp_path, capsys):
    assert found_bodies.main([str(tmp_path)]) == 2
    assert "data.json" in capsys.readouterr().err


def test_the_change_of_boxes_goes_both_ways():
    change = BoxChange(CropWindow(1.3, (20.0, -7.0)), 640)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    np.testing.assert_allclose(change.points_back(change.points(points)), points, atol=1e-12)
