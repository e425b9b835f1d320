"""Body models made to break the reader: bombs, objects, indices from the wrong side."""

import struct
import zipfile

import numpy as np
import pytest

from pamir_blender.body import load
from pamir_blender.body.load import OPEN_BODY, load_body_model
from pamir_blender.body.smpl_pickle import read_smpl_pickle
from pamir_blender.errors import BodyModelError


@pytest.fixture
def open_arrays():
    with np.load(OPEN_BODY) as data:
        return dict(data)


def saved(tmp_path, arrays):
    path = tmp_path / "body.npz"
    np.savez(path, **arrays)
    return path


def test_the_open_body_itself_is_fine(tmp_path, open_arrays):
    assert load_body_model(saved(tmp_path, open_arrays)).name == "open"


@pytest.mark.parametrize("name", ["regressor_rows", "regressor_columns", "weight_joints", "faces"])
@pytest.mark.parametrize("value", [-1, -(10**6), 10**6])
def test_indices_outside_are_refused(tmp_path, open_arrays, name, value):
    changed = open_arrays[name].astype(np.int64)
    changed.flat[0] = value
    with pytest.raises(BodyModelError, match="damaged"):
        load_body_model(saved(tmp_path, {**open_arrays, name: changed}))


@pytest.mark.parametrize("name", ["template", "shapedirs", "weight_values", "posedirs", "faces"])
def test_empty_and_object_arrays_are_refused(tmp_path, open_arrays, name):
    for bad in (open_arrays[name][:0], np.array([{}, []], dtype=object)):
        with pytest.raises(BodyModelError, match=r"body\.npz"):
            load_body_model(saved(tmp_path, {**open_arrays, name: bad}))


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "MAX_ARRAY_BYTES", 1 << 20)
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("template.npy", b"\0" * (2 << 20))
    monkeypatch.setattr(load.np, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(BodyModelError, match="unpacks to more"):
        load_body_model(path)


@pytest.mark.parametrize(
    "opcodes",
    [b"r" + struct.pack("<I", 2**31 - 1), b"p2147483647\n"],
    ids=["LONG_BINPUT", "PUT"],
)
def test_a_pickle_of_a_few_bytes_that_asks_for_gigabytes_is_refused(tmp_path, opcodes):
    """Python's unpickler would make room for two thousand million objects."""
    path = tmp_path / "bomb.pkl"
    path.write_bytes(b"\x80\x02}" + opcodes + b".")
    with pytest.raises(BodyModelError, match=r"was refused.*2147483647"):
        read_smpl_pickle(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02", b"\x80\x02}", b"\x8e" + struct.pack("<Q", 2**60), b"(" * 50]
)
def test_pickles_that_end_too_early_are_refused(tmp_path, content):
    path = tmp_path / "short.pkl"
    path.write_bytes(content)
    with pytest.raises(BodyModelError, match=r"short\.pkl"):
        read_smpl_pickle(path)


def test_a_folder_or_a_pipe_is_no_body_model(tmp_path):
    import os

    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(BodyModelError, match="no body model file"):
        load_body_model(tmp_path / "folder.npz")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.pkl")
        with pytest.raises(BodyModelError, match="no body model file"):
            load_body_model(tmp_path / "pipe.pkl")
