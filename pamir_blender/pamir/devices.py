"""Which device computes."""

from __future__ import annotations

import torch

from ..errors import BackendError

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str = "auto") -> torch.device:
    """ "auto" is CUDA where there is a GPU, else the CPU; "cuda" without a GPU is a :class:`BackendError`."""
    if name not in DEVICES:
        raise BackendError(f"the device must be one of {', '.join(DEVICES)}, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise BackendError(
            "CUDA was asked for, but this Python's torch finds no CUDA GPU. "
            "Choose the device 'auto' or 'cpu', or install a CUDA build of torch and the GPU's driver"
        )
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")
