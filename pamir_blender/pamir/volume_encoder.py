"""The 3D convolutional encoder of the voxelised body V_O (PaMIR section 4.2)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import PlainResidual
from .config import VolumeEncoderConfig


class VolumeContext(nn.Module):
    """What the body looks like from further away: (B, F, D, D, D) to the same shape, to be added.

    The stem of the ``lite`` size sees a twentieth of the box around a point. A hem may hang further from
    every limb than that, and there all depths look alike. Each level halves the resolution; on the way
    back up every level is enlarged, brought to the next one's width and added to it. The last convolution
    begins at zero, so that a network trained without these levels can be trained on with them.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], norm_groups: int) -> None:
        super().__init__()
        before = (channels, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=2, padding=1) for a, b in zip(before, widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(norm_groups, width) for width in widths)
        self.up = nn.ModuleList(nn.Conv3d(b, a, 3, padding=1) for a, b in pairwise(widths))
        # Without these the sums drift below zero in training until every ReLU is silent.
        self.up_norms = nn.ModuleList(nn.GroupNorm(norm_groups, width) for width in widths[:-1])
        self.out = nn.Conv3d(widths[0], channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, D, D, D) to (B, F, D, D, D); D divisible by two to the power of the levels."""
        levels, size = [], x.shape[2:]
        for conv, norm in zip(self.down, self.norms, strict=True):
            x = functional.relu(norm(conv(x)))
            levels.append(x)
        for finer, conv, norm in zip(
            reversed(levels[:-1]), reversed(self.up), reversed(self.up_norms), strict=True
        ):
            x = functional.relu(norm(finer + enlarged(conv(x), finer.shape[2:])))
        # Enlarged before the last convolution, which smooths the steps between the coarse cells.
        return self.out(enlarged(x, size))


def enlarged(x: Tensor, size: torch.Size) -> Tensor:
    """(B, C, ...) of three spatial axes at another ``size``, trilinear."""
    return functional.interpolate(x, size=size, mode="trilinear", align_corners=False)


class VolumeEncoder(nn.Module):
    """(B, channels, R, R, R), axes z, y, x, to features (B, F, R / 4, R / 4, R / 4).

    In training mode the list also holds the earlier blocks' outputs, each through a 3^3 convolution of its
    own (where the configuration has them); inference computes the last block's alone.
    """

    def __init__(self, config: VolumeEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.stem_convs = nn.ModuleList()
        self.stem_norms = nn.ModuleList()
        previous = config.channels
        for kernel, stride, dilation, width in config.stem:
            # Chosen so that the output has exactly 1 / stride of the input's voxels a side.
            padding = (dilation * (kernel - 1) + 2 - stride) // 2
            self.stem_convs.append(nn.Conv3d(previous, width, kernel, stride, padding, dilation))
            self.stem_norms.append(nn.GroupNorm(config.norm_groups, width))
            previous = width
        self.blocks = nn.ModuleList(
            PlainResidual(
                previous,
                config.norm_groups,
                dimensions=3,
                middle=config.block_middle,
                dilation=config.block_dilation,
                idle_layers=config.idle_layers,
            )
            for _ in range(config.blocks)
        )
        self.context = VolumeContext(previous, config.context, config.norm_groups) if config.context else None
        heads = max(config.blocks - 1, 0) if config.intermediate_outputs else 0
        self.heads = nn.ModuleList(nn.Conv3d(previous, previous, 3, padding=1) for _ in range(heads))

    def forward(self, volume: Tensor) -> list[Tensor]:
        """(B, C, R, R, R) to feature volumes; the last entry is the one for inference."""
        x = volume
        for conv, norm in zip(self.stem_convs, self.stem_norms, strict=True):
            x = functional.relu(norm(conv(x)))
        outputs = []
        if self.context is not None:
            x = x + self.context(x)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if self.training and i < len(self.heads):
                outputs.append(self.heads[i](x))
        return [*outputs, x]
