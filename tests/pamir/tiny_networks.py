"""Tiny networks with every feature of the real ones, shared by the tests beside it."""

from dataclasses import replace

import torch

from pamir_blender.pamir.config import (
    CameraConfig,
    DecoderConfig,
    GeometryConfig,
    ImageEncoderConfig,
    TextureConfig,
    TextureEncoderConfig,
    VolumeEncoderConfig,
)
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.pamir.texture import TextureNetwork

VOLUME = VolumeEncoderConfig(
    resolution=16, channels=3, stem=((5, 2, 2, 4), (5, 2, 2, 8)), blocks=3, block_middle=8
)


def geometry_config(*, variant="paper", interpolation="linear", fusion=(), **image):
    values = {
        "image_size": 64, "stem_channels": 8, "stacks": 2, "level_widths": (16, 16, 16), "residuals": 2,
        "feature_channels": 12,
    }  # fmt: skip
    return GeometryConfig(
        image=ImageEncoderConfig(**(values | image)),
        volume=replace(VOLUME, interpolation=interpolation),
        decoder=DecoderConfig(hidden=(24, 16, 12, 8)),
        camera=CameraConfig(variant=variant),
        fusion=fusion,
    )


def texture_config(*, geometry_channels=12, idle_layers=True):
    return TextureConfig(
        image=TextureEncoderConfig(
            image_size=64, widths=(8, 16, 16), blocks=2, norm_groups=4, idle_layers=idle_layers
        ),
        volume=replace(VOLUME, idle_layers=idle_layers),
        decoder=DecoderConfig(hidden=(24, 16, 12, 8)),
        geometry_channels=geometry_channels,
    )


def randomise(network, seed=0):
    """Weights, biases and norms all away from their defaults, so that nothing cancels by accident."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim > 1:
                value.copy_(noise * 1.4 / value[0].numel() ** 0.5)
            elif name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
                value.copy_(1 + 0.3 * noise.tanh())
            else:
                value.copy_(0.2 * noise)
    return network


def geometry(seed=0, **config):
    return randomise(GeometryNetwork(geometry_config(**config)), seed).eval()


def texture(seed=0, **config):
    return randomise(TextureNetwork(texture_config(**config)), seed).eval()


def inputs(batch=1, points=50, seed=0):
    """Image (B, 3, 64, 64), volume (B, 3, 16, 16, 16), points (B, N, 3) some of them outside the box."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, 64, 64, generator=generator)
    volume = torch.rand(batch, 3, 16, 16, 16, generator=generator)
    return image, volume, torch.rand(batch, points, 3, generator=generator) * 1.2 - 0.6
