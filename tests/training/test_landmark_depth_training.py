"""What puts the detector's depths right is learned from pictures of known bodies."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import safe_open

pytest.importorskip("embreex", reason="embreex is not installed (extra 'train')")

from pamir_blender.body.confidence import landmark_positions
from pamir_blender.body.landmark_depth import load_landmark_depth
from pamir_blender.body.landmarks import load_landmark_model
from pamir_blender.errors import PhotoError, RequestError
from pamir_blender.training import train_landmark_depth as module
from pamir_blender.training.body_parameters import unpack_parameters
from pamir_blender.training.storage import read_arrays, read_json


def answers(count, seed=0):
    """Examples of a detector that sees all wrists too near, and the elbows of spread arms too far."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 0.3, (count, 33, 3))
    true -= true[:, 23:25].mean(axis=1, keepdims=True)
    world = true.copy()
    world[:, 15:17, 2] += 0.12
    world[:, 13:15, 2] -= 0.4 * np.abs(true[:, 13:15, 0])
    flat = true[..., :2] * [100, -100] + 256
    seen = np.ones((count, 33))
    rows = {"image": flat, "world": world, "true": true, "visibility": seen, "spread": seen * 0.02}
    names = np.array([f"one_{index:04d}_00" for index in range(count)])
    names = {"name": names, "key": names, "found": np.ones(count, bool)}
    return names | {k: v.astype(np.float32) for k, v in rows.items()}


@pytest.fixture(scope="module")
def landmarks(body_model):
    plain = load_landmark_model(body_model, depth=None)
    plain.hunch.zero_()  # these detections have none
    return plain


def test_errors_that_the_landmarks_tell_are_learned(landmarks):
    features, _, lacking = module.prepare(answers(600), landmarks)
    network = module.train(features, lacking, steps=400, seed=0)
    unseen = answers(60, seed=1)
    before, after = (module.depth_error(unseen, landmarks, each) for each in (None, network))
    assert before > 3.0
    assert after < 0.5 * before


def test_the_same_seed_gives_the_same_network(landmarks):
    features, _, lacking = module.prepare(answers(40), landmarks)
    first, same, other = (module.train(features, lacking, steps=5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.layers[0][0], same.layers[0][0])
    assert np.abs(first.layers[0][0] - other.layers[0][0]).max() > 0


def test_a_camera_turned_about_its_axis_turns_picture_and_metres_alike(landmarks):
    features, world, _ = module.prepare(answers(3), landmarks)
    turned = module._rolled(np.random.default_rng(0), features)
    flat, metres = turned[:, :66].reshape(3, 33, 2), turned[:, 66:165].reshape(3, 33, 3)
    assert np.abs(turned - features).max() > 0.005
    np.testing.assert_allclose(flat, metres[..., :2], atol=1e-3)  # they agreed before
    np.testing.assert_array_equal(metres[..., 2], world[..., 2])
    np.testing.assert_allclose(np.linalg.norm(metres, axis=2), np.linalg.norm(world, axis=2))
    np.testing.assert_array_equal(turned[:, 165:], features[:, 165:])


def test_true_landmarks_are_those_of_the_true_body(data, landmarks, body_model, monkeypatch):
    folder = data / "train"
    name = read_json(folder / "data.json")["views"][0]["name"]

    def prepared(path):
        assert path == folder / "views" / f"{name}.png"
        flat, deep = np.full((33, 2), 7, np.float32), np.full((33, 3), 8, np.float32)
        return SimpleNamespace(
            landmarks=SimpleNamespace(image=flat, world=deep, visibility=deep[:, 0], spread=None)
        )

    monkeypatch.setattr(module, "prepare_photo", prepared)
    monkeypatch.setattr(module, "end_with_parent", lambda: None)  # this process has none
    monkeypatch.setattr(module, "_worker", None)
    module._start(folder)
    row = module._detect(name)
    body = unpack_parameters(read_arrays(folder / "views" / f"{name}.npz")["parameters"][0], "open")
    true = landmark_positions(body_model, landmarks, body)
    assert row["found"] and row["image"][0, 0] == 7 and row["world"][0, 0] == 8
    np.testing.assert_allclose(row["true"], true - true[23:25].mean(axis=0), atol=1e-4)

    def refused(path):
        raise PhotoError("nobody")

    monkeypatch.setattr(module, "prepare_photo", refused)
    assert not module._detect(name)["found"]


@pytest.fixture
def detected(data, tmp_path, monkeypatch):
    """Two data folders whose pictures were looked at before; more of them cannot be."""
    monkeypatch.setattr(module, "each_in_processes", lambda *_: pytest.fail("a picture was read again"))
    folders = []
    for split in ("train", "val"):
        folder = shutil.copytree(data / split, tmp_path / split)
        names = [view["name"] for view in read_json(folder / "data.json")["views"]]
        examples = answers(max(len(names), 30), seed=len(folders))
        # Names of views that the index lacks: what was detected stays, but only the index's views count.
        examples["name"] = np.array([*names, *(f"gone_{k}" for k in range(30 - len(names)))])
        keys = [module._key(folder / "views" / f"{name}.npz") for name in names]
        examples["key"] = np.array([*keys, *(f"gone_{k}" for k in range(30 - len(names)))])
        np.savez(folder / module.CACHE, **examples)
        folders.append(folder)
    return folders


def test_pictures_are_looked_at_once(detected):
    found = module.find_landmarks(detected[0], 1)
    assert sorted(found["name"]) == sorted(v["name"] for v in read_json(detected[0] / "data.json")["views"])


def test_an_interrupted_run_goes_on_and_a_picture_made_again_is_read_again(data, tmp_path, monkeypatch):
    folder = shutil.copytree(data / "train", tmp_path / "again")
    names = [view["name"] for view in read_json(folder / "data.json")["views"]]
    asked, one = [], {key: values[0] for key, values in answers(1).items()}

    def serially(_task, waiting, *_, stop=None):
        for name in waiting:
            if len(asked) == stop:
                raise PhotoError("interrupted")
            asked.append(name)
            key = module._key(folder / "views" / f"{name}.npz")
            yield {**one, "name": np.array(name), "key": np.array(key)}

    monkeypatch.setattr(module, "SAVE_EVERY", 1)
    monkeypatch.setattr(module, "each_in_processes", lambda *words: serially(*words, stop=1))
    with pytest.raises(PhotoError, match="interrupted"):
        module.find_landmarks(folder, 1)
    monkeypatch.setattr(module, "each_in_processes", serially)
    found = module.find_landmarks(folder, 1)
    assert sorted(asked) == sorted(found["name"]) == sorted(names)
    with (folder / "views" / f"{names[0]}.png").open("ab") as stream:
        stream.write(b"again")
    assert len(module.find_landmarks(folder, 1)["name"]) == len(names)
    assert asked[len(names) :] == [names[0]]


def test_people_that_the_detector_lost_teach_nothing(landmarks):
    examples = answers(30)
    examples["world"][7, :, 0] += 0.5
    features, world, lacking = module.prepare(examples, landmarks)
    assert len(features) == len(world) == len(lacking) == 29


def test_a_place_that_cannot_be_written_is_named(landmarks, tmp_path):
    features, _, lacking = module.prepare(answers(30), landmarks)
    network = module.train(features, lacking, steps=1, seed=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="could not be written"):
        module.save(tmp_path / "file" / "depth.safetensors", network, {})


def test_too_few_people_are_refused(detected, tmp_path, capsys):
    assert module.main(["--data", str(detected[0]), "--out", str(tmp_path / "x.safetensors")]) == 2
    assert "too few people" in capsys.readouterr().err


def test_one_command_writes_a_file_that_loads(detected, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "find_landmarks", lambda folder, *_: answers(60, len(folder.name)))
    out = tmp_path / "depth.safetensors"
    words = ["--data", str(detected[0]), "--val", str(detected[1]), "--held-out", "0.2", "--steps", "20"]
    assert module.main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("trained on", "held out", "val"))
    load_landmark_depth(out)
    with safe_open(str(out), framework="numpy") as file:
        card = json.loads(file.metadata()["card"])
    assert 40 < card["pictures"] < 60 and card["steps"] == 20
