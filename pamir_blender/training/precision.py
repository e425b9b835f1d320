"""The number format and memory layout that train fastest on the machine at hand."""

from __future__ import annotations

import time

import torch
from torch import nn


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The autocast type for ``name`` in "auto", "float32", "bfloat16".

    "auto" measures on a CPU: some that have bfloat16 instructions are far slower with them than without.
    """
    if name == "auto":
        if device.type == "cuda":
            name = "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
        else:
            name = (
                "bfloat16"
                if _convolution_seconds(torch.bfloat16) < 0.8 * _convolution_seconds()
                else "float32"
            )
    if name not in ("float32", "bfloat16"):
        raise ValueError(f"unknown precision {name!r}; use auto, float32 or bfloat16")
    return getattr(torch, name)


def _convolution_seconds(precision: torch.dtype = torch.float32) -> float:
    """The fastest of five forward and backward passes of a typical convolution on the CPU."""
    convolution = use_channels_last(nn.Conv2d(32, 32, 3, padding=1))
    image = torch.zeros(1, 32, 128, 128).contiguous(memory_format=torch.channels_last).requires_grad_()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            result = convolution(image)
        result.float().sum().backward()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def use_channels_last(network: nn.Module) -> nn.Module:
    """Lay out the weights of 2D and 3D convolutions channels-last, in place; returns ``network``."""
    formats = {nn.Conv2d: torch.channels_last, nn.Conv3d: torch.channels_last_3d}
    for module in network.modules():
        if type(module) in formats:
            module.weight.data = module.weight.data.contiguous(memory_format=formats[type(module)])
    return network
