"""The result folder appears whole or not at all."""

import json

import numpy as np
import pytest

from pamir_blender import result
from pamir_blender.errors import ResultError


def test_appears_only_at_the_end(tmp_path):
    out = tmp_path / "a b" / "résultat"
    with result.whole_folder(out) as partial:
        result.write_json(partial, {"x": 1})
        assert not out.exists()
    assert json.loads((out / "result.json").read_text())["x"] == 1
    assert [p.name for p in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("place", ["out", "new/folders/out"])
def test_failure_leaves_nothing(tmp_path, place):
    with pytest.raises(ValueError, match="boom"), result.whole_folder(tmp_path / place) as partial:
        (partial / "half").write_text("x")
        raise ValueError("boom")
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_earlier_result(tmp_path):
    out = tmp_path / "out"
    with result.whole_folder(out) as partial:
        result.write_json(partial, {"run": 1})
    with pytest.raises(ValueError, match="boom"), result.whole_folder(out):
        raise ValueError("boom")
    assert json.loads((out / "result.json").read_text())["run"] == 1
    with result.whole_folder(out) as partial:
        result.write_json(partial, {"run": 2})
    assert json.loads((out / "result.json").read_text())["run"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_foreign_folder_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ResultError, match="not an earlier result"), result.whole_folder(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_file_in_the_way_is_reported(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResultError), result.whole_folder(tmp_path / "file" / "out"):
        pass


def test_scene_refuses_what_is_not_finite(tmp_path):
    with pytest.raises(ResultError, match="pose"):
        result.write_scene(tmp_path, {"pose": np.array([np.nan])})
    result.write_scene(tmp_path, {"pose": np.zeros((24, 3)), "faces": np.zeros((2, 3), np.int32)})
    with np.load(tmp_path / "scene.npz", allow_pickle=False) as scene:
        assert scene["pose"].dtype == np.float32
        assert scene["faces"].dtype == np.int32


def test_what_a_killed_job_left_is_swept(tmp_path):
    leftover = tmp_path / ".out.0123abcd.partial"
    leftover.mkdir()
    (tmp_path / ".other.0123abcd.partial").mkdir()
    with result.whole_folder(tmp_path / "out") as partial:
        result.write_json(partial, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.0123abcd.partial", "out"]
