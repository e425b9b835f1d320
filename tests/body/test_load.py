from __future__ import annotations

import os
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from smpl_files import as_released, smpl_arrays

from pamir_blender.body import load
from pamir_blender.body.load import OPEN_BODY, load_body_model
from pamir_blender.errors import BodyModelError


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return smpl_arrays()


def _same(model, arrays: dict[str, np.ndarray]) -> None:
    assert model.name == "smpl"
    for ours, key in (
        ("template", "v_template"), ("posedirs", "posedirs"), ("joint_regressor", "J_regressor"),
        ("skinning_weights", "weights"), ("shapedirs", "shapedirs"),
    ):  # fmt: skip
        expected = arrays[key][..., :10] if key == "shapedirs" else arrays[key]
        np.testing.assert_allclose(getattr(model, ours).numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(model.faces.numpy(), arrays["f"])


def test_smpl_npz(tmp_path: Path, arrays) -> None:
    path = tmp_path / "SMPL_NEUTRAL.npz"
    np.savez(path, **arrays)
    _same(load_body_model(path), arrays)


def test_npz_with_an_object_entry_that_is_not_needed(tmp_path: Path, arrays) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, **arrays, bs_type=np.array({"a": 1}, dtype=object))
    _same(load_body_model(path), arrays)


def test_betas_beyond_ten_are_dropped(tmp_path: Path) -> None:
    arrays = smpl_arrays(betas=300)
    path = tmp_path / "SMPL_NEUTRAL.npz"
    np.savez(path, **arrays)
    _same(load_body_model(path), arrays)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_with_scipy_matrix(tmp_path: Path, arrays, protocol: int) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(as_released(arrays), protocol=protocol))
    _same(load_body_model(path), arrays)


def test_pickle_with_chumpy_objects(tmp_path: Path, arrays, monkeypatch) -> None:
    """As the v1.0 files: chumpy arrays, one of them a selection of another."""

    class Ch:
        def __init__(self, **state: object) -> None:
            self.__dict__.update(state)

    class Select(Ch):
        pass

    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    for name, cls in (("chumpy.ch", Ch), ("chumpy.reordering", Select)):
        cls.__module__, cls.__qualname__ = name, cls.__name__
        module = types.ModuleType(name)
        setattr(module, cls.__name__, cls)
        monkeypatch.setitem(sys.modules, name, module)
    flat = np.concatenate([np.zeros(7), arrays["shapedirs"].ravel()])
    picked = Select(
        a=Ch(x=flat, _dirty_vars=set()), idxs=np.arange(7, len(flat)),
        preferred_shape=arrays["shapedirs"].shape,
    )  # fmt: skip
    released = {**as_released(arrays), "shapedirs": picked, "v_template": Ch(x=arrays["v_template"])}
    path = tmp_path / "basicmodel_f_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(pickle.dumps(released, protocol=2))
    monkeypatch.undo()
    assert "chumpy.ch" not in sys.modules
    _same(load_body_model(path), arrays)


def _python2_array(array: np.ndarray) -> bytes:
    """Opcodes by which Python 2 pickled a numpy array: protocol 2, raw bytes in a byte string."""
    data = array.tobytes()
    shape = b"".join(b"J" + struct.pack("<i", n) for n in array.shape)
    code = array.dtype.str[1:].encode()
    dtype = (
        b"cnumpy\ndtype\n" + b"U" + bytes([len(code)]) + code + b"K\x00K\x01\x87R"
        + b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )  # fmt: skip
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85U\x01b\x87R"
        + b"(K\x01(" + shape + b"t" + dtype + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"
    )  # fmt: skip


def test_python_2_pickle(tmp_path: Path, arrays) -> None:
    body = b"".join(
        b"U" + bytes([len(key)]) + key.encode() + _python2_array(value) for key, value in arrays.items()
    )
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02}(" + body + b"u.")
    _same(load_body_model(path), arrays)


class _Command:
    def __init__(self, function, *args) -> None:
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [(os.system, "touch {}"), (exec, "open('{}', 'w')"), (Path.touch, Path("{}")), (getattr, Path, "cwd")],
    ids=["system", "exec", "touch", "getattr"],
)
@pytest.mark.parametrize("place", ["value", "inside"])
def test_pickles_that_call_are_refused_and_not_run(tmp_path, arrays, call, place) -> None:
    victim = tmp_path / "victim"
    function, *args = call
    args = [type(a)(str(a).format(victim)) if "{}" in str(a) else a for a in args]
    attack = _Command(function, *args)
    released = {key: value for key, value in arrays.items() if key != "posedirs"}
    if place == "value":
        released["extra"] = attack
    else:
        released["weights"] = [attack]
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(released, protocol=2))
    with pytest.raises(BodyModelError, match=r"evil\.pkl was refused"):
        load_body_model(path)
    assert not victim.exists()


def test_pickle_cannot_reach_code_through_allowed_modules(tmp_path: Path) -> None:
    names = (
        ("numpy", "load"), ("scipy.sparse", "load_npz"), ("numpy.core.multiarray", "fromfile"),
        ("builtins", "eval"), ("scipy.sparse.csr", "os"),
    )  # fmt: skip
    for module, name in names:
        path = tmp_path / "evil.pkl"
        path.write_bytes(b"c" + f"{module}\n{name}\n".encode() + b"U\x01x\x85R.")
        with pytest.raises(BodyModelError, match="refused"):
            load_body_model(path)


def test_arrays_of_objects_in_pickles_are_refused(tmp_path: Path, arrays) -> None:
    path = tmp_path / "model.pkl"
    bad = {**as_released(arrays), "weights": np.array([[1, None]], dtype=object)}
    path.write_bytes(pickle.dumps(bad, protocol=2))
    with pytest.raises(BodyModelError, match="weights"):
        load_body_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "no weights"),
        ({"v_template": np.zeros((6889, 3))}, "6889 vertices"),
        ({"v_template": np.zeros((6890, 3))}, "m tall"),
        ({"posedirs": np.zeros((6890, 3, 206))}, "posedirs"),
        ({"shapedirs": np.zeros((6890, 3, 4))}, "shapedirs"),
        ({"f": np.full((13776, 3), 6890)}, "faces"),
        ({"weights": np.full((6890, 24), 0.5)}, "sum to 1"),
        ({"weights": np.full((6890, 24), np.nan)}, "not numbers"),
        ({"J_regressor": np.zeros((24, 6890))}, "regressor"),
        ({"kintree_table": np.zeros((2, 24))}, "joints are not SMPL's"),
        ({"weights": np.full((6890, 24), "a")}, "damaged"),
    ],
)
def test_malformed_models_are_refused(tmp_path: Path, arrays, change, message) -> None:
    changed = {key: value for key, value in {**arrays, **change}.items() if value is not None}
    path = tmp_path / "model.npz"
    np.savez(path, **changed)
    with pytest.raises(BodyModelError, match=message):
        load_body_model(path)


@pytest.mark.parametrize(("joints", "kind"), [(52, r"SMPL\+H"), (55, "SMPL-X"), (20, "20 joints")])
def test_relatives_of_smpl_are_named(tmp_path: Path, joints: int, kind: str) -> None:
    path = tmp_path / "model.npz"
    arrays = smpl_arrays()
    np.savez(path, **{**arrays, "weights": np.full((6890, joints), 1 / joints)})
    with pytest.raises(BodyModelError, match=kind):
        load_body_model(path)


def test_files_that_are_not_models(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.npz", b"nonsense", "not a readable .npz"),
        ("a.pkl", b"nonsense", "not a readable SMPL .pkl"),
        ("a.pkl", pickle.dumps([1, 2]), "holds a list"),
        ("a.pkl", pickle.dumps({"a": 1}), "not a SMPL body model"),
        ("a.obj", b"v 0 0 0", "expected a .npz or .pkl"),
        ("a.npz", OPEN_BODY.read_bytes()[:1000], "not a readable"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BodyModelError, match=message):
            load_body_model(path)
    with pytest.raises(BodyModelError, match="no body model file"):
        load_body_model(tmp_path / "missing.pkl")


def test_size_is_bounded(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "big.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v_template.npy", bytes(2_000_000))
    monkeypatch.setattr(load, "MAX_ARRAY_BYTES", 1_000_000)
    with pytest.raises(BodyModelError, match="unpacks to more"):
        load_body_model(path)
    monkeypatch.setattr(load, "MAX_FILE_BYTES", 100)
    with pytest.raises(BodyModelError, match="smaller than"):
        load_body_model(path)


def test_open_format_of_another_version_is_refused(tmp_path: Path) -> None:
    with np.load(OPEN_BODY) as data:
        changed = {**data, "format": np.array("pamir-open-body-9")}
    path = tmp_path / "open.npz"
    np.savez(path, **changed)
    with pytest.raises(BodyModelError, match="pamir-open-body-9"):
        load_body_model(path)


def test_open_body_with_other_vertex_counts(tmp_path: Path) -> None:
    """The open format is not tied to SMPL's counts."""
    with np.load(OPEN_BODY) as data:
        values = dict(data)
    keep = 6000
    for key in ("template", "shapedirs", "posedirs", "weight_joints", "weight_values"):
        values[key] = values[key][:keep]
    values["faces"] = values["faces"][(values["faces"] < keep).all(axis=1)]
    values["regressor_rows"] = np.arange(24)
    values["regressor_columns"] = np.arange(24) * 100
    values["regressor_values"] = np.ones(24)
    path = tmp_path / "smaller.npz"
    np.savez(path, **values)
    model = load_body_model(path)
    assert model.vertex_count == keep
    assert torch.isfinite(model(torch.zeros(1, 10), torch.zeros(1, 24, 3)).vertices).all()
