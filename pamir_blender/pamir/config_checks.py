"""Refuses configurations that no network can be built from; weights files come from strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import WeightsError

if TYPE_CHECKING:
    from .config import (
        CameraConfig,
        DecoderConfig,
        GeometryConfig,
        ImageEncoderConfig,
        TextureEncoderConfig,
        VolumeEncoderConfig,
    )

VARIANTS = ("paper", "released")


def require(condition: bool, what: str) -> None:
    """Raise WeightsError naming ``what`` unless ``condition`` holds."""
    if not condition:
        raise WeightsError(f"The network configuration is not usable: {what}. Use the file it came with.")


def check_image(c: ImageEncoderConfig) -> None:
    """Raise WeightsError for an image encoder that cannot be built."""
    require(c.image_channels in (3, 4), f"image_channels={c.image_channels}, 3 or 4 expected")
    require(c.stem_stride in (2, 4), f"stem_stride={c.stem_stride}, 2 or 4 expected")
    require(1 <= c.stacks <= 8 and 1 <= c.residuals <= 8, "stacks and residuals must be 1 to 8")
    require(2 <= len(c.level_widths) <= 8, "level_widths needs 2 to 8 entries")
    step = c.stem_stride * 2 ** (len(c.level_widths) - 1)
    require(c.image_size % step == 0 and 0 < c.image_size <= 2048, f"image_size={c.image_size}, step {step}")
    widths = (c.stem_channels, c.feature_channels, *c.level_widths)
    require(all(0 < w <= 4096 for w in widths), "image encoder widths out of range")
    require(1 <= c.norm_groups <= 64, f"norm_groups={c.norm_groups}")
    require(all(w % (2 * c.norm_groups) == 0 for w in c.level_widths), "level_widths do not fit norm_groups")
    require(c.stem_channels % c.norm_groups == 0, "stem_channels do not fit norm_groups")


def check_volume(c: VolumeEncoderConfig) -> None:
    """Raise WeightsError for a volume encoder that cannot be built."""
    require(0 < c.channels <= 16 and 8 <= c.resolution <= 512, "volume channels or resolution out of range")
    require(1 <= len(c.stem) <= 4 and 0 <= c.blocks <= 8, "volume stem or blocks out of range")
    require(1 <= c.norm_groups <= 64 and 1 <= c.block_dilation <= 4, "volume norm_groups or dilation")
    require(0 < c.block_middle <= 1024 and c.block_middle % c.norm_groups == 0, "volume block_middle")
    require(c.interpolation in ("linear", "quadratic"), f"volume interpolation={c.interpolation!r}")
    require(len(c.context) <= 6, "volume context has more than 6 levels")
    require(all(0 < w <= 1024 and w % c.norm_groups == 0 for w in c.context), "volume context widths")
    for kernel, stride, dilation, width in c.stem:
        require(1 <= kernel <= 9 and 1 <= stride <= 8 and 1 <= dilation <= 4, "volume stem row out of range")
        require(0 < width <= 1024 and width % c.norm_groups == 0, "volume widths do not fit norm_groups")


def check_decoder(c: DecoderConfig) -> None:
    """Raise WeightsError for a decoder that cannot be built."""
    require(2 <= len(c.hidden) <= 8 and all(0 < w <= 8192 for w in c.hidden), "decoder widths out of range")


def check_camera(c: CameraConfig) -> None:
    """Raise WeightsError for an unusable camera."""
    require(c.variant in VARIANTS, f"variant={c.variant!r}, one of {VARIANTS} expected")
    require(c.focal > 0 and c.image_size > 0 and c.distance > 1, "camera numbers out of range")


def check_texture_encoder(c: TextureEncoderConfig) -> None:
    """Raise WeightsError for a texture encoder that cannot be built."""
    require(c.image_channels in (3, 4), f"image_channels={c.image_channels}, 3 or 4 expected")
    require(c.image_size % 4 == 0 and 0 < c.image_size <= 2048, f"image_size={c.image_size}")
    require(1 <= c.norm_groups <= 64 and 0 <= c.blocks <= 16, "texture norm_groups or blocks out of range")
    require(all(0 < w <= 4096 and w % c.norm_groups == 0 for w in c.widths), "texture widths, norm_groups")


def check_fusion(c: GeometryConfig) -> None:
    """Raise WeightsError where photo and body cannot be laid into one volume."""
    groups, side, pixels = c.volume.norm_groups, c.volume.feature_resolution, c.image.feature_size
    require(len(c.fusion) <= 6, "fusion has more than 6 levels")
    require(c.volume.feature_channels % (2 * groups) == 0, "volume widths do not fit the fusion")
    require(all(0 < w <= 1024 and w % groups == 0 for w in c.fusion), "fusion widths")
    require(side > 0 and side % 2 ** len(c.fusion) == 0, f"fusion has too many levels for {side} voxels")
    require(pixels % side == 0, f"fusion of {pixels} pixels with {side} voxels")
    require(c.camera.variant == "paper", "fusion needs weak perspective")
