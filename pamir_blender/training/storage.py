"""How training samples lie on disk: small integer arrays in .npz files, never pickles."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import AssetsError

METRES_STEP = 1.0 / 12000
"""Metres per count of an int16 subject coordinate (range +-2.7 m)."""
BOX_STEP = 1.0 / 32000
"""Box units per count of an int16 box coordinate (range +-1)."""
VOLUME_SIDE = 128


def to_counts(values: np.ndarray, step: float) -> np.ndarray:
    """Float coordinates to int16 counts of ``step`` (clipped to the range)."""
    return np.clip(np.round(np.asarray(values) / step), -32767, 32767).astype(np.int16)


def from_counts(counts: np.ndarray, step: float) -> np.ndarray:
    """int16 counts of ``step`` to float32 coordinates."""
    return counts.astype(np.float32) * np.float32(step)


def pack_volume(volume: np.ndarray) -> np.ndarray:
    """A 0/1 volume (128, 128, 128) as zlib-compressed bits, (bytes,) uint8."""
    return np.frombuffer(zlib.compress(np.packbits(volume.astype(bool)).tobytes(), 4), np.uint8)


def unpack_volume(packed: np.ndarray) -> np.ndarray:
    """The (128, 128, 128) uint8 0/1 volume of :func:`pack_volume`."""
    limit = VOLUME_SIDE**3 // 8
    bits = zlib.decompressobj().decompress(packed.tobytes(), limit)
    if len(bits) != limit:
        raise ValueError("a body volume is cut short")
    return np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(VOLUME_SIDE, VOLUME_SIDE, VOLUME_SIDE)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an uncompressed .npz in one step, so that an interrupted run leaves no half file."""
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as stream:
        np.savez(stream, **arrays)
    partial.replace(path)


def read_arrays(path: Path, names: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Read (some) arrays of an .npz; raises :class:`AssetsError` for a missing or damaged file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in (names or stored.files)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise AssetsError(
            f"The training file {path} is missing or damaged ({error}). Make the data again."
        ) from error


def write_json(path: Path, content: dict) -> None:
    """Write JSON in one step."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> dict:
    """Read JSON; raises :class:`AssetsError` for a missing or damaged file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssetsError(f"{path} is missing or damaged ({error}). Make the training data again.") from error
