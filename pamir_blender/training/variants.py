"""What a network is conditioned on besides the photo: the body (PaMIR), or depth alone (the form of PIFu).

The baseline without a body is the same network, given a ramp along z in the body's place. Of the volume's
features a point then reads nothing but its own depth, and both forms have the same parameters and cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

VARIANTS = ("pamir", "pifu")


def depth_ramp(resolution: int) -> Tensor:
    """(1, R, R, R) float32, axes z, y, x: from 0 at the box's back to 1 at its front, the same in x and y."""
    depth = (torch.arange(resolution) + 0.5) / resolution
    return depth[:, None, None].expand(resolution, resolution, resolution)[None].clone()
