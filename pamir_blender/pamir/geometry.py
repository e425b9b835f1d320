"""The geometry network: image, body volume and points to occupancy (PaMIR equation 2, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import GeometryConfig
from .decoder import Decoder
from .feature_sampling import project_points, sample_map
from .field_features import FieldFeatures, collect, encode_once, encoding, inference_dtype, query_logits
from .image_encoder import ImageEncoder
from .volume_encoder import VolumeEncoder
from .volume_fusion import VolumeFusion

FeatureMaps = Tensor | list[Tensor]


def last_map(features: FeatureMaps) -> Tensor:
    """The map that inference reads: the last one of a list."""
    return features if isinstance(features, Tensor) else features[-1]


class GeometryNetwork(nn.Module):
    """Occupancy in [0, 1] at box points: 1 inside the clothed person, the surface at 0.5."""

    kind = "geometry"

    def __init__(self, config: GeometryConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config.image)
        self.volume_encoder = VolumeEncoder(config.volume)
        self.fusion = _fusion(config) if config.fusion else None
        self.decoder = Decoder(config.point_channels, 1, config.decoder)

    def encode_image(self, image: Tensor) -> list[Tensor]:
        """(B, C, S, S) RGB(+mask) in [0, 1], white background, to one map (B, F, S', S') per stack."""
        return self.image_encoder(image)

    def encode_volume(self, volume: Tensor, image_features: FeatureMaps | None = None) -> list[Tensor]:
        """V_O (B, Cv, R, R, R), axes z, y, x, to feature volumes; more than one only in training mode.

        ``image_features`` of the same views: networks with a fusion need them, for the last volume alone.
        """
        *earlier, last = self.volume_encoder(volume)
        if self.fusion is not None:
            if image_features is None:
                raise ValueError("this network's volume needs the image's features, too")
            last = self.fusion(last, last_map(image_features))
        return [*earlier, last]

    def point_features(
        self, image_features: FeatureMaps, volume_features: FeatureMaps, points: Tensor
    ) -> Tensor:
        """(B, N, 3) box points to (B, N, F + Fv) float32: the image at pi(p), the volume at p."""
        pixel = sample_map(last_map(image_features), project_points(points, self.config.camera))
        interpolation = self.config.volume.interpolation
        return torch.cat([pixel, sample_map(last_map(volume_features), points * 2.0, interpolation)], dim=-1)

    def decode(
        self,
        image_features: FeatureMaps,
        volume_features: FeatureMaps,
        points: Tensor,
        *,
        logits: bool = False,
    ) -> Tensor:
        """Occupancy (B, N) float32 at box points (B, N, 3); before the sigmoid with ``logits``."""
        features = self.point_features(image_features, volume_features, points)
        value = self.decoder(features).squeeze(-1).float()
        return value if logits else torch.sigmoid(value)

    def decode_stages(
        self,
        image_features: list[Tensor],
        volume_features: list[Tensor],
        points: Tensor,
        *,
        logits: bool = False,
    ) -> list[Tensor]:
        """Occupancy of every training stage: the last outputs of both encoders, paired from the end.

        ``lite`` has one stage, ``paper`` three (in training mode). The last entry equals :meth:`decode`.
        """
        stages = min(len(image_features), len(volume_features))
        pairs = zip(image_features[-stages:], volume_features[-stages:], strict=True)
        return [self.decode(image, volume, points, logits=logits) for image, volume in pairs]

    def forward(self, image: Tensor, volume: Tensor, points: Tensor) -> Tensor:
        """Occupancy (B, N) from the image, V_O and points, in one go."""
        features = self.encode_image(image)
        return self.decode(features, self.encode_volume(volume, features), points)

    def prepare(
        self,
        image: Tensor | None,
        volume: Tensor,
        *,
        image_map: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> FieldFeatures:
        """Encode one photo and one body for :meth:`query`; no gradients.

        ``image`` (1, C, S, S); or pass None and, as ``image_map``, the first of an earlier result's
        ``image_maps`` (the photo's features do not depend on the body). ``volume`` (1, Cv, R, R, R).
        ``dtype``: the number format of the convolutions and matrix products, by default
        :func:`~pamir_blender.pamir.field_features.inference_dtype`'s choice for the network's device.
        """
        dtype = dtype or inference_dtype(self.decoder.layers[0].weight.device)
        if image_map is None:
            if image is None:
                raise ValueError("either the image or its features are needed")
            image_map = encode_once(self.image_encoder, image, dtype)
        volume_map = encode_once(self.volume_encoder, volume, dtype)
        if self.fusion is not None:
            with encoding(volume_map.device, dtype):
                volume_map = self.fusion(volume_map, image_map).float()
        return collect([image_map], volume_map, self.decoder, self.config, dtype)

    def query(self, features: FieldFeatures, points: Tensor) -> Tensor:
        """Occupancy (N,) float32 at box points (N, 3), by the fast path; no gradients."""
        return torch.sigmoid(query_logits(features, points).squeeze(-1))


def _fusion(config: GeometryConfig) -> VolumeFusion:
    shrink = config.image.feature_size // config.volume.feature_resolution
    channels, groups = config.volume.feature_channels, config.volume.norm_groups
    return VolumeFusion(channels, config.image.feature_channels, shrink, config.fusion, groups)
