"""From an asset folder to both networks' weights, by the two commands, on a folder of two small avatars."""

import json

import cv2
import numpy as np

from pamir_blender.camera import Placement
from pamir_blender.contracts import Body
from pamir_blender.errors import PhotoError
from pamir_blender.pamir.weights import (
    load_geometry,
    load_graphcmr,
    load_texture,
    read_card,
    weights_digest,
)
from pamir_blender.training import registration_report, train
from pamir_blender.training.avatars import avatar_list, load_avatar
from pamir_blender.training.evaluation import body_report


def test_the_avatars_are_read_back(assets, subject):
    avatar = load_avatar(avatar_list(assets)[0])
    np.testing.assert_allclose(avatar.vertices, subject.vertices, atol=1e-6)
    np.testing.assert_allclose(avatar.joints, subject.joints, atol=1e-6)
    np.testing.assert_array_equal(avatar.texture, subject.texture)


def test_one_command_makes_both_sets_from_identities_of_their_own(data):
    train_set, val_set = (json.loads((data / split / "data.json").read_text()) for split in ("train", "val"))
    assert (train_set["split"], len(train_set["views"])) == ("train", 2)
    assert (val_set["split"], len(val_set["views"])) == ("val", 2)
    identities = [{view["identity"] for view in one["views"]} for one in (train_set, val_set)]
    assert not identities[0] & identities[1]
    assert list((data / "val" / "meshes").glob("*.npz"))
    assert not list((data / "train" / "meshes").glob("*.npz"))


def test_the_registration_report_names_every_region(data, capsys):
    assert registration_report.main([str(data / "train")]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "train_person" in line]
    assert [row[1].strip() for row in rows] == list(registration_report.REGIONS)
    assert all(float(row[2]) < 25 for row in rows)  # millimetres
    assert registration_report.main([str(data)]) == 2


def test_one_command_trains_both_networks(data, tmp_path):
    words = ["both", "--data", str(data / "train"), "--out", str(tmp_path), "--steps", "2", "--batch", "1"]
    assert train.main([*words, "--points", "200", "--workers", "0", "--device", "cpu"]) == 0
    geometry, texture = (
        tmp_path / "geometry" / "weights.safetensors",
        tmp_path / "texture" / "weights.safetensors",
    )
    assert load_geometry(geometry).config.size == load_texture(texture).config.size == "lite"
    assert read_card(texture)["geometry"] == weights_digest(geometry)
    for path in (geometry, texture):
        card = read_card(path)
        assert card["steps"] == 2
        assert "both" in card["command"]
        assert card["variant"] == "pamir"


def test_graphcmr_trains_on_the_same_data(data, tmp_path):
    words = ["graphcmr", "--data", str(data / "train"), "--out", str(tmp_path), "--batch", "2"]
    words += ["--workers", "0", "--device", "cpu"]
    assert train.main([*words, "--steps", "2"]) == 0
    path = tmp_path / "weights.safetensors"
    assert load_graphcmr(path).config.encoder == "small"
    card = read_card(path)
    assert card["steps"] == 2
    assert np.isfinite(card["validation"]["mpjpe_cm"])
    # Given again with more steps, the same command goes on.
    assert train.main([*words, "--steps", "3"]) == 0
    assert read_card(path)["steps"] == 3


def test_bodies_from_the_pictures_are_compared(data, capsys, monkeypatch):
    """The made-up avatar has no face that the detector would find: photo and first body are given instead."""
    from pamir_blender.training.evaluation.data_set import given_photo

    found = []

    def prepare(path):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        found.append(path.stem)
        if len(found) == 1:
            raise PhotoError("Nobody was found.")
        return given_photo(str(path), picture[..., :3], picture[..., 3] / np.float32(255))

    class TPose:
        name = "landmarks"

        def estimate(self, photo, model, **_):
            placement = Placement(0.42, (0.0, 0.0, 0.0))
            return Body(np.zeros(10, np.float32), np.zeros((24, 3), np.float32), placement, model.name)

    monkeypatch.setattr(body_report, "prepare_photo", prepare)
    monkeypatch.setattr(body_report, "LandmarkEstimator", TPose)
    assert body_report.main([str(data / "val")]) == 0
    told = capsys.readouterr().out
    assert "1 pictures" in told
    assert f"refused {found[0]}: Nobody was found." in told
    error, depth, aligned = (
        float(cell) for cell in told.split("| landmarks |")[1].splitlines()[0].split("|")[:3]
    )
    assert 0 < aligned < error < 100
    assert 0 < depth < error
    assert body_report.main([str(data / "nothing")]) == 2


def test_both_refuses_options_of_one_network(tmp_path, capsys):
    words = ["both", "--data", str(tmp_path), "--out", str(tmp_path), "--steps", "1"]
    assert train.main([*words, "--init", "x.safetensors"]) == 2
    assert "one network" in capsys.readouterr().err
