"""Reading body models: the shipped open body, or a user's SMPL file (.npz, .pkl).

Files come from strangers: their size is bounded, their contents checked, and nothing in them is executed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..contracts import JOINT_PARENTS
from ..errors import BodyModelError
from ..paths import models_dir
from .model import BodyModel
from .smpl_pickle import read_smpl_pickle

OPEN_BODY = models_dir() / "open_body.npz"
OPEN_FORMAT = "pamir-open-body-1"
MAX_FILE_BYTES = 400 * 1024**2
MAX_ARRAY_BYTES = 512 * 1024**2
MAX_VERTICES = 100_000
SMPL_VERTICES, SMPL_FACES = 6890, 13776
BETAS = 10
POSE_FEATURES = 207
_OTHER_MODELS = {52: "SMPL+H", 55: "SMPL-X", 5: "FLAME", 16: "MANO"}
_SMPL_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights")


def load_body_model(path: Path | str | None = None) -> BodyModel:
    """Load a body model on the CPU in float32.

    Args:
        path: None for the open body that ships with this project; otherwise a file in the open body's
            format or a SMPL model (.npz or .pkl) the user has a licence for.

    Raises:
        BodyModelError: the file is missing, too large, damaged, unsafe, or not a SMPL body.
    """
    path = OPEN_BODY if path is None else Path(path)
    if not path.is_file():
        hint = " Reinstall the project." if path == OPEN_BODY else " Choose the body model again."
        raise BodyModelError(f"There is no body model file {path}.{hint}")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise BodyModelError(
            f"{path.name} has {size / 1e6:.0f} MB; body models are smaller than "
            f"{MAX_FILE_BYTES / 1e6:.0f} MB. Choose a SMPL model file (.npz or .pkl)."
        )
    suffix = path.suffix.lower()
    if suffix == ".npz":
        data = _read_npz(path)
        if "format" in data:
            return _open_body(data, path)
        return _smpl(data, path)
    if suffix == ".pkl":
        return _smpl(read_smpl_pickle(path), path)
    raise BodyModelError(f"{path.name} is not a body model: expected a .npz or .pkl file.")


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz without pickles; arrays of objects are left out (old SMPL files hold some)."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > 200 or sum(entry.file_size for entry in entries) > MAX_ARRAY_BYTES:
                raise BodyModelError(f"{path.name} unpacks to more than a body model can hold.")
        data: dict[str, np.ndarray] = {}
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                try:
                    data[key] = arrays[key]
                except ValueError as error:
                    if "allow_pickle" not in str(error):
                        raise
        return data
    except BodyModelError:
        raise
    except Exception as error:
        raise BodyModelError(f"{path.name} is not a readable .npz file ({error}).") from error


def _array(data: Mapping[str, Any], key: str, path: Path, ndim: int, kind: type = np.floating) -> np.ndarray:
    """One array of the file as float64 (or int64), with its rank checked."""
    if key not in data:
        raise BodyModelError(f"{path.name} is not a body model: it has no '{key}'.")
    value = np.asarray(data[key])
    if value.dtype.kind not in "fiu" or value.ndim != ndim:
        raise BodyModelError(f"{path.name} is damaged: '{key}' is {value.dtype} of shape {value.shape}.")
    value = value.astype(np.int64 if kind is np.integer else np.float64)
    if not np.isfinite(value).all():
        raise BodyModelError(f"{path.name} is damaged: '{key}' holds values that are not numbers.")
    return value


def _check(condition: bool, path: Path, what: str) -> None:
    if not condition:
        raise BodyModelError(f"{path.name} is damaged or not a SMPL body: {what}.")


def _build(
    name: str,
    path: Path,
    template: np.ndarray,
    faces: np.ndarray,
    shapedirs: np.ndarray,
    posedirs: np.ndarray,
    regressor: np.ndarray,
    weights: np.ndarray,
) -> BodyModel:
    """Check how the arrays fit together and build the model."""
    count = len(template)
    _check(template.shape == (count, 3) and 100 <= count <= MAX_VERTICES, path, f"template {template.shape}")
    _check(faces.ndim == 2 and faces.shape[1] == 3 and len(faces) > 0, path, f"faces {faces.shape}")
    _check(faces.min() >= 0 and faces.max() < count, path, "faces point at vertices that are not there")
    _check(shapedirs.shape == (count, 3, BETAS), path, f"shapedirs {shapedirs.shape}")
    _check(posedirs.shape == (count, 3, POSE_FEATURES), path, f"posedirs {posedirs.shape}")
    _check(regressor.shape == (24, count), path, f"joint regressor {regressor.shape}")
    _check(weights.shape == (count, 24), path, f"skinning weights {weights.shape}")
    _check(np.abs(weights.sum(axis=1) - 1).max() < 1e-3, path, "skinning weights do not sum to 1")
    _check(np.abs(regressor.sum(axis=1) - 1).max() < 1e-2, path, "joint regressor rows do not sum to 1")
    height = float(np.ptp(template[:, 1]))
    _check(0.5 < height < 3.0, path, f"the template is {height:.2f} m tall")

    def tensor(values: ArrayLike) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)

    return BodyModel(
        name, tensor(template), torch.as_tensor(faces), tensor(shapedirs), tensor(posedirs),
        tensor(regressor), tensor(weights),
    )  # fmt: skip


def _open_body(data: Mapping[str, np.ndarray], path: Path) -> BodyModel:
    """The open body's own compact format (``models/open_body.md``)."""
    if str(data["format"]) != OPEN_FORMAT:
        raise BodyModelError(
            f"{path.name} has format '{data['format']}', this version reads '{OPEN_FORMAT}'. "
            "Reinstall the project."
        )
    template = _array(data, "template", path, 2)
    count = len(template)
    _check(100 <= count <= MAX_VERTICES, path, f"template {template.shape}")
    rows = _array(data, "regressor_rows", path, 1, np.integer)
    columns = _array(data, "regressor_columns", path, 1, np.integer)
    values = _array(data, "regressor_values", path, 1)
    _check(len(rows) == len(columns) == len(values) > 0, path, "joint regressor")
    _check(rows.max() < 24 and columns.max() < count, path, "joint regressor")
    _check(rows.min() >= 0 and columns.min() >= 0, path, "joint regressor")
    regressor = np.zeros((24, count))
    regressor[rows, columns] = values
    joints = _array(data, "weight_joints", path, 2, np.integer)
    shares = _array(data, "weight_values", path, 2)
    _check(joints.shape == shares.shape == (count, 4), path, "skinning weights")
    _check(joints.min() >= 0 and joints.max() < 24, path, "skinning weights")
    weights = np.zeros((count, 24))
    np.put_along_axis(weights, joints, shares, axis=1)
    scale = _array(data, "posedirs_scale", path, 1)
    packed = _array(data, "posedirs", path, 3)
    _check(packed.shape[-1] == len(scale), path, "posedirs")
    return _build(
        "open", path, template, _array(data, "faces", path, 2, np.integer),
        _array(data, "shapedirs", path, 3), packed * scale, regressor, weights,
    )  # fmt: skip


def _smpl(data: Mapping[str, Any], path: Path) -> BodyModel:
    """A SMPL v1.0 or v1.1 model; betas beyond ten are dropped."""
    missing = [key for key in _SMPL_KEYS if key not in data]
    if missing:
        raise BodyModelError(
            f"{path.name} is not a SMPL body model: it has no {', '.join(missing)}. "
            "Choose basicModel_*_lbs_10_207_0_v1.0.0.pkl, SMPL_NEUTRAL.pkl or the like."
        )
    weights = _array(data, "weights", path, 2)
    joints = weights.shape[1]
    if joints != 24:
        kind = _OTHER_MODELS.get(joints, f"a model with {joints} joints")
        raise BodyModelError(f"{path.name} is {kind}; only SMPL bodies (24 joints) can be used.")
    template = _array(data, "v_template", path, 2)
    faces = _array(data, "f", path, 2, np.integer)
    if len(template) != SMPL_VERTICES or len(faces) != SMPL_FACES:
        raise BodyModelError(
            f"{path.name} has {len(template)} vertices and {len(faces)} faces; SMPL has {SMPL_VERTICES} "
            f"and {SMPL_FACES}."
        )
    shapedirs = _array(data, "shapedirs", path, 3)
    _check(shapedirs.shape[-1] >= BETAS, path, f"shapedirs {shapedirs.shape}")
    if "kintree_table" in data:
        table = _array(data, "kintree_table", path, 2, np.integer)
        _check(tuple(table[0, 1:].tolist()) == JOINT_PARENTS[1:], path, "its joints are not SMPL's")
    posedirs = _array(data, "posedirs", path, 3)
    regressor = _array(data, "J_regressor", path, 2)
    return _build("smpl", path, template, faces, shapedirs[..., :BETAS], posedirs, regressor, weights)
