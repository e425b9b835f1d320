"""The networks' fast path for inference: encode once, then ask for many points.

Encoders run once per photo and body; their maps are kept as channels-last rows, and the decoder becomes a
few matrix products over chunks of points. The values are those of ``decode`` (to 1e-5 in float32).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .blocks import to_channels_last
from .config import CameraConfig, GeometryConfig, TextureConfig
from .decoder import Decoder
from .feature_sampling import corner_weights, gather_rows, map_rows, project_points

CHUNK = 8192
"""Points per matrix product: large enough for the GEMMs, small enough for the caches."""


def inference_dtype(device: torch.device | str) -> torch.dtype:
    """The number format to compute in: bfloat16 or float16 on CUDA, float32 on a CPU unless it has AMX.

    AVX512-BF16 alone does not decide for bfloat16: measured on a CPU that has it without AMX, bfloat16
    products and convolutions took 1.5 to 1.8 times as long as float32. The choice depends on the hardware
    only, never on a measurement, so that the same machine always gives the same mesh.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if device.type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False):
        return torch.bfloat16
    return torch.float32


@contextmanager
def encoding(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """No gradients, and convolutions in ``dtype``."""
    with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        yield


def encode_once(encoder: torch.nn.Module, x: Tensor, dtype: torch.dtype) -> Tensor:
    """The inference output of an encoder for ``x`` (B, C, ...): channels-last in, float32 out."""
    device = next(encoder.parameters()).device
    with encoding(device, dtype):
        outputs = encoder(to_channels_last(x.to(device)))
    return (outputs if isinstance(outputs, Tensor) else outputs[-1]).float()


@dataclass(frozen=True)
class _Layer:
    """One decoder layer, split into what multiplies the point's feature and what the hidden vector."""

    feature: Tensor | None
    hidden: Tensor | None
    bias: Tensor


@dataclass(frozen=True)
class FieldFeatures:
    """Everything :func:`query_logits` needs for one photo and one body; batch size 1.

    ``image_maps`` (1, C, H, W) as encoded, for a texture network that reads them too, or for caching.
    """

    image_maps: tuple[Tensor, ...]
    image_rows: tuple[Tensor, ...]
    volume_rows: Tensor
    volume_size: tuple[int, ...]
    layers: tuple[_Layer, ...]
    negative_slope: float
    camera: CameraConfig
    interpolation: str
    dtype: torch.dtype


def collect(
    image_maps: list[Tensor],
    volume_map: Tensor,
    decoder: Decoder,
    config: GeometryConfig | TextureConfig,
    dtype: torch.dtype,
) -> FieldFeatures:
    """Maps (1, C, H, W) and (1, C, D, H, W), and the decoder, laid out for :func:`query_logits`."""
    for features in (*image_maps, volume_map):
        if features.shape[0] != 1:
            raise ValueError(f"the fast path holds one photo and one body at a time, not {features.shape[0]}")
    channels = decoder.in_channels
    layers = []
    with torch.no_grad():
        for i, layer in enumerate(decoder.layers):
            last = i == len(decoder.layers) - 1
            # The last layer is tiny; in float32 the surface does not move by a rounding of its logit.
            weight = layer.weight if last else layer.weight.to(dtype)
            bias = layer.bias if last else layer.bias.to(dtype)
            split = 0 if last else channels
            feature = weight[:, :split].contiguous() if split else None
            hidden = weight[:, split:].contiguous() if i > 0 else None
            layers.append(_Layer(feature, hidden, bias))
        return FieldFeatures(
            image_maps=tuple(image_maps),
            image_rows=tuple(map_rows(features) for features in image_maps),
            volume_rows=map_rows(volume_map),
            volume_size=tuple(volume_map.shape[2:]),
            layers=tuple(layers),
            negative_slope=decoder.config.negative_slope,
            camera=config.camera,
            interpolation=config.volume.interpolation,
            dtype=dtype,
        )


@torch.no_grad()
def query_logits(features: FieldFeatures, points: Tensor) -> Tensor:
    """Decoder logits (N, outputs) float32 at box points (N, 3), on the points' device."""
    device = features.volume_rows.device
    outputs = features.layers[-1].bias.shape[0]
    result = torch.empty(points.shape[0], outputs, device=points.device)
    for start in range(0, points.shape[0], CHUNK):
        chunk = points[start : start + CHUNK].to(device=device, dtype=torch.float32)
        result[start : start + CHUNK] = _decode(features, _point_features(features, chunk)).to(points.device)
    return result


def query_with_slope(features: FieldFeatures, points: Tensor) -> tuple[Tensor, Tensor]:
    """F (N,) of the first output and its derivative (N, 3) by the box points (N, 3); float32, their device.

    The image features move with a point's x and y, the volume features with all three; both maps are taken
    as they are. Body reference optimisation lives on this.
    """
    device = features.volume_rows.device
    values, slopes = [], []
    for start in range(0, points.shape[0], CHUNK):
        part = points[start : start + CHUNK].detach().to(device=device, dtype=torch.float32)
        part.requires_grad_(True)
        with torch.enable_grad():
            value = torch.sigmoid(_decode(features, _point_features(features, part))[:, 0].float())
            # A value depends on its own point alone, so the gradient of the sum holds every point's own.
            (slope,) = torch.autograd.grad(value.sum(), part)
        values.append(value.detach())
        slopes.append(slope)
    return torch.cat(values).to(points.device), torch.cat(slopes).to(points.device)


def _point_features(features: FieldFeatures, points: Tensor) -> Tensor:
    at = project_points(points, features.camera).unsqueeze(0)
    samples = []
    corners: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
    for rows, image_map in zip(features.image_rows, features.image_maps, strict=True):
        size = tuple(image_map.shape[2:])
        if size not in corners:
            corners[size] = corner_weights(at, size)
        samples.append(gather_rows(rows, *corners[size]))
    around = corner_weights(points.unsqueeze(0) * 2.0, features.volume_size, features.interpolation)
    samples.append(gather_rows(features.volume_rows, *around))
    return torch.cat(samples, dim=-1).to(features.dtype)


def _decode(features: FieldFeatures, point_features: Tensor) -> Tensor:
    x = point_features
    for layer in features.layers[:-1]:
        y = functional.linear(point_features, layer.feature, layer.bias)
        if layer.hidden is not None:
            # Added in place: half the memory traffic of putting both inputs side by side first.
            y.addmm_(x, layer.hidden.t())
        x = functional.leaky_relu_(y, features.negative_slope)
    last = features.layers[-1]
    return functional.linear(x.float(), last.hidden, last.bias)
