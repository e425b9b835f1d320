"""Fitting the open body under a clothed subject's surface, at rest and in every pose.

At rest, joints give the first pose; betas, pose and a global scale are then drawn to the surface like an ICP
whose residual is robust (loose clothes stop pulling) and one-sided (a body outside the clothes is pushed in).
For a new pose the registered body's vertices are carried by the subject's own skin, and the body's pose is
fitted to them, so that body and clothes move alike although their joint centres differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..body.model import BodyModel
from ..contracts import JOINT_PARENTS
from .avatars import ClothedSubject, global_rotations, joint_transforms
from .rendering import seam_groups, vertex_normals
from .subset_body import SubsetBody, axis_angle_to_matrix

# How far each joint of the subject may be trusted as an SMPL joint: the rigs agree at the limbs' hinges.
_JOINT_TRUST = np.array(
    [0, 0.2, 0.2, 0, 1, 1, 0, 1, 1, 0, 0.5, 0.5, 0.1, 0, 0, 0.1, 0.4, 0.4, 1, 1, 1, 1, 0.2, 0.2], np.float32
)
_POSE_STIFFNESS = np.ones(24, np.float32)
_POSE_STIFFNESS[[3, 6, 9, 13, 14]] = 2.0
_POSE_STIFFNESS[[10, 11, 22, 23]] = 4.0
_TIGHT = 0.02
"""Metres of looseness at which clothes stop drawing the body to them."""


@dataclass(frozen=True)
class RegisteredBody:
    """The open body inside a subject at rest: ``subject = scale * body(betas, rotations) + translation``.

    ``betas`` (10,); ``rotations`` (24, 3, 3) relative; ``translation`` (3,) metres; ``vertices`` (V, 3) the
    registered body; ``carriers`` (V, 24) the subject's skin weights at each of them; ``residual`` mean metres
    to the surface per region, and the share of its vertices more than 5 mm outside.
    """

    betas: np.ndarray
    rotations: np.ndarray
    scale: float
    translation: np.ndarray
    vertices: np.ndarray
    carriers: np.ndarray
    residual: dict[str, float]


def register(
    subjects: list[ClothedSubject], model: BodyModel, *, steps: int = 160, stride: int = 3
) -> list[RegisteredBody]:
    """Fit the body to several subjects at once (their surfaces differ, the work is batched)."""
    body = SubsetBody(model, np.arange(0, len(model.template), stride))
    full = SubsetBody(model)
    surfaces = [_Surface(subject) for subject in subjects]
    targets = torch.tensor(np.stack([subject.joints for subject in subjects]))
    count = len(subjects)
    trust = torch.tensor(_JOINT_TRUST)[:, None]
    stiffness = torch.tensor(_POSE_STIFFNESS)[:, None]
    # In a T-pose fit the template's normals hardly turn: they choose between near surface points well enough.
    normals = vertex_normals(model.template.numpy(), model.faces.numpy())[body.index.numpy()]
    importance = _importance(model)[body.index]

    betas = torch.zeros(count, 10, requires_grad=True)
    pose = torch.zeros(count, 24, 3, requires_grad=True)
    log_scale = torch.zeros(count, requires_grad=True)
    rest = body.rest_joints(torch.zeros(1, 10))
    offset = ((targets - rest) * trust).sum(1) / trust.sum()
    translation = offset.clone().requires_grad_(True)
    optimiser = torch.optim.Adam(
        [
            {"params": [betas], "lr": 0.08},
            {"params": [pose], "lr": 0.012},
            {"params": [translation], "lr": 0.006},
            {"params": [log_scale], "lr": 0.003},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 if step < 0.6 * steps else 0.3)
    match: tuple[Tensor, Tensor, Tensor] | None = None
    for step in range(steps):
        vertices, joints = body(betas, axis_angle_to_matrix(pose))
        scale = log_scale.exp()[:, None, None]
        vertices = vertices * scale + translation[:, None]
        joints = joints * scale + translation[:, None]
        surface_share = min(1.0, max(0.0, (step - 30) / 30))
        if surface_share > 0 and (match is None or step % 4 == 0):
            match = _match(surfaces, vertices.detach().numpy(), normals)
        loss = 60.0 * ((joints - targets) ** 2 * trust).sum(-1).mean(1) * (1 - 0.93 * surface_share)
        loss = loss + 0.0006 * (betas**2).mean(1) + 0.003 * (pose**2 * stiffness).sum(-1).mean(1)
        loss = loss + 0.15 * log_scale**2
        if match is not None:
            point, normal, agreement = match
            weight = agreement * importance
            gap = ((vertices - point) * normal).sum(-1)  # positive: the body is outside the surface
            outside = torch.relu(gap + 0.001)
            pull = gap**2 / (gap**2 + _TIGHT**2) * _TIGHT**2  # Geman-McClure: loose cloth stops pulling
            loss = loss + surface_share * (weight * (150.0 * outside**2 + 25.0 * pull)).mean(1)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        rotations = axis_angle_to_matrix(pose)
        vertices, _ = full(betas, rotations)
        vertices = vertices * log_scale.exp()[:, None, None] + translation[:, None]
    return [
        RegisteredBody(
            betas=betas[i].detach().numpy().copy(),
            rotations=rotations[i].numpy().astype(np.float64),
            scale=float(log_scale[i].detach().exp()),
            translation=translation[i].detach().numpy().copy(),
            vertices=vertices[i].numpy().copy(),
            carriers=surfaces[i].weights_at(vertices[i].numpy(), model),
            residual=surfaces[i].residual(vertices[i].numpy(), model),
        )
        for i in range(count)
    ]


class _Surface:
    """A subject's rest surface for nearest-point queries, hair left out (it is not the body's outside)."""

    def __init__(self, subject: ClothedSubject) -> None:
        normals = vertex_normals(subject.vertices, subject.faces, seam_groups(subject.vertices))
        keep = subject.part == 0
        self.points = subject.vertices[keep]
        self.normals = normals[keep]
        self.weights = subject.weights[keep]
        self.tree = cKDTree(self.points)

    def nearest(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each of (N, 3) the best of 4 near vertices by normal: position, normal, agreement (N,)."""
        _, index = self.tree.query(points, k=4)
        agreement = np.einsum("nkc,nc->nk", self.normals[index], normals)
        best = np.argmax(agreement, axis=1)
        rows = np.arange(len(points))
        chosen = index[rows, best]
        return self.points[chosen], self.normals[chosen], agreement[rows, best]

    def weights_at(self, vertices: np.ndarray, model: BodyModel) -> np.ndarray:
        """(V, 24) the subject's weights at the body's vertices, from near vertices that face alike."""
        normals = vertex_normals(vertices, model.faces.numpy())
        distance, index = self.tree.query(vertices, k=8)
        agreement = np.einsum("nkc,nc->nk", self.normals[index], normals)
        share = np.exp(-0.5 * (distance / 0.012) ** 2) * np.clip(agreement, 0.05, 1) ** 2 + 1e-9
        share /= share.sum(axis=1, keepdims=True)
        return np.einsum("nk,nkj->nj", share, self.weights[index]).astype(np.float32)

    def residual(self, vertices: np.ndarray, model: BodyModel) -> dict[str, float]:
        """Mean distance (m) to the surface per region, and the share of vertices outside by over 5 mm."""
        normals = vertex_normals(vertices, model.faces.numpy())
        point, normal, _ = self.nearest(vertices, normals)
        gap = np.einsum("nc,nc->n", vertices - point, normal)
        owner = model.skinning_weights.numpy().argmax(1)
        regions = {
            "head": (12, 15), "hands": (20, 21, 22, 23), "arms": (16, 17, 18, 19),
            "torso": (0, 3, 6, 9, 13, 14), "legs": (1, 2, 4, 5), "feet": (7, 8, 10, 11),
        }  # fmt: skip
        result = {}
        for name, members in regions.items():
            inside = np.isin(owner, members)
            result[name] = float(np.abs(gap[inside]).mean())
            result[f"{name}_outside"] = float((gap[inside] > 0.005).mean())
        return result


def _importance(model: BodyModel) -> Tensor:
    """(V,) weights of the body's vertices: face, hands and feet are small but must fit."""
    owner = model.skinning_weights.argmax(1)
    weight = torch.ones(len(owner))
    weight[(owner == 15) & (model.template[:, 2] > model.template[owner == 15, 2].mean())] = 3.0
    for joint in (20, 21, 22, 23, 7, 8, 10, 11):
        weight[owner == joint] = 2.0
    return weight / weight.mean()


def _match(
    surfaces: list[_Surface], vertices: np.ndarray, normals: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Surface points (B, N, 3), their normals, and 0..1 weights by how well the normals agree."""
    found = [surface.nearest(rows, normals) for surface, rows in zip(surfaces, vertices, strict=True)]
    agreement = np.stack([np.clip((item[2] - 0.3) / 0.5, 0, 1) for item in found])
    return (
        torch.tensor(np.stack([item[0] for item in found])),
        torch.tensor(np.stack([item[1] for item in found])),
        torch.tensor(agreement.astype(np.float32)),
    )


def follow_pose(
    registered: RegisteredBody,
    subject: ClothedSubject,
    rotations: np.ndarray,
    body: SubsetBody,
    *,
    steps: int = 50,
) -> tuple[np.ndarray, np.ndarray, float]:
    """The registered body in new poses of its subject.

    Args:
        rotations: (B, 24, 3, 3) the subject's relative rotations.
        body: the subset of vertices to fit on.

    Returns:
        body rotations (B, 24, 3, 3) and translations (B, 3), so that
        ``subject frame = scale * body(betas, rotations) + translation``, and the mean fit error in metres.
    """
    index = body.index.numpy()
    targets, starts = [], []
    own_world = global_rotations(registered.rotations)
    for pose in rotations:
        transforms = joint_transforms(subject.joints, pose)
        blended = (registered.carriers[index] @ transforms.reshape(24, 16)).reshape(-1, 4, 4)
        rest = registered.vertices[index]
        targets.append(np.einsum("vij,vj->vi", blended[:, :3, :3], rest) + blended[:, :3, 3])
        world = np.einsum("jab,jbc->jac", transforms[:, :3, :3].astype(np.float64), own_world)
        relative = world.copy()
        for joint, parent in enumerate(JOINT_PARENTS):
            if parent >= 0:
                relative[joint] = world[parent].T @ world[joint]
        starts.append(relative)
    target = torch.tensor(np.stack(targets), dtype=torch.float32)
    start = torch.tensor(np.stack(starts), dtype=torch.float32)
    count = len(rotations)
    betas = torch.tensor(registered.betas)[None].expand(count, -1)
    delta = torch.zeros(count, 24, 3, requires_grad=True)
    with torch.no_grad():
        vertices, _ = body(betas, start)
        first = (target - registered.scale * vertices).mean(1)
    translation = first.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([{"params": [delta], "lr": 0.03}, {"params": [translation], "lr": 0.01}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=0.002)
    for _ in range(steps):
        posed = start @ axis_angle_to_matrix(delta)
        vertices, _ = body(betas, posed)
        error = ((registered.scale * vertices + translation[:, None] - target) ** 2).sum(-1)
        loss = error.mean(1) + 2e-5 * (delta**2).sum((1, 2))
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        posed = start @ axis_angle_to_matrix(delta)
    mean_error = float(error.detach().sqrt().mean())
    return posed.double().numpy(), translation.detach().numpy().copy(), mean_error
