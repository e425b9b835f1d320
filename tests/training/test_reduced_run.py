"""From an asset folder to both networks' weights, by the two commands, on a folder of two small avatars."""

import json
import struct

import cv2
import numpy as np
import pytest

from pamir_blender.contracts import JOINT_PARENTS
from pamir_blender.pamir.weights import load_geometry, load_texture, read_card
from pamir_blender.training import make_data, registration_report, train
from pamir_blender.training.avatars import avatar_list, load_avatar

NAMES = [f"bone{number}" for number in range(24)]


def write_glb(path, subject):
    """``subject`` as a skinned glTF binary: one mesh, 24 bones, one picture."""
    strongest = np.argsort(-subject.weights, axis=1)[:, :4]
    weights = np.take_along_axis(subject.weights, strongest, axis=1)
    inverse = np.tile(np.eye(4, dtype=np.float32), (24, 1, 1))
    inverse[:, :3, 3] = -subject.joints
    _, picture = cv2.imencode(".png", subject.texture[..., ::-1])
    arrays = [
        (subject.vertices.astype("<f4"), 5126, "VEC3"),
        (subject.uv.astype("<f4"), 5126, "VEC2"),
        (strongest.astype("<u1"), 5121, "VEC4"),
        ((weights / weights.sum(axis=1, keepdims=True)).astype("<f4"), 5126, "VEC4"),
        (subject.faces.reshape(-1).astype("<u4"), 5125, "SCALAR"),
        (inverse.transpose(0, 2, 1).astype("<f4"), 5126, "MAT4"),
    ]
    binary, views, accessors = b"", [], []
    for values, kind, shape in arrays:
        data = np.ascontiguousarray(values).tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": kind, "count": len(values), "type": shape}
        )
        binary += data + bytes(-len(data) % 4)
    views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(picture)})
    binary += picture.tobytes() + bytes(-len(picture) % 4)
    children = [[k for k, parent in enumerate(JOINT_PARENTS) if parent == j] for j in range(24)]
    bones = [
        {"name": name} | ({"children": below} if below else {})
        for name, below in zip(NAMES, children, strict=True)
    ]
    attributes = {"POSITION": 0, "TEXCOORD_0": 1, "JOINTS_0": 2, "WEIGHTS_0": 3}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "images": [{"bufferView": 6, "mimeType": "image/png"}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "meshes": [
            {
                "name": "body",
                "primitives": [{"attributes": attributes, "indices": 4, "material": 0}],
            }
        ],
        "skins": [{"joints": list(range(24)), "inverseBindMatrices": 5}],
        "nodes": [*bones, {"name": "body", "mesh": 0, "skin": 0}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\x00") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


@pytest.fixture(scope="module")
def assets(tmp_path_factory, subject):
    """An asset folder with one avatar to train on and one to measure."""
    folder = tmp_path_factory.mktemp("assets")
    (folder / "valid").mkdir()
    entries = []
    for split in ("train", "val"):
        write_glb(folder / "valid" / f"{split}_person.glb", subject)
        name = f"{split}_person"
        entries.append(
            {"name": name, "identity": name, "outfit": "plain", "split": split, "file": f"{name}.glb"}
        )
    manifest = {"smpl24": {name: name for name in NAMES}, "avatars": entries}
    (folder / "valid" / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def data(assets, tmp_path_factory):
    """The data command's output: two views to train on, two to measure."""
    from pamir_blender.training.rendering import Renderer

    try:
        with Renderer():
            pass
    except Exception as error:  # no EGL driver on this machine
        pytest.skip(f"no off-screen OpenGL here: {error}")
    out = tmp_path_factory.mktemp("made")
    words = ["--assets", str(assets), "--out", str(out), "--poses", "1", "--yaws", "2", "--workers", "1"]
    assert make_data.main([*words, "--garments", "1"]) == 0
    return out


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
    for path in (geometry, texture):
        card = read_card(path)
        assert card["steps"] == 2
        assert "both" in card["command"]
        assert card["variant"] == "pamir"


def test_both_refuses_options_of_one_network(tmp_path, capsys):
    words = ["both", "--data", str(tmp_path), "--out", str(tmp_path), "--steps", "1"]
    assert train.main([*words, "--init", "x.safetensors"]) == 2
    assert "one network" in capsys.readouterr().err
