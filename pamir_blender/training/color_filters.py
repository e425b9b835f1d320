"""A start for the texture encoder that sees colours.

Its group norms divide by each channel group's spread over the picture. With random first filters that spread
is the contrast of person and white background, and hue, a tenth of it, is all but lost: trained for minutes,
the network returns greys. Filters in pairs of opponent colours answer 0 to white and grey, so that the norm
raises hue to full size instead (as the retina does before anything else).
"""

from __future__ import annotations

import torch
from torch import nn

OPPONENTS = ((1.0, -1.0, 0.0), (-0.5, -0.5, 1.0), (1.0, -0.5, -0.5), (-0.5, 1.0, -0.5))
"""Red against green, blue against yellow, red and green against the rest."""


@torch.no_grad()
def start_with_opponent_colors(convolution: nn.Conv2d, norm: nn.GroupNorm) -> int:
    """Set the first filters of ``convolution`` to opponent colours, in place; returns how many.

    ``convolution`` (3 or 4 channels in, C out) is followed by ``norm``. Each opponent fills one of the norm's
    groups, half of it with either sign, as the ReLU behind keeps positive answers only. Does nothing where
    the groups are too few for two unlike halves and as many other filters.
    """
    width = convolution.out_channels // norm.num_groups
    if width < 2 or norm.num_groups < 2 * len(OPPONENTS):
        return 0
    side = convolution.kernel_size[0]
    axis = torch.arange(side) - (side - 1) / 2
    bell = torch.exp(-(axis**2) / (2 * (side / 5) ** 2))
    window = torch.outer(bell, bell) / bell.sum() ** 2
    for number, opponent in enumerate(OPPONENTS):
        for position in range(width):
            channel = number * width + position
            sign = 1.0 if position < width // 2 else -1.0
            convolution.weight[channel] = 0.0
            convolution.weight[channel, :3] = sign * torch.tensor(opponent)[:, None, None] * window
            convolution.bias[channel] = 0.0
            norm.weight[channel], norm.bias[channel] = 1.0, 0.0
    return len(OPPONENTS) * width
