"""The residual modules that the encoders are made of."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class HourglassResidual(nn.Module):
    """Pre-activation residual of the stacked hourglass: norm-ReLU-conv to half the width, the same to full.

    (B, in, H, W) to (B, out, H, W); a 1x1 convolution on the skip where the widths differ.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_groups: int) -> None:
        super().__init__()
        middle = out_channels // 2
        self.norm1 = nn.GroupNorm(norm_groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, middle, 3, padding=1)
        self.norm2 = nn.GroupNorm(norm_groups, middle)
        self.conv2 = nn.Conv2d(middle, out_channels, 3, padding=1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W)."""
        y = self.conv1(functional.relu(self.norm1(x)))
        return self.conv2(functional.relu(self.norm2(y))) + self.skip(x)


class PlainResidual(nn.Module):
    """conv-norm-ReLU-conv-norm plus the input, in two or three dimensions.

    ``middle`` channels lie between the two convolutions (None: as many as outside). ``idle_layers`` adds the
    norm and the convolution that the authors' parameter count includes though nothing computes with them;
    they stay at their initial or loaded values.
    """

    def __init__(
        self,
        channels: int,
        norm_groups: int,
        *,
        dimensions: int,
        middle: int | None = None,
        dilation: int = 1,
        idle_layers: bool = False,
    ) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
        middle = middle or channels
        self.conv1 = conv(channels, middle, 3, padding=dilation, dilation=dilation)
        self.norm1 = nn.GroupNorm(norm_groups, middle)
        self.conv2 = conv(middle, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(norm_groups, channels)
        if idle_layers:
            self.idle_norm = nn.GroupNorm(norm_groups, channels)
            self.idle_conv = conv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to (B, C, ...)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return self.norm2(self.conv2(y)) + x


def is_idle(parameter_name: str) -> bool:
    """Whether a parameter belongs to an idle layer, by its name in the network's state."""
    return ".idle_" in parameter_name


def residuals(count: int, in_channels: int, out_channels: int, norm_groups: int) -> nn.Sequential:
    """``count`` hourglass residuals in a row; the first one changes the width."""
    widths = [in_channels] + [out_channels] * count
    return nn.Sequential(*(HourglassResidual(a, b, norm_groups) for a, b in pairwise(widths)))


def count_parameters(module: nn.Module, *, used_only: bool = False) -> int:
    """Number of scalar parameters; ``used_only`` leaves the idle layers out."""
    return sum(p.numel() for n, p in module.named_parameters() if not (used_only and is_idle("." + n)))


def to_channels_last(x: Tensor) -> Tensor:
    """The same tensor laid out channels-last, which CPU and GPU convolutions prefer."""
    return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)
