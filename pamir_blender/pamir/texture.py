"""The texture network: image, body volume and points to colour and alpha (PaMIR section 4.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import TextureConfig
from .decoder import Decoder
from .feature_sampling import project_points, sample_map
from .field_features import FieldFeatures, collect, encode_once, inference_dtype, query_logits
from .texture_encoder import TextureEncoder
from .volume_encoder import VolumeEncoder


class TextureNetwork(nn.Module):
    """RGB C'(p) and alpha in [0, 1] at box points, to be blended with the photo by equation 13."""

    kind = "texture"

    def __init__(self, config: TextureConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = TextureEncoder(config.image)
        self.volume_encoder = VolumeEncoder(config.volume)
        self.decoder = Decoder(config.point_channels, 4, config.decoder)

    def encode_image(
        self, image: Tensor, geometry_features: Tensor | list[Tensor] | None = None
    ) -> list[Tensor]:
        """Image (B, C, S, S) and the geometry network's features to the maps that one point samples.

        ``geometry_features``: what ``GeometryNetwork.encode_image`` gave for the same photo; its last map is
        used as it is and gets no gradient. Needed if and only if ``config.geometry_channels`` is not 0.
        Returns [texture (B, F, H, W)], with the geometry map (B, Fg, Hg, Wg) behind it where used.
        """
        return self._with_geometry(self.image_encoder(image), geometry_features)

    def _with_geometry(
        self, texture: Tensor, geometry_features: Tensor | list[Tensor] | None
    ) -> list[Tensor]:
        if not self.config.geometry_channels:
            return [texture]
        if geometry_features is None:
            raise ValueError("this texture network also reads the geometry network's image features")
        frozen = geometry_features if isinstance(geometry_features, Tensor) else geometry_features[-1]
        if frozen.shape[1] != self.config.geometry_channels:
            raise ValueError(
                f"the geometry features have {frozen.shape[1]} channels, "
                f"{self.config.geometry_channels} expected"
            )
        return [texture, frozen.detach()]

    def encode_volume(self, volume: Tensor) -> list[Tensor]:
        """V_O (B, Cv, R, R, R), axes z, y, x, to feature volumes, the last one for inference."""
        return self.volume_encoder(volume)

    def point_features(
        self, image_features: list[Tensor], volume_features: list[Tensor], points: Tensor
    ) -> Tensor:
        """(B, N, 3) box points to (B, N, point_channels) float32: texture, geometry, volume."""
        at = project_points(points, self.config.camera)
        samples = [sample_map(features, at) for features in image_features]
        interpolation = self.config.volume.interpolation
        samples.append(sample_map(volume_features[-1], points * 2.0, interpolation))
        return torch.cat(samples, dim=-1)

    def decode(
        self,
        image_features: list[Tensor],
        volume_features: list[Tensor],
        points: Tensor,
        *,
        logits: bool = False,
    ) -> Tensor:
        """(B, N, 4) float32 at box points (B, N, 3): sRGB red, green, blue and alpha, each in [0, 1].

        Before the sigmoid with ``logits``.
        """
        value = self.decoder(self.point_features(image_features, volume_features, points)).float()
        return value if logits else torch.sigmoid(value)

    def forward(
        self,
        image: Tensor,
        volume: Tensor,
        points: Tensor,
        geometry_features: Tensor | list[Tensor] | None = None,
    ) -> Tensor:
        """(B, N, 4) from the image, V_O and points, in one go."""
        return self.decode(self.encode_image(image, geometry_features), self.encode_volume(volume), points)

    def prepare(
        self,
        image: Tensor | None,
        volume: Tensor,
        *,
        geometry: FieldFeatures | None = None,
        image_map: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> FieldFeatures:
        """Encode one photo and one body for :meth:`query`; no gradients.

        ``geometry``: what ``GeometryNetwork.prepare`` gave for the same photo, needed if and only if
        ``config.geometry_channels`` is not 0. The rest as in ``GeometryNetwork.prepare``.
        """
        dtype = dtype or inference_dtype(self.decoder.layers[0].weight.device)
        if image_map is None:
            if image is None:
                raise ValueError("either the image or its features are needed")
            image_map = encode_once(self.image_encoder, image, dtype)
        maps = self._with_geometry(image_map, geometry.image_maps[-1] if geometry else None)
        volume_map = encode_once(self.volume_encoder, volume, dtype)
        return collect(maps, volume_map, self.decoder, self.config, dtype)

    def query(self, features: FieldFeatures, points: Tensor) -> Tensor:
        """RGB and alpha (N, 4) float32 at box points (N, 3), by the fast path; no gradients."""
        return torch.sigmoid(query_logits(features, points))


def blend_with_photo(rgba: Tensor, photo_color: Tensor) -> Tensor:
    """Equation 13: alpha times the photo's colour at pi(p) plus (1 - alpha) times C'(p); (..., 3) in [0, 1].

    ``rgba`` (..., 4) from the network, ``photo_color`` (..., 3) in [0, 1].
    """
    alpha = rgba[..., 3:4]
    return alpha * photo_color + (1.0 - alpha) * rgba[..., :3]
