"""Training the texture network: equation 14 at points on and near the true surface."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..pamir.geometry import GeometryNetwork
from ..pamir.texture import TextureNetwork, blend_with_photo
from ..pamir.weights import save_weights
from .batches import Batch, recolor, sample_image
from .losses import texture_loss
from .validation import spread

SURFACE_NOISE = 0.01
"""Standard deviation in box units of the points' distance from the surface, along its normal."""


class ColorData(Protocol):
    """A data set whose samples hold ``color_points``, ``normals``, ``colors`` and ``visible``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...


class TextureTask:
    """A :class:`~pamir_blender.training.trainer.Task` for :class:`TextureNetwork`; validated on true bodies.

    ``geometry`` is frozen; its image features go into the texture network. ``held_out`` are validation views.
    """

    def __init__(
        self,
        network: TextureNetwork,
        geometry: GeometryNetwork,
        *,
        held_out: ColorData,
        export_path: Path,
        alpha_weight: float = 0.1,
        views: int = 16,
        card: dict[str, Any] | None = None,
    ) -> None:
        self.network, self.geometry = network, geometry.eval().requires_grad_(False)
        self.held_out, self.export_path, self.views = held_out, export_path, views
        self.alpha_weight, self.card = alpha_weight, card or {}
        self.augment = recolor

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Equation 14 of one batch, at the surface points moved along their normals by a little."""
        noise = torch.randn_like(batch["color_points"][..., :1]) * SURFACE_NOISE
        points = batch["color_points"] + noise * batch["normals"]
        rgba = self._predict(self.network, batch, points)
        photo = sample_image(batch["image"][:, :3], batch["color_points"])
        return texture_loss(
            rgba, photo, batch["colors"], visible=batch["visible"], alpha_weight=self.alpha_weight
        )

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean absolute colour errors at the held-out surfaces, and how alpha follows visibility.

        ``visible_error`` and ``hidden_error``: of the blended colour where the photo sees the point and where
        it does not; ``photo_hidden_error``: of the photo's own colour at hidden points, the naive projection.
        """
        assert isinstance(network, TextureNetwork)
        was_training = network.training
        network.eval()
        rows = [self._score(network, self.held_out[i]) for i in spread(self.views, len(self.held_out))]
        network.train(was_training)
        return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]} if rows else {}

    def export(self, network: torch.nn.Module, progress: dict[str, Any]) -> None:
        """Write the weights file that :func:`pamir_blender.pamir.weights.load_texture` reads."""
        self.export_path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(self.export_path, network, {**self.card, **progress})

    def _predict(self, network: TextureNetwork, batch: Batch, points: Tensor) -> Tensor:
        self.geometry.to(points.device)
        with torch.no_grad():
            geometry_features = self.geometry.encode_image(batch["image"])
        image = network.encode_image(batch["image"], geometry_features)
        return network.decode(image, network.encode_volume(batch["volume"]), points)

    def _score(self, network: TextureNetwork, sample: Batch) -> dict[str, float]:
        device = next(network.parameters()).device
        batch = {key: value[None].to(device) for key, value in sample.items()}
        batch["volume"] = batch["volume"].float()
        rgba = self._predict(network, batch, batch["color_points"])
        photo = sample_image(batch["image"][:, :3], batch["color_points"])
        error = (blend_with_photo(rgba, photo) - batch["colors"]).abs().mean(dim=-1)
        naive = (photo - batch["colors"]).abs().mean(dim=-1)
        seen = batch["visible"].bool()
        return {
            "visible_error": float(error[seen].mean()),
            "hidden_error": float(error[~seen].mean()),
            "photo_hidden_error": float(naive[~seen].mean()),
            "alpha_visible": float(rgba[..., 3][seen].mean()),
            "alpha_hidden": float(rgba[..., 3][~seen].mean()),
        }
