"""The texture network's image encoder (PaMIR section 4.5; the generator's first half in CycleGAN)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .blocks import PlainResidual
from .config import TextureEncoderConfig


class TextureEncoder(nn.Module):
    """(B, image_channels, S, S) RGB(+mask) in [0, 1] to features (B, widths[2], S / 4, S / 4)."""

    def __init__(self, config: TextureEncoderConfig) -> None:
        super().__init__()
        self.config = config
        full, half, quarter = config.widths
        groups = config.norm_groups
        self.conv1 = nn.Conv2d(config.image_channels, full, 7, padding=3, padding_mode="circular")
        self.norm1 = nn.GroupNorm(groups, full)
        self.conv2 = nn.Conv2d(full, half, 3, stride=2, padding=1)
        self.norm2 = nn.GroupNorm(groups, half)
        self.conv3 = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.norm3 = nn.GroupNorm(groups, quarter)
        self.blocks = nn.Sequential(
            *(
                PlainResidual(quarter, groups, dimensions=2, idle_layers=config.idle_layers)
                for _ in range(config.blocks)
            )
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, S, S) to (B, widths[2], S / 4, S / 4)."""
        x = functional.relu(self.norm1(self.conv1(image)))
        x = functional.relu(self.norm2(self.conv2(x)))
        x = functional.relu(self.norm3(self.conv3(x)))
        return self.blocks(x)
