"""The number format and memory layout that train fastest on the machine at hand."""

from __future__ import annotations

import torch
from torch import nn

from ..pamir.field_features import inference_dtype


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The autocast type for ``name`` in "auto", "float32", "bfloat16".

    "auto" is bfloat16 on GPUs that have it and on CPUs with AMX, else float32: with AVX512-BF16 alone,
    convolutions and their gradients took 1.5 to 2.5 times as long in bfloat16 as in float32.
    """
    if name == "auto":
        fastest = inference_dtype(device)
        return fastest if fastest == torch.bfloat16 else torch.float32
    if name not in ("float32", "bfloat16"):
        raise ValueError(f"unknown precision {name!r}; use auto, float32 or bfloat16")
    return getattr(torch, name)


def use_channels_last(network: nn.Module) -> nn.Module:
    """Lay out the weights of 2D and 3D convolutions channels-last, in place; returns ``network``."""
    formats = {nn.Conv2d: torch.channels_last, nn.Conv3d: torch.channels_last_3d}
    for module in network.modules():
        if type(module) in formats:
            module.weight.data = module.weight.data.contiguous(memory_format=formats[type(module)])
    return network
