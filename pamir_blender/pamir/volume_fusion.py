"""Photo and body together in three dimensions, before any point is asked.

In the paper a point's image feature and volume feature meet in the decoder alone. How far behind the legs a
coat hangs depends on both at once and on places far from the point: on where the back is above it, and on
the photo showing a coat at all. So the ``lite`` size lays the photo's features through the volume, slice by
slice along the view, and lets coarse levels look at both.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import PlainResidual
from .volume_encoder import enlarged


class VolumeFusion(nn.Module):
    """What photo and body together add to the body's features.

    A volume (B, F, D, D, D), axes z, y, x, and an image map (B, Fi, H, H), H a multiple of D, give the
    volume again with more in it. Weak perspective is taken for granted: a column of voxels along z is seen
    by one square of pixels. Each of ``widths`` is a level of half the resolution of the one before. The last
    convolution begins at zero, so that a network trained without this can be trained on with it.
    """

    def __init__(
        self, channels: int, image_channels: int, shrink: int, widths: tuple[int, ...], norm_groups: int
    ) -> None:
        """``shrink``: pixels of the image map for one voxel, along a side."""
        super().__init__()
        self.image = nn.Conv2d(image_channels, channels, shrink, stride=shrink)
        self.image_norm = nn.GroupNorm(norm_groups, channels)
        before = (2 * channels, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=2, padding=1) for a, b in zip(before, widths, strict=True)
        )
        self.down_norms = nn.ModuleList(nn.GroupNorm(norm_groups, width) for width in widths)
        self.blocks = nn.ModuleList(PlainResidual(width, norm_groups, dimensions=3) for width in widths)
        self.up = nn.ModuleList(nn.Conv3d(b, a, 3, padding=1) for a, b in pairwise(widths))
        self.up_norms = nn.ModuleList(nn.GroupNorm(norm_groups, width) for width in widths[:-1])
        # Half as many channels where the volume is finest and convolutions are dearest.
        self.narrow = nn.Conv3d(widths[0], channels // 2, 1)
        self.narrow_norm = nn.GroupNorm(norm_groups, channels // 2)
        self.out = nn.Conv3d(channels // 2, channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, volume: Tensor, image: Tensor) -> Tensor:
        """(B, F, D, D, D) and (B, Fi, H, H) to (B, F, D, D, D); D divisible by two to the power of levels."""
        size = volume.shape[2:]
        seen = functional.relu(self.image_norm(self.image(image)))
        # The image's rows run down, the volume's y runs up.
        seen = seen.flip(-2).unsqueeze(2).expand(-1, -1, size[0], -1, -1)
        x = torch.cat([volume, seen.to(volume.dtype)], dim=1)
        levels = []
        for conv, norm, block in zip(self.down, self.down_norms, self.blocks, strict=True):
            x = block(functional.relu(norm(conv(x))))
            levels.append(x)
        for finer, conv, norm in zip(
            reversed(levels[:-1]), reversed(self.up), reversed(self.up_norms), strict=True
        ):
            x = functional.relu(norm(finer + enlarged(conv(x), finer.shape[2:])))
        x = functional.relu(self.narrow_norm(self.narrow(x)))
        # Enlarged before the last convolution, which smooths the steps between the coarse cells.
        return volume + self.out(enlarged(x, size))
