"""Linear blend skinning of some of a body's vertices, for fits that need many cheap evaluations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..body.model import BodyModel
from ..contracts import JOINT_PARENTS


def axis_angle_to_matrix(vectors: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), smooth at zero."""
    square = (vectors * vectors).sum(-1, keepdim=True)
    angle = (square + 1e-12).sqrt()
    small = square < 1e-6
    sine = torch.where(small, 1 - square / 6, angle.sin() / angle)[..., None]
    cosine = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / (square + 1e-12))[..., None]
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vectors.shape, 3)
    return torch.eye(3, dtype=vectors.dtype) + sine * cross + cosine * (cross @ cross)


class SubsetBody:
    """A body model restricted to ``vertices`` (indices (N,), or None for all)."""

    def __init__(self, model: BodyModel, vertices: np.ndarray | None = None) -> None:
        index = torch.arange(len(model.template)) if vertices is None else torch.as_tensor(vertices)
        regressor = model.joint_regressor.float()
        self.index = index
        self.template = model.template[index].float()
        self.shapedirs = model.shapedirs[index].float()
        self.posedirs = model.posedirs[index].float().reshape(-1, 207).T.contiguous()
        self.weights = model.skinning_weights[index].float()
        self.joints_template = regressor @ model.template.float()
        self.joints_shapedirs = torch.einsum("jv,vck->jck", regressor, model.shapedirs.float())

    def to(self, device: torch.device | str) -> SubsetBody:
        """Itself, with all tensors on ``device``."""
        for name, value in vars(self).items():
            setattr(self, name, value.to(device))
        return self

    def rest_joints(self, betas: Tensor) -> Tensor:
        """(B, 24, 3) metres for ``betas`` (B, 10)."""
        return self.joints_template + torch.einsum("jck,bk->bjc", self.joints_shapedirs, betas)

    def __call__(self, betas: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
        """Posed vertices (B, N, 3) and joints (B, 24, 3) for betas (B, 10) and rotations (B, 24, 3, 3)."""
        batch = rotations.shape[0]
        rest = self.template + torch.einsum("vck,bk->bvc", self.shapedirs, betas)
        feature = (rotations[:, 1:] - torch.eye(3, device=rotations.device)).reshape(batch, 207)
        rest = rest + (feature @ self.posedirs).reshape(batch, -1, 3)
        joints = self.rest_joints(betas)
        world, position = [rotations[:, 0]], [joints[:, 0]]
        for joint in range(1, 24):
            parent = JOINT_PARENTS[joint]
            offset = (joints[:, joint] - joints[:, parent])[..., None]
            position.append(position[parent] + (world[parent] @ offset)[..., 0])
            world.append(world[parent] @ rotations[:, joint])
        turn = torch.stack(world, dim=1)
        place = torch.stack(position, dim=1)
        shift = place - (turn @ joints[..., None])[..., 0]
        matrix = torch.cat([turn, shift[..., None]], dim=-1).reshape(batch, 24, 12)
        blended = (self.weights @ matrix).reshape(batch, -1, 3, 4)
        vertices = (blended[..., :3] @ rest[..., None])[..., 0] + blended[..., 3]
        return vertices, place
