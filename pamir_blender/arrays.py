"""Reading ``.npz`` files that may come from a stranger: bounded, never unpickled, every array checked."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .errors import ResultError
from .plain_files import why_not_plain

MAX_VERTICES = 8_000_000
MAX_FACES = 16_000_000
MAX_COORDINATE = 100.0
"""Metres. Nothing of a person is farther from the origin."""
MAX_ARRAY_BYTES = 2_000_000_000

# What zipfile, its decompressors and NumPy's header reader raise on files that were made to break them.
_DAMAGE = (
    OSError, ValueError, EOFError, NotImplementedError, RuntimeError, MemoryError, KeyError, TypeError,
    struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip


class Arrays:
    """The arrays of one ``.npz``, each bounded by its header before it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if reason := why_not_plain(path):
                raise self.error(reason)
            with zipfile.ZipFile(path) as archive:
                self.sizes = {m.filename: m.file_size for m in archive.infolist()}
        except FileNotFoundError:
            raise ResultError(f"{path} is missing. Reconstruct the photo again.") from None
        except _DAMAGE as error:
            raise ResultError(f"{path} is damaged ({error}). Reconstruct the photo again.") from error

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self.sizes

    def get(self, name: str, shape: tuple[int | None, ...], *, limit: int = MAX_VERTICES) -> np.ndarray:
        """One finite array of numbers; ``None`` in ``shape`` is any length from 1 to ``limit``."""
        found = self._shape_of(name)
        fits = len(found) == len(shape) and all(
            0 < f <= limit if s is None else f == s for f, s in zip(found, shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("N" if s is None else str(s) for s in shape)
            raise self.error(f"has the array {name} in shape {found}, expected ({wanted})")
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as stream:
                array = np.lib.format.read_array(stream, allow_pickle=False)
        except _DAMAGE as error:
            raise self.error(f"has a damaged array {name} ({error})") from error
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self.error(f"holds numbers that are not finite in {name}")
        return array

    def _shape_of(self, name: str) -> tuple[int, ...]:
        """The shape in the array's header, which must be of numbers and no longer than the file."""
        member = f"{name}.npy"
        if member not in self.sizes:
            raise self.error(f"lacks the array {name}")
        if self.sizes[member] > MAX_ARRAY_BYTES:
            raise self.error(f"has a far too large array {name}")
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                if version == (1, 0):
                    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                elif version == (2, 0):
                    shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
                else:
                    raise ValueError(f"npy version {version}")
        except _DAMAGE as error:
            raise self.error(f"has a damaged array {name} ({error})") from error
        if dtype.kind not in "fiu":
            raise self.error(f"holds no numbers in {name} (type {dtype})")
        if math.prod(shape) * dtype.itemsize > self.sizes[member]:
            raise self.error(f"has a damaged array {name} (shorter than its header says)")
        return shape

    def floats(self, name: str, shape: tuple[int | None, ...], bound: float = MAX_COORDINATE) -> np.ndarray:
        """A float64 array within [-bound, bound]."""
        array = self.get(name, shape).astype(np.float64)
        if np.abs(array).max(initial=0.0) > bound:
            raise self.error(f"holds impossible values in {name} (beyond {bound:g})")
        return array

    def indices(self, name: str, shape: tuple[int | None, ...], count: int, limit: int) -> np.ndarray:
        """An int32 array of indices in 0..count-1."""
        array = self.get(name, shape, limit=limit)
        if array.dtype.kind not in "iu":
            raise self.error(f"holds no indices in {name} (type {array.dtype})")
        if int(array.min()) < 0 or int(array.max()) >= count:
            raise self.error(f"points outside its {count} elements in {name}")
        return array.astype(np.int32)

    def number(self, name: str) -> float:
        """One number, saved as a 0-d array or as an array of one."""
        if f"{name}.npy" in self.sizes and self.sizes[f"{name}.npy"] > 4096:
            raise self.error(f"holds more than one number in {name}")
        shape = self._shape_of(name)
        return float(np.ravel(self.floats(name, () if shape == () else (1,)))[0])

    def error(self, what: str) -> ResultError:
        """The error that names this file, says ``what`` is wrong with it and what to do."""
        return ResultError(f"{self.path} {what}. Reconstruct the photo again.")
