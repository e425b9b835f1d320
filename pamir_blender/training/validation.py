"""Scoring a geometry network on held-out views: its field, its meshes, and the body alone beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import SurfaceError
from ..pamir.geometry import GeometryNetwork
from ..pamir.surface import extract_surface
from .batches import Batch
from .metrics import Mesh, SurfaceScores, occupancy_iou, surface_scores


class ViewData(Protocol):
    """What validation reads of a data set of views: samples, and the truth behind them."""

    views: Sequence[dict]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...

    def mesh(self, index: int) -> Mesh:
        """The true clothed mesh of view ``index``, box frame."""


def spread(count: int, total: int) -> list[int]:
    """At most ``count`` indices, evenly spread over ``range(total)``."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(count, total)).round()}) if total else []


def encode(network: GeometryNetwork, sample: Batch) -> Callable[[Tensor], Tensor]:
    """The occupancy field of one sample: points (N, 3) box to occupancy (N,)."""
    device = next(network.parameters()).device
    features = network.prepare(sample["image"][None].to(device), sample["volume"][None].float().to(device))
    return lambda points: network.query(features, points.to(device)).cpu()


def reconstruct(network: GeometryNetwork, sample: Batch, resolution: int) -> Mesh:
    """The mesh that ``network`` gives for ``sample``, box frame. Raises SurfaceError when there is none."""
    with torch.inference_mode():
        surface = extract_surface(encode(network, sample), resolution, hint=sample["body"].numpy())
    return surface.vertices, surface.faces


def field_iou(network: GeometryNetwork, data: ViewData, indices: Sequence[int]) -> float:
    """The mean occupancy IoU over the sampled points of the views ``indices``."""
    scores = []
    with torch.inference_mode():
        for index in indices:
            sample = data[index]
            occupancy = encode(network, sample)(sample["points"])
            scores.append(occupancy_iou(occupancy.numpy(), sample["occupancy"].numpy()))
    return float(np.mean(scores))


def mesh_scores(
    network: GeometryNetwork, data: ViewData, indices: Sequence[int], resolution: int = 128
) -> list[SurfaceScores]:
    """The scores of the meshes of views ``indices``; views without any surface are left out."""
    scores = []
    for index in indices:
        try:
            mesh = reconstruct(network, data[index], resolution)
        except SurfaceError:
            continue
        scores.append(surface_scores(mesh, data.mesh(index), float(data.views[index]["scale"])))
    return scores


def body_scores(data: ViewData, indices: Sequence[int], faces: np.ndarray) -> list[SurfaceScores]:
    """The same scores for the conditioning body itself: what there is without any network."""
    return [
        surface_scores((data[i]["body"].numpy(), faces), data.mesh(i), float(data.views[i]["scale"]))
        for i in indices
    ]
