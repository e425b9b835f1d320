"""Training the occupancy network: equation 6 under depth-ambiguity-aware supervision."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..pamir.geometry import GeometryNetwork
from ..pamir.weights import save_weights
from .batches import Batch, outline_weights
from .loose_cloth import with_loose_cloth
from .losses import OccupancyLoss, occupancy_loss
from .metrics import mean_scores
from .validation import ViewData, body_scores, field_iou, mesh_scores, spread


class GeometryTask:
    """A :class:`~pamir_blender.training.trainer.Task` for :class:`GeometryNetwork`.

    ``held_out`` maps a name ("true", "estimated": which body conditions) to validation views;
    ``body_faces`` (F, 3) of the body model; ``outline`` is the extra loss weight at the mask's outline;
    ``loose_cloth`` the share of samples with cloth added;
    ``card`` goes into the exported file beside the progress.
    """

    def __init__(
        self,
        network: GeometryNetwork,
        *,
        held_out: dict[str, ViewData],
        body_faces: np.ndarray,
        export_path: Path,
        loss: OccupancyLoss = "bce",
        outline: float = 1.0,
        loose_cloth: float = 0.0,
        field_views: int = 12,
        mesh_views: int = 4,
        mesh_resolution: int = 128,
        card: dict[str, Any] | None = None,
    ) -> None:
        self.network, self.held_out, self.body_faces = network, held_out, body_faces
        self.export_path, self.kind, self.outline = export_path, loss, outline
        self.augment = partial(with_loose_cloth, probability=loose_cloth)
        self.field_views, self.mesh_views, self.mesh_resolution = field_views, mesh_views, mesh_resolution
        self.card = card or {}
        self._body_alone: dict[str, float] | None = None

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The occupancy loss of one batch, and the share of points on the right side."""
        image = self.network.encode_image(batch["image"])
        volume = self.network.encode_volume(batch["volume"], image)
        stages = self.network.decode_stages(image, volume, batch["points"], logits=True)
        weights = outline_weights(batch["image"][:, 3:4], batch["points"], self.outline)
        if "weights" in batch:
            weights = weights * batch["weights"]
        total = occupancy_loss(stages, batch["occupancy"], self.kind, weights)
        right = ((stages[-1].detach() > 0) == (batch["occupancy"] > 0.5)).float().mean()
        return {"total": total, "accuracy": right}

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Field IoU and mesh scores per kind of body; the first time, the body's own scores too."""
        assert isinstance(network, GeometryNetwork)
        was_training = network.training
        network.eval()
        if self._body_alone is None:
            self._body_alone = {}
            for name, data in self.held_out.items():
                chosen = spread(self.mesh_views, len(data))
                means = mean_scores(body_scores(data, chosen, self.body_faces))
                self._body_alone |= {f"{name}_body_{key}": value for key, value in means.items()}
        scores = dict(self._body_alone)
        for name, data in self.held_out.items():
            scores[f"{name}_field_iou"] = field_iou(network, data, spread(self.field_views, len(data)))
            rows = mesh_scores(network, data, spread(self.mesh_views, len(data)), self.mesh_resolution)
            scores |= {f"{name}_{key}": value for key, value in mean_scores(rows).items()}
            scores[f"{name}_meshes"] = float(len(rows))
        network.train(was_training)
        return scores

    def export(self, network: torch.nn.Module, progress: dict[str, Any]) -> None:
        """Write the weights file that :func:`pamir_blender.pamir.weights.load_geometry` reads."""
        self.export_path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(self.export_path, network, {**self.card, **progress})
