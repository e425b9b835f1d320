"""What happens to a batch between the loader and the network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Batch = dict[str, Tensor]

_X_FIRST = ("points", "color_points", "normals", "body", "body_true")
"""Entries (B, N, 3) whose first coordinate changes its sign in the mirror."""


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on ``device``, images channels-last, volumes (if any) as float."""
    moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
    moved["image"] = moved["image"].contiguous(memory_format=torch.channels_last)
    if "volume" in moved:
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


def recolor(batch: Batch, share: float = 0.8) -> Batch:
    """The batch with image and surface colours of a random ``share`` of samples changed alike.

    Channels are permuted and the saturation multiplied by 0.7 to 2; white and greys stay what they are. Few
    garments' colours are in the data, and a network that sees only those guesses them instead of reading the
    photo. Changes ``image`` (B, 4, S, S) and ``colors`` (B, M, 3).
    """
    image, colors = batch["image"].clone(), batch["colors"].clone()
    for item in torch.nonzero(torch.rand(len(image)) < share).flatten().tolist():
        order = torch.eye(3)[torch.randperm(3)]
        saturation = 0.7 + 1.3 * torch.rand(()) ** 2
        change = saturation * order + (1.0 - saturation) * torch.full((3, 3), 1.0 / 3.0)
        image[item, :3] = torch.einsum("dc,chw->dhw", change, image[item, :3]).clamp(0.0, 1.0)
        colors[item] = (colors[item] @ change.T).clamp(0.0, 1.0)
    return {**batch, "image": image, "colors": colors}


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
