"""SMPL's .pkl files without executing them.

Released SMPL files are Python 2 pickles of numpy arrays, scipy sparse matrices and chumpy objects. The
unpickler below knows those few names only, and puts an inert record in place of each object; a pickle
that names anything else is refused before anything of it is called. Arrays are then made from the records.
"""

from __future__ import annotations

import math
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy import sparse

from ..errors import BodyModelError

MAX_ELEMENTS = 50_000_000
MAX_MEMO = 1_000_000
"""SMPL's pickles remember some hundred objects."""
NEEDED = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights")


class _Forbidden(pickle.UnpicklingError):
    """The pickle asked for something a body model never contains."""


class _Record:
    """What stands in for an object of the pickle: arguments and state, and no behaviour."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def attributes(self) -> dict[str, Any]:
        """The state as a dictionary of attributes."""
        state = self.state
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            state = {**(state[0] or {}), **state[1]}
        if not isinstance(state, dict):
            raise _Forbidden("an object with an unknown state")
        return state


class _Array(_Record):
    """A numpy array; state (version, shape, dtype, Fortran order, bytes)."""


class _ArrayClass(_Record):
    """The class ``numpy.ndarray`` itself, as an argument."""


class _Dtype(_Record):
    """A numpy dtype: its code as the first argument, its byte order in the state."""


class _Scalar(_Record):
    """A numpy number: dtype and bytes."""


class _Encoded(_Record):
    """Bytes written as text by Python 3 pickles of protocol 2 and below."""


class _Chumpy(_Record):
    """A chumpy array expression."""


class _SparseRows(_Record):
    """A scipy sparse matrix in compressed rows."""


class _SparseColumns(_Record):
    """A scipy sparse matrix in compressed columns."""


def _reconstructor(cls: Any, *_: Any) -> _Record:
    """``copyreg._reconstructor``, for records only (pickle protocols 0 and 1)."""
    if not (isinstance(cls, type) and issubclass(cls, _Record)):
        raise _Forbidden("an object of an unknown class")
    return cls()


_NUMPY = {"_reconstruct": _Array, "scalar": _Scalar, "ndarray": _ArrayClass, "dtype": _Dtype}
_PLAIN: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("_codecs", "encode"): _Encoded,
    ("collections", "OrderedDict"): OrderedDict,
    **{(module, "object"): object for module in ("__builtin__", "builtins")},
    **{(module, "set"): set for module in ("__builtin__", "builtins")},
}


class _SmplUnpickler(pickle.Unpickler):
    """Resolves the names a SMPL pickle needs to the inert records above, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") and name in _NUMPY:
            return _NUMPY[name]
        if module == "scipy.sparse" or module.startswith("scipy.sparse."):
            if name in ("csc_matrix", "csc_array"):
                return _SparseColumns
            if name in ("csr_matrix", "csr_array"):
                return _SparseRows
        if module == "chumpy" or module.startswith("chumpy."):
            return _Chumpy
        if (module, name) in _PLAIN:
            return _PLAIN[(module, name)]
        raise _Forbidden(f"{module}.{name}")


def refuse_bomb(file: BinaryIO) -> None:
    """Raise :class:`_Forbidden` for a pickle that numbers its objects absurdly; the file is rewound.

    Python's unpickler makes room for as many objects as the highest number says: eight bytes can ask for
    tens of gigabytes. Nothing of the pickle is built here.
    """
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        if "PUT" in opcode.name and int(argument) > MAX_MEMO:
            raise _Forbidden(f"an object numbered {argument}")
    file.seek(start)


def _bytes(value: Any) -> bytes:
    """Raw bytes, whichever way the pickle wrote them."""
    if isinstance(value, _Encoded):
        value = value.args[0]
    if isinstance(value, str):
        return value.encode("latin1")
    if isinstance(value, bytes):
        return value
    raise _Forbidden("an array without data")


def _numpy_dtype(record: Any) -> np.dtype:
    """A plain numeric dtype; objects, text and structures are refused."""
    if not isinstance(record, _Dtype) or not record.args:
        raise _Forbidden("an array of an unknown type")
    code = record.args[0]
    code = code.decode("latin1") if isinstance(code, bytes) else code
    if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
        raise _Forbidden(f"an array of type {code!r}")
    state = record.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    return np.dtype(code).newbyteorder(">" if order in (">", b">") else "<")


def _array(record: _Array) -> np.ndarray:
    state = record.state
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise _Forbidden("an array with an unknown state")
    shape, dtype, fortran, data = state[-4:]
    shape = tuple(int(length) for length in shape)
    if any(length < 0 for length in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise _Forbidden(f"an array of shape {shape}")
    flat = np.frombuffer(_bytes(data), dtype=_numpy_dtype(dtype))
    return flat.reshape(shape, order="F" if fortran else "C")


def _chumpy_array(record: _Chumpy, depth: int) -> np.ndarray:
    """The numbers of a chumpy object: a plain one holds ``x``; a selection picks from another."""
    state = record.attributes()
    if "x" in state:
        return np.asarray(_resolve(state["x"], depth))
    if "a" in state and "idxs" in state:
        indices = np.asarray(_resolve(state["idxs"], depth), dtype=np.int64)
        picked = np.asarray(_resolve(state["a"], depth)).ravel()[indices]
        shape = state.get("preferred_shape")
        return picked if shape is None else picked.reshape(tuple(int(n) for n in shape))
    raise _Forbidden("a chumpy expression of an unknown kind")


def _sparse_array(record: _Record, depth: int) -> np.ndarray:
    state = record.attributes()
    shape = tuple(int(n) for n in state.get("_shape", state.get("shape", ())))
    if len(shape) != 2 or min(shape) < 0 or math.prod(shape) > MAX_ELEMENTS:
        raise _Forbidden("a sparse matrix of an unknown shape")
    data, indices, starts = (np.array(_resolve(state[key], depth)) for key in ("data", "indices", "indptr"))
    build = sparse.csr_matrix if isinstance(record, _SparseRows) else sparse.csc_matrix
    matrix = build((data, indices, starts), shape=shape)
    matrix.check_format(full_check=True)
    return matrix.toarray()


def _resolve(value: Any, depth: int = 0) -> Any:
    """A record as an array or number; anything else as it is."""
    if depth > 8:
        raise _Forbidden("objects nested too deeply")
    if isinstance(value, _Array):
        return _array(value)
    if isinstance(value, _Scalar):
        return np.frombuffer(_bytes(value.args[1]), dtype=_numpy_dtype(value.args[0]), count=1)[0]
    if isinstance(value, _Chumpy):
        return _chumpy_array(value, depth + 1)
    if isinstance(value, _SparseRows | _SparseColumns):
        return _sparse_array(value, depth + 1)
    if isinstance(value, _Record):
        raise _Forbidden("an object that is not an array")
    return value


def read_smpl_pickle(path: Path) -> dict[str, Any]:
    """The entries of a SMPL .pkl that a body model needs, as dense arrays.

    Raises:
        BodyModelError: not a pickle, not a dictionary, or one that names anything outside the allow-list.
    """
    try:
        with path.open("rb") as file:
            refuse_bomb(file)
            data = _SmplUnpickler(file, encoding="latin1").load()
    except _Forbidden as error:
        raise BodyModelError(
            f"{path.name} was refused: it contains {error}, which no SMPL model needs. Nothing of it was run."
        ) from error
    except Exception as error:  # damaged pickles raise nearly anything
        raise BodyModelError(f"{path.name} is not a readable SMPL .pkl file ({error}).") from error
    if not isinstance(data, dict):
        raise BodyModelError(f"{path.name} is not a SMPL model: it holds a {type(data).__name__}.")
    out: dict[str, Any] = {}
    for key in (*NEEDED, "kintree_table"):
        if key in data:
            try:
                out[key] = _resolve(data[key])
            except Exception as error:
                raise BodyModelError(f"{path.name} is damaged: '{key}' is unreadable ({error}).") from error
    return out
