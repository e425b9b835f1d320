"""GraphCMR's own graph file for SMPL (``mesh_downsampling.npz``), read without executing it.

The file holds lists A, U, D of scipy sparse matrices inside pickled object arrays. They are taken apart by
the same allow-list as SMPL's .pkl files.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..errors import BodyModelError
from .mesh_graph import BodyGraph, normalised_template, row_normalised
from .model import BodyModel
from .smpl_pickle import _Array, _Forbidden, _Record, _resolve, _SmplUnpickler, _SparseRows, refuse_bomb

_MAX_BYTES = 64 << 20
_MAX_SIDE = 100_000


class _Coordinates(_Record):
    """A scipy sparse matrix as a list of coordinates."""


class _GraphUnpickler(_SmplUnpickler):
    """SMPL's allow-list and scipy's coordinate matrices."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[:2] == ["scipy", "sparse"] and name in ("coo_matrix", "coo_array"):
            return _Coordinates
        return super().find_class(module, name)


def read_mesh_downsampling(path: Path | str, model: BodyModel) -> BodyGraph:
    """The 1723-vertex graph of ``mesh_downsampling.npz`` for a SMPL body model.

    Reads A[1], U[0] and D[0]. Raises BodyModelError if the file is not one, or not for this model.
    """
    path = Path(path)
    try:
        lists = {name: _matrices(path, name) for name in ("A", "U", "D")}
        adjacency = _sparse(lists["A"][1])
        upsample, downsample = _sparse(lists["U"][0]), _sparse(lists["D"][0])
    except _Forbidden as error:
        raise BodyModelError(
            f"{path} was refused: it contains {error}, which no body graph needs. Nothing of it was run."
        ) from error
    except Exception as error:  # damaged archives and pickles raise nearly anything
        raise BodyModelError(f"{path} is not a readable mesh_downsampling.npz ({error}).") from error
    count, vertices = downsample.shape
    template = model.template.cpu().numpy()
    if vertices != len(template) or upsample.shape != (vertices, count) or adjacency.shape != (count, count):
        raise BodyModelError(
            f"{path} describes a mesh of {vertices} vertices with a graph of {count}; it does not fit the "
            f"body model {model.name} with {len(template)} vertices. Choose the file that came with GraphCMR "
            f"for SMPL."
        )
    edges, weights = row_normalised(adjacency)
    positions = (downsample @ normalised_template(template)).astype(np.float32)
    return BodyGraph(model.name, positions, edges, weights, downsample, upsample)


def _matrices(path: Path, name: str) -> list[Any]:
    """The records in one entry of the archive."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.file_size > _MAX_BYTES:
            raise ValueError(f"entry {name} has {info.file_size} bytes")
        data = io.BytesIO(archive.read(info))
    version = np.lib.format.read_magic(data)
    read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
    shape, _, dtype = read_header(data)
    if not dtype.hasobject or len(shape) != 1:
        raise ValueError(f"entry {name} is not a list of matrices")
    refuse_bomb(data)
    record = _GraphUnpickler(data, encoding="latin1").load()
    if not isinstance(record, _Array) or not isinstance(record.state, tuple):
        raise _Forbidden("a list of an unknown kind")
    items = record.state[-1]
    if not isinstance(items, list) or len(items) != shape[0]:
        raise _Forbidden("a list of an unknown kind")
    return items


def _sparse(record: Any) -> sparse.csr_matrix:
    """A record as a checked float32 matrix in compressed rows."""
    if not isinstance(record, _Record):
        raise _Forbidden("an entry that is not a sparse matrix")
    state = record.attributes()
    shape = tuple(int(n) for n in state.get("_shape", state.get("shape", ())))
    if len(shape) != 2 or not all(0 < n <= _MAX_SIDE for n in shape):
        raise _Forbidden("a sparse matrix of an unknown shape")
    data = np.array(_resolve(state["data"]), dtype=np.float32)
    if isinstance(record, _Coordinates):
        if "coords" in state:
            row, column = (np.array(_resolve(axis), dtype=np.int64) for axis in state["coords"])
        else:
            row, column = (np.array(_resolve(state[key]), dtype=np.int64) for key in ("row", "col"))
        matrix = sparse.coo_matrix((data, (row, column)), shape=shape).tocsr()
    else:
        indices, starts = (np.array(_resolve(state[key]), dtype=np.int64) for key in ("indices", "indptr"))
        rows = isinstance(record, _SparseRows)
        matrix = (sparse.csr_matrix if rows else sparse.csc_matrix)((data, indices, starts), shape=shape)
        matrix.check_format(full_check=True)
        matrix = matrix.tocsr()
    if not np.isfinite(matrix.data).all() or len(data) > math.prod(shape):
        raise _Forbidden("a sparse matrix with unusable values")
    return matrix.astype(np.float32)
