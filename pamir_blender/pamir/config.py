"""Every number that shapes a network, in frozen dataclasses that travel with the weights.

``paper`` is the published network, layer for layer; ``lite`` is the same three parts, narrower, for a
laptop without a GPU. The paper is Zheng et al., "PaMIR: Parametric Model-Conditioned Implicit
Representation for Image-based Human Reconstruction", TPAMI 2021 (section 4 and Table 1).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Self

from ..errors import WeightsError

VARIANTS = ("paper", "released")
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
    3^3 convolution of its own, read in training only; ``idle_layers``: see :class:`GeometryConfig`.
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

    @property
    def feature_channels(self) -> int:
        """Channels of the output."""
        return self.stem[-1][3]


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
    """To and from plain JSON values; unknown, missing or mistyped entries are refused."""

    def to_dict(self) -> dict[str, Any]:
        """Nested dict of JSON values."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; raises WeightsError naming the offending entry."""
        config = _build(cls, values, cls.__name__)
        config.validate()
        return config


@dataclass(frozen=True)
class GeometryConfig(_ConfigDict):
    """The geometry network: image encoder, volume encoder, decoder to one occupancy.

    The authors' parameter count (Table 1) includes layers that nothing computes with: one norm and one
    convolution per residual block of the volume and texture encoders. ``volume.idle_layers`` carries them, so
    that the count agrees and the authors' checkpoints fit; it changes no result.
    """

    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    volume: VolumeEncoderConfig = field(default_factory=VolumeEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    size: str = "paper"

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
            ),
            decoder=DecoderConfig(hidden=(256, 256, 128, 128)),
            size="lite",
        )

    @property
    def point_channels(self) -> int:
        """Channels of one point's feature: image and volume."""
        return self.image.feature_channels + self.volume.feature_channels

    def validate(self) -> None:
        """Raise WeightsError for values no network can be built from."""
        _check_image(self.image)
        _check_volume(self.volume)
        _check_decoder(self.decoder)
        _check_camera(self.camera)


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
            volume=geometry.volume,
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
        _check_texture_encoder(self.image)
        _check_volume(self.volume)
        _check_decoder(self.decoder)
        _check_camera(self.camera)
        _require(0 <= self.geometry_channels <= 4096, f"geometry_channels={self.geometry_channels}")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise WeightsError(f"The network configuration is not usable: {what}. Use the file it came with.")


def _check_image(c: ImageEncoderConfig) -> None:
    _require(c.image_channels in (3, 4), f"image_channels={c.image_channels}, 3 or 4 expected")
    _require(c.stem_stride in (2, 4), f"stem_stride={c.stem_stride}, 2 or 4 expected")
    _require(1 <= c.stacks <= 8 and 1 <= c.residuals <= 8, "stacks and residuals must be 1 to 8")
    _require(2 <= len(c.level_widths) <= 8, "level_widths needs 2 to 8 entries")
    step = c.stem_stride * 2 ** (len(c.level_widths) - 1)
    _require(c.image_size % step == 0 and 0 < c.image_size <= 2048, f"image_size={c.image_size}, step {step}")
    widths = (c.stem_channels, c.feature_channels, *c.level_widths)
    _require(all(0 < w <= 4096 for w in widths), "image encoder widths out of range")
    _require(1 <= c.norm_groups <= 64, f"norm_groups={c.norm_groups}")
    _require(all(w % (2 * c.norm_groups) == 0 for w in c.level_widths), "level_widths do not fit norm_groups")
    _require(c.stem_channels % c.norm_groups == 0, "stem_channels do not fit norm_groups")


def _check_volume(c: VolumeEncoderConfig) -> None:
    _require(0 < c.channels <= 16 and 8 <= c.resolution <= 512, "volume channels or resolution out of range")
    _require(1 <= len(c.stem) <= 4 and 0 <= c.blocks <= 8, "volume stem or blocks out of range")
    _require(1 <= c.norm_groups <= 64 and 1 <= c.block_dilation <= 4, "volume norm_groups or dilation")
    _require(0 < c.block_middle <= 1024 and c.block_middle % c.norm_groups == 0, "volume block_middle")
    for kernel, stride, dilation, width in c.stem:
        _require(1 <= kernel <= 9 and 1 <= stride <= 8 and 1 <= dilation <= 4, "volume stem row out of range")
        _require(0 < width <= 1024 and width % c.norm_groups == 0, "volume widths do not fit norm_groups")


def _check_decoder(c: DecoderConfig) -> None:
    _require(2 <= len(c.hidden) <= 8 and all(0 < w <= 8192 for w in c.hidden), "decoder widths out of range")


def _check_camera(c: CameraConfig) -> None:
    _require(c.variant in VARIANTS, f"variant={c.variant!r}, one of {VARIANTS} expected")
    _require(c.focal > 0 and c.image_size > 0 and c.distance > 1, "camera numbers out of range")


def _check_texture_encoder(c: TextureEncoderConfig) -> None:
    _require(c.image_channels in (3, 4), f"image_channels={c.image_channels}, 3 or 4 expected")
    _require(c.image_size % 4 == 0 and 0 < c.image_size <= 2048, f"image_size={c.image_size}")
    _require(1 <= c.norm_groups <= 64 and 0 <= c.blocks <= 16, "texture norm_groups or blocks out of range")
    _require(all(0 < w <= 4096 and w % c.norm_groups == 0 for w in c.widths), "texture widths, norm_groups")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _build(kind: type, values: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}
    _require(isinstance(values, dict), f"{where} is not a table")
    _require(
        set(values) == names, f"{where} has entries {sorted(map(str, values))}, expected {sorted(names)}"
    )
    return kind(**{name: _typed(hints[name], values[name], f"{where}.{name}") for name in names})


def _typed(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        _require(isinstance(value, (list, tuple)), f"{where} is not a list")
        kinds = typing.get_args(hint)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        _require(len(kinds) == len(value), f"{where} has {len(value)} entries")
        return tuple(_typed(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    accepted: type | types.UnionType = int | float if hint is float else hint
    ok = isinstance(value, accepted) and (hint is bool or not isinstance(value, bool))
    _require(ok, f"{where}={value!r} is not of type {hint.__name__}")
    return float(value) if hint is float else value
