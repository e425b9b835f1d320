"""Training GraphCMR: vertices and joints of the coarse body, and the parameters regressed from it.

The losses are those of Kolotouros et al. 2019: L1 on the vertices and on the projected joints of the graph
network, and on the vertices of the regressed parameters, with squared errors of rotations and betas. The
regressor learns from the graph network's vertices without changing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..body.graph_network import GraphCmr
from ..body.graphcmr import camera_of
from ..body.mesh_graph import BodyGraph
from ..body.model import BodyModel
from ..pamir.weights import save_weights
from .batches import Batch
from .subset_body import SubsetBody
from .validation import spread

BETAS_WEIGHT = 0.01
"""A beta's unit is a standard deviation, the other losses' are metres and cosines."""

_HALF_TURN = torch.tensor([1.0, -1.0, -1.0])
"""GraphCMR's posed space has y down and z away from the viewer."""


class BodyData(Protocol):
    """Samples with ``image``, ``betas``, ``rotations``, ``scale`` and ``pelvis``."""

    views: Sequence[dict]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...


class GraphCmrTask:
    """A :class:`~pamir_blender.training.trainer.Task` for :class:`GraphCmr`.

    ``model`` the body that the data were made with; ``graph`` its graph; ``held_out`` validation views;
    ``regressed_vertices`` every how manieth vertex the regressor's loss looks at.
    """

    def __init__(
        self,
        network: GraphCmr,
        *,
        model: BodyModel,
        graph: BodyGraph,
        held_out: BodyData,
        export_path: Path,
        views: int = 72,
        regressed_vertices: int = 8,
        card: dict[str, Any] | None = None,
    ) -> None:
        self.network, self.held_out, self.export_path, self.views = network, held_out, export_path, views
        self.card = card or {}
        self.augment = unchanged
        network.attach(graph)
        self._whole = SubsetBody(model)
        self._some = SubsetBody(model, np.arange(0, model.vertex_count, regressed_vertices))
        self._down = _sparse(graph.downsample)
        joints = np.asarray(graph.upsample.T @ model.joint_regressor.numpy().T).T
        self._joints = torch.from_numpy(np.ascontiguousarray(joints, np.float32))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of one batch by name; lengths in metres, projections in normalised image coordinates."""
        self._move(batch["image"].device)
        vertices, camera, rotations, betas = self.network(batch["image"])
        target = self._target(batch)
        joints = torch.einsum("jn,bnc->bjc", self._joints, vertices)
        projected = camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:])
        regressed, _ = self._some(betas, rotations)
        parts = {
            "vertices": (vertices - target["vertices"]).abs().mean(),
            "joints": (joints - target["joints"]).abs().mean(),
            "projection": (projected - target["projection"]).abs().mean(),
            "regressed": (regressed - target["some"]).abs().mean(),
            "rotations": ((rotations - target["rotations"]) ** 2).mean(),
            "betas": ((betas - batch["betas"]) ** 2).mean(),
        }
        total = sum(part for name, part in parts.items() if name != "betas") + BETAS_WEIGHT * parts["betas"]
        return {**parts, "total": total}

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean joint error of the regressed body in cm, pelvises together, and its part in depth."""
        assert isinstance(network, GraphCmr)
        was_training = network.training
        network.eval()
        self._move("cpu")
        device = next(network.parameters()).device
        errors, depths = [], []
        for index in spread(self.views, len(self.held_out)):
            batch = {key: value[None] for key, value in self.held_out[index].items()}
            _, _, rotations, betas = network(batch["image"].to(device))
            _, found = self._some(betas.cpu(), rotations.cpu())
            _, true = self._some(batch["betas"], _turned(batch["rotations"]))
            apart = (found - found[:, :1]) - (true - true[:, :1])
            errors.append(float(apart.norm(dim=-1).mean()))
            depths.append(float(apart[..., 2].abs().mean()))
        network.train(was_training)
        return {"mpjpe_cm": 100 * float(np.mean(errors)), "depth_cm": 100 * float(np.mean(depths))}

    def export(self, network: torch.nn.Module, progress: dict[str, Any]) -> None:
        """Write the weights file that :func:`pamir_blender.pamir.weights.load_graphcmr` reads."""
        self.export_path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(self.export_path, network, {**self.card, **progress})

    def _move(self, device: torch.device | str) -> None:
        self._whole, self._some = self._whole.to(device), self._some.to(device)
        self._down, self._joints = self._down.to(device), self._joints.to(device)

    @torch.no_grad()
    def _target(self, batch: Batch) -> dict[str, Tensor]:
        rotations = _turned(batch["rotations"])
        whole, joints = self._whole(batch["betas"], rotations)
        pelvis = self._whole.rest_joints(batch["betas"])[:, 0]
        scale = batch["scale"]
        shift = batch["pelvis"] - scale[:, None] * pelvis[:, :2]
        camera = camera_of(scale, shift, pelvis)
        count = len(whole)
        coarse = torch.sparse.mm(self._down, whole.transpose(0, 1).reshape(-1, 3 * count))
        joints = torch.einsum("jn,bnc->bjc", self._joints, coarse.view(-1, count, 3).transpose(0, 1))
        return {
            "vertices": coarse.view(-1, count, 3).transpose(0, 1),
            "joints": joints,
            "projection": camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:]),
            "some": whole[:, self._some.index],
            "rotations": rotations,
        }


def unchanged(batch: Batch) -> Batch:
    """``batch`` itself: the data set augments picture and body together."""
    return batch


def _turned(rotations: Tensor) -> Tensor:
    """Rotations (B, 24, 3, 3) as the viewer sees them, in GraphCMR's posed space."""
    turned = rotations.clone()
    turned[:, 0] = _HALF_TURN.to(rotations.device)[:, None] * rotations[:, 0]
    return turned


def _sparse(matrix: Any) -> Tensor:
    """A scipy sparse matrix as torch's."""
    rows = matrix.tocoo()
    index = torch.from_numpy(np.stack([rows.row, rows.col]).astype(np.int64))
    return torch.sparse_coo_tensor(index, torch.from_numpy(rows.data), rows.shape, check_invariants=True)
