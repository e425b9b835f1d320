"""The implicit function: point features to occupancy, or to colour and alpha (PaMIR sections 4.2, 4.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import DecoderConfig


class Decoder(nn.Module):
    """MLP with the input put in front of the hidden vector before every hidden layer but the first.

    (..., in_channels) to (..., outputs) logits. The skips are not stated in the paper; its parameter count
    needs them.
    """

    def __init__(self, in_channels: int, outputs: int, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.in_channels = in_channels
        widths = [in_channels, *config.hidden]
        skips = [0] + [in_channels] * (len(config.hidden) - 1)
        layers = [nn.Linear(a + s, b) for a, s, b in zip(widths, skips, config.hidden, strict=False)]
        self.layers = nn.ModuleList([*layers, nn.Linear(config.hidden[-1], outputs)])

    def forward(self, features: Tensor) -> Tensor:
        """(..., in_channels) to logits (..., outputs)."""
        x = features
        for i, layer in enumerate(self.layers[:-1]):
            if i > 0:
                x = torch.cat([features.to(x.dtype), x], dim=-1)
            x = functional.leaky_relu(layer(x), self.config.negative_slope)
        return self.layers[-1](x)
