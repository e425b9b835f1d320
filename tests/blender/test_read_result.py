"""Result folders that are incomplete, damaged or hostile."""

import io
import json
import zipfile

import bpy
import numpy as np
import pytest
import synthetic_person as person

from pamir_blender.addon.scene.read_result import read_result
from pamir_blender.errors import ResultError


def test_a_whole_result_reads(result_folder, arrays):
    result = read_result(result_folder)
    assert result.body.pose == pytest.approx(arrays["pose"])
    assert result.clothed.texture == result_folder / "texture.png"
    assert result.camera.resolution == person.PHOTO_SIZE
    assert result.camera.ortho_scale == pytest.approx(2.4)


def _nan(arrays):
    arrays["joints_rest"][3, 1] = np.nan


def _far(arrays):
    arrays["clothed_vertices_rest"][0] = 1e9


def _outside(arrays):
    arrays["clothed_faces"][0, 0] = 10**6


def _negative(arrays):
    arrays["body_faces"][0, 0] = -1


def _missing(arrays):
    del arrays["body_weights"]


def _shape(arrays):
    arrays["pose"] = arrays["pose"][:20]


def _joint(arrays):
    arrays["body_weights_indices"][0, 0] = 24


def _unweighted(arrays):
    arrays["clothed_weights"][5] = 0


def _text(arrays):
    arrays["betas"] = np.array(["a"] * 10)


def _float_faces(arrays):
    arrays["body_faces"] = arrays["body_faces"].astype(np.float32)


def _camera(arrays):
    arrays["camera_ortho_scale"] = np.float32(0)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_nan, "joints_rest"), (_far, "clothed_vertices_rest"), (_outside, "clothed_faces"),
        (_negative, "body_faces"), (_missing, "lacks the array body_weights"),
        (_shape, r"pose in shape \(20, 3\)"),
        (_joint, "body_weights_indices"), (_unweighted, "clothed_weights"), (_text, "no numbers in betas"),
        (_float_faces, "no indices in body_faces"), (_camera, "camera"),
    ],
)  # fmt: skip
def test_damaged_arrays_are_refused_by_name(tmp_path, arrays, damage, words):
    damage(arrays)
    folder = person.write_folder(tmp_path / "r", arrays, "x.png")
    with pytest.raises(ResultError, match=words) as caught:
        read_result(folder)
    assert "scene.npz" in str(caught.value)


def _replace(folder, name, content):
    """Rewrite scene.npz with one member's raw bytes replaced."""
    path = folder / "scene.npz"
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    members[f"{name}.npy"] = content
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def test_pickles_are_never_opened(result_folder, tmp_path):
    witness = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (witness.write_text, ("!",))

    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    _replace(result_folder, "betas", buffer.getvalue())
    with pytest.raises(ResultError, match="betas"):
        read_result(result_folder)
    assert not witness.exists()


def test_a_header_that_promises_terabytes_takes_no_memory(result_folder):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)}
    )
    _replace(result_folder, "body_template", buffer.getvalue() + b"\0" * 64)
    with pytest.raises(ResultError, match="body_template"):
        read_result(result_folder)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"rubbish" * 99, b"\x93NUMPY\x03\x00" + b"\0" * 20])
def test_rubbish_in_place_of_an_array_is_refused(result_folder, content):
    _replace(result_folder, "pose", content)
    with pytest.raises(ResultError, match="pose"):
        read_result(result_folder)


def test_a_truncated_archive_is_refused(result_folder):
    path = result_folder / "scene.npz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ResultError, match="damaged"):
        read_result(result_folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', "{" * 5000, "\0", json.dumps({"format": 1, "photo": 3}) + "x"]
)
def test_a_bad_result_json_is_refused(result_folder, text):
    (result_folder / "result.json").write_text(text)
    with pytest.raises(ResultError, match=r"result\.json"):
        read_result(result_folder)


def test_odd_values_in_result_json_are_bounded_not_believed(result_folder):
    data = json.loads((result_folder / "result.json").read_text())
    data["body"]["confidence"] = {"torso": 7, "head": "high", "tail": 1, "left_arm": True}
    data["photo"] = {"path": ["x"], "warnings": [1, "true warning", {}]}
    data["silhouette_iou"] = "good"
    (result_folder / "result.json").write_text(json.dumps(data))
    info = read_result(result_folder).info
    assert info.confidence == {"torso": 1.0}
    assert info.warnings == ("true warning",)
    assert info.photo == "" and info.silhouette_iou is None


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ResultError, match="nowhere"):
        read_result(tmp_path / "nowhere")


def test_importing_a_bad_folder_changes_nothing(addon, snapshot, result_folder):
    before = snapshot()
    (result_folder / "texture.png").write_bytes(b"no picture")
    with pytest.raises(RuntimeError, match=r"texture\.png"):
        bpy.ops.pamir.import_result(directory=str(result_folder))
    assert snapshot() == before


def test_importing_a_good_folder_selects_its_armature(addon, result_folder):
    assert bpy.ops.pamir.import_result(directory=str(result_folder)) == {"FINISHED"}
    assert bpy.context.active_object["pamir_role"] == "armature"
