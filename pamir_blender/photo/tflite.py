"""The two landmark networks, loaded once and run one call at a time."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError, WeightsError
from .model_files import FETCH_COMMAND, MODELS_FOLDER, ModelFile


@contextlib.contextmanager
def _quiet_natives() -> Iterator[None]:
    """Keep the runtime's greeting off standard error, which is for people."""
    sys.stderr.flush()
    real, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        os.close(nowhere)


class TfliteNetwork:
    """One pinned tflite file; the interpreter is made at the first call and kept.

    Calls from several threads take turns, because an interpreter owns its buffers.
    """

    def __init__(self, file: ModelFile, folder: Path = MODELS_FOLDER, threads: int = 2) -> None:
        self._file = file
        self._folder = folder
        self._threads = threads
        self._lock = threading.Lock()

    @cached_property
    def _interpreter(self) -> Any:
        path = self._folder / self._file.name
        if not path.is_file():
            raise BackendError(f"The landmark model {path} is missing. Fetch it with: {FETCH_COMMAND}")
        content = path.read_bytes()
        if not self._file.matches(content):
            raise WeightsError(
                f"The landmark model {path} is damaged or another version. Fetch it again: {FETCH_COMMAND}"
            )
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise BackendError(
                f"ai-edge-litert cannot be imported ({error}). Install the backend's packages: "
                "pip install 'pamir-blender[backend]'"
            ) from None
        with _quiet_natives():
            interpreter = Interpreter(model_content=content, num_threads=self._threads)
            interpreter.allocate_tensors()
        return interpreter

    def __call__(self, tensor: np.ndarray) -> list[np.ndarray]:
        """Run on ``tensor`` (1, H, W, 3) float32; returns copies of the outputs in the file's order."""
        with self._lock:
            interpreter = self._interpreter
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tensor)
            interpreter.invoke()
            return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]
