"""What happens to a batch between the loader and the network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Batch = dict[str, Tensor]

_X_FIRST = ("points", "color_points", "normals", "body", "body_true")
"""Entries (B, N, 3) whose first coordinate changes its sign in the mirror."""


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on ``device``, images channels-last, volumes as float."""
    moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
    moved["image"] = moved["image"].contiguous(memory_format=torch.channels_last)
    moved["volume"] = moved["volume"].float()
    return moved


def mirror(batch: Batch, chosen: Tensor) -> Batch:
    """The batch with the samples of ``chosen`` (B,) bool seen in a mirror (x becomes -x).

    Image columns and volume x are reversed, points, normals and body vertices change sign in x. A mirrored
    body is no longer in its vertex order, which no network here reads.
    """
    mirrored = dict(batch)
    for key in ("image", "volume"):
        flipped = batch[key].flip(-1)
        mirrored[key] = torch.where(chosen.view(-1, *[1] * (flipped.dim() - 1)), flipped, batch[key])
    sign = torch.where(chosen, -1.0, 1.0)
    turn = torch.stack([sign, torch.ones_like(sign), torch.ones_like(sign)], dim=-1)[:, None]
    for key in _X_FIRST:
        if key in batch and batch[key].shape[1]:
            mirrored[key] = batch[key] * turn
    return mirrored


def sample_image(image: Tensor, points: Tensor) -> Tensor:
    """The image (B, C, S, S) at the projections of box points (B, N, 3): (B, N, C), bilinear, float32."""
    grid = torch.stack([points[..., 0] * 2.0, points[..., 1] * -2.0], dim=-1)[:, None].float()
    sampled = F.grid_sample(image.float(), grid, padding_mode="border", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


def outline_weights(mask: Tensor, points: Tensor, strength: float = 1.0, width: int = 5) -> Tensor:
    """Loss weights (B, N): 1 + ``strength`` within ``width`` // 2 pixels of the outline, 1 elsewhere.

    ``mask`` (B, 1, S, S) in [0, 1]; ``points`` (B, N, 3) box. The outline is the one thing of the shape that
    a photo shows exactly, so the surface is held to it more firmly than elsewhere.
    """
    padding = width // 2
    widest = F.max_pool2d(mask, width, 1, padding)
    narrowest = -F.max_pool2d(-mask, width, 1, padding)
    return 1.0 + strength * sample_image(widest - narrowest, points)[..., 0]
