"""Every number that shapes a network, in frozen dataclasses that travel with the weights.

``paper`` is the published network, layer for layer; ``lite`` is the same three parts, narrower, for a
laptop without a GPU. The paper is Zheng et al., "PaMIR: Parametric Model-Conditioned Implicit
Representation for Image-based Human Reconstruction", TPAMI 2021 (section 4 and Table 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

from . import config_checks as checks
from .config_values import config_from_dict, config_to_dict

SIZES = ("lite", "paper")


@dataclass(frozen=True)
class ImageEncoderConfig:
    """Stacked hourglass (section 4.2).

    ``image_size`` pixels a side; ``image_channels`` 3 = RGB, 4 = RGB and mask; ``stem_stride`` 4 or 2:
    image pixels per feature pixel; ``level_widths`` channels from the full feature resolution down to the
    coarsest level, so the hourglass is ``len(level_widths) - 1`` deep; ``residuals`` residual modules per
    step; ``feature_channels`` of each stack's output; ``norm_groups`` of every group norm.
    """

    image_size: int = 512
    image_channels: int = 3
    stem_stride: int = 4
    stem_channels: int = 64
    stacks: int = 4
    level_widths: tuple[int, ...] = (128, 128, 128, 128, 128)
    residuals: int = 3
    feature_channels: int = 256
    norm_groups: int = 4

    @property
    def feature_size(self) -> int:
        """Side of the feature maps in pixels."""
        return self.image_size // self.stem_stride


@dataclass(frozen=True)
class VolumeEncoderConfig:
    """3D convolutions with group norm (section 4.2).

    ``resolution`` voxels a side of V_O; ``channels`` 1 = plain occupancy, 3 = semantic code; ``stem`` rows
    of (kernel, stride, dilation, output channels); ``blocks`` residual blocks behind it, ``block_middle``
    channels between the two convolutions of each; ``intermediate_outputs`` gives each block but the last a
    3^3 convolution of its own, read in training only; ``idle_layers``: see :class:`GeometryConfig`;
    ``interpolation`` "linear" as in the paper, or "quadratic": see
    :func:`~pamir_blender.pamir.feature_sampling.corner_weights`; ``context`` channels of coarser levels, each
    of half the resolution of the one before, whose features are added to the output (none in the paper).
    """

    resolution: int = 128
    channels: int = 3
    stem: tuple[tuple[int, int, int, int], ...] = ((5, 2, 2, 8), (5, 2, 2, 32))
    blocks: int = 3
    block_middle: int = 32
    block_dilation: int = 2
    norm_groups: int = 4
    intermediate_outputs: bool = True
    idle_layers: bool = True
    # Files written before this entry existed meant "linear".
    interpolation: str = field(default="linear", metadata={"optional": True})
    context: tuple[int, ...] = field(default=(), metadata={"optional": True})

    @property
    def feature_channels(self) -> int:
        """Channels of the output."""
        return self.stem[-1][3]

    @property
    def feature_resolution(self) -> int:
        """Voxels a side of the output."""
        side = self.resolution
        for _, stride, _, _ in self.stem:
            side //= stride
        return side


@dataclass(frozen=True)
class DecoderConfig:
    """The implicit function's MLP: hidden widths, and the slope of its leaky ReLU."""

    hidden: tuple[int, ...] = (1024, 512, 256, 128)
    negative_slope: float = 0.2


@dataclass(frozen=True)
class CameraConfig:
    """How box points meet the image. ``variant`` "paper": weak perspective, the box's x and y are the image.

    ``variant`` "released": perspective with ``focal`` pixels on an image of ``image_size`` pixels, the box's
    centre at ``distance`` box units.
    """

    variant: str = "paper"
    focal: float = 5000.0
    image_size: float = 512.0
    distance: float = 10.0


class _ConfigDict:
    """To and from plain JSON values."""

    def to_dict(self) -> dict[str, Any]:
        """Nested dict of JSON values."""
        return config_to_dict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; raises WeightsError naming the offending entry."""
        return config_from_dict(cls, values)


@dataclass(frozen=True)
class GeometryConfig(_ConfigDict):
    """The geometry network: image encoder, volume encoder, decoder to one occupancy.

    The authors' parameter count (Table 1) includes layers that nothing computes with: one norm and one
    convolution per residual block of the volume and texture encoders. ``volume.idle_layers`` carries them, so
    that the count agrees and the authors' checkpoints fit; it changes no result.

    ``fusion``: channels of the levels in which photo and body are looked at together
    (:mod:`.volume_fusion`), none in the paper.
    """

    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    volume: VolumeEncoderConfig = field(default_factory=VolumeEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    size: str = "paper"
    # Files written before this entry existed meant none.
    fusion: tuple[int, ...] = field(default=(), metadata={"optional": True})

    @classmethod
    def paper(cls, *, variant: str = "paper", volume_channels: int = 3) -> Self:
        """27,225,105 parameters: Table 1 counts 3 (semantic) volume channels, the text's V_O has 1."""
        return cls(volume=VolumeEncoderConfig(channels=volume_channels), camera=CameraConfig(variant=variant))

    @classmethod
    def lite(cls, *, image_channels: int = 4, volume_channels: int = 1) -> Self:
        """The shipping size: 256^2 image to 128^2 features, a patchified volume, for two CPU cores."""
        return cls(
            image=ImageEncoderConfig(
                image_size=256,
                image_channels=image_channels,
                stem_stride=2,
                stem_channels=32,
                stacks=1,
                level_widths=(32, 64, 128, 192, 192),
                residuals=1,
                feature_channels=32,
            ),
            volume=VolumeEncoderConfig(
                channels=volume_channels,
                stem=((4, 4, 1, 16), (3, 1, 1, 32)),
                blocks=0,
                intermediate_outputs=False,
                idle_layers=False,
                context=(32, 48, 64),
            ),
            decoder=DecoderConfig(hidden=(256, 256, 128, 128)),
            size="lite",
            fusion=(48, 96, 128),
        )

    @property
    def point_channels(self) -> int:
        """Channels of one point's feature: image and volume."""
        return self.image.feature_channels + self.volume.feature_channels

    def validate(self) -> None:
        """Raise WeightsError for values no network can be built from."""
        checks.check_image(self.image)
        checks.check_volume(self.volume)
        checks.check_decoder(self.decoder)
        checks.check_camera(self.camera)
        if self.fusion:
            checks.check_fusion(self)


@dataclass(frozen=True)
class TextureEncoderConfig:
    """CycleGAN-like image encoder (section 4.5): ``widths`` at full, half and quarter resolution."""

    image_size: int = 512
    image_channels: int = 3
    widths: tuple[int, int, int] = (64, 128, 256)
    blocks: int = 6
    norm_groups: int = 32
    idle_layers: bool = True


@dataclass(frozen=True)
class TextureConfig(_ConfigDict):
    """The texture network: image encoder, volume encoder, decoder to RGB and alpha (section 4.5).

    ``geometry_channels``: channels of the frozen geometry encoder's feature that are appended to the texture
    encoder's own; 0 = not used.
    """

    image: TextureEncoderConfig = field(default_factory=TextureEncoderConfig)
    volume: VolumeEncoderConfig = field(default_factory=VolumeEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    geometry_channels: int = 256
    size: str = "paper"

    @classmethod
    def paper(cls, *, variant: str = "paper", volume_channels: int = 3) -> Self:
        """13,085,268 parameters; 13,088,268 (Table 1) with ``volume_channels=6``."""
        return cls(volume=VolumeEncoderConfig(channels=volume_channels), camera=CameraConfig(variant=variant))

    @classmethod
    def lite(cls, *, image_channels: int = 4, volume_channels: int = 1) -> Self:
        """The shipping size, beside ``GeometryConfig.lite()``."""
        geometry = GeometryConfig.lite(image_channels=image_channels, volume_channels=volume_channels)
        return cls(
            image=TextureEncoderConfig(
                image_size=256,
                image_channels=image_channels,
                widths=(16, 32, 64),
                blocks=4,
                norm_groups=8,
                idle_layers=False,
            ),
            volume=replace(geometry.volume, context=()),  # colour is asked for near the body alone
            decoder=DecoderConfig(hidden=(256, 256, 128, 128)),
            geometry_channels=geometry.image.feature_channels,
            size="lite",
        )

    @property
    def point_channels(self) -> int:
        """Channels of one point's feature: texture encoder, frozen geometry encoder, volume."""
        return self.image.widths[-1] + self.geometry_channels + self.volume.feature_channels

    def validate(self) -> None:
        """Raise WeightsError for values no network can be built from."""
        checks.check_texture_encoder(self.image)
        checks.check_volume(self.volume)
        checks.check_decoder(self.decoder)
        checks.check_camera(self.camera)
        checks.require(0 <= self.geometry_channels <= 4096, f"geometry_channels={self.geometry_channels}")
