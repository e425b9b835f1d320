"""The 3D convolutional encoder of the voxelised body V_O (PaMIR section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .blocks import PlainResidual
from .config import VolumeEncoderConfig


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
        heads = max(config.blocks - 1, 0) if config.intermediate_outputs else 0
        self.heads = nn.ModuleList(nn.Conv3d(previous, previous, 3, padding=1) for _ in range(heads))

    def forward(self, volume: Tensor) -> list[Tensor]:
        """(B, C, R, R, R) to feature volumes; the last entry is the one for inference."""
        x = volume
        for conv, norm in zip(self.stem_convs, self.stem_norms, strict=True):
            x = functional.relu(norm(conv(x)))
        outputs = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if self.training and i < len(self.heads):
                outputs.append(self.heads[i](x))
        return [*outputs, x]
