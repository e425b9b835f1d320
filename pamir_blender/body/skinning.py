"""Rotations, forward kinematics and linear blend skinning (SMPL, Loper et al. 2015, sections 3 and 4).

Everything is differentiable, batched and free of state. Shapes use B bodies, V vertices, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor


def rodrigues(axis_angle: Tensor) -> Tensor:
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3).

    Exact and differentiable at zero rotation as well, where the series of sin(a)/a and (1-cos a)/a^2 is used.
    """
    squared = (axis_angle * axis_angle).sum(-1, keepdim=True)[..., None]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / safe)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*axis_angle.shape[:-1], 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + sine * skew + cosine * (skew @ skew)


def matrix_to_axis_angle(rotation: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to axis-angle (..., 3), angles in [0, pi]; not meant for gradients."""
    shape = rotation.shape[:-2]
    matrix = rotation.reshape(-1, 3, 3).to(torch.float64)
    trace = matrix.diagonal(dim1=1, dim2=2)
    # Quaternion by its largest component, stable for every angle (Shepperd 1978).
    total = trace.sum(1)
    squares = torch.stack([1 + total, *(1 + 2 * trace[:, i] - total for i in range(3))], dim=1)
    pick = squares.argmax(1)
    quaternion = torch.empty(len(matrix), 4, dtype=matrix.dtype, device=matrix.device)
    skew = [matrix[:, i, j] - matrix[:, j, i] for i, j in ((2, 1), (0, 2), (1, 0))]
    symmetric = matrix + matrix.transpose(1, 2)
    table = [
        [squares[:, 0], skew[0], skew[1], skew[2]],
        [skew[0], squares[:, 1], symmetric[:, 0, 1], symmetric[:, 0, 2]],
        [skew[1], symmetric[:, 0, 1], squares[:, 2], symmetric[:, 1, 2]],
        [skew[2], symmetric[:, 0, 2], symmetric[:, 1, 2], squares[:, 3]],
    ]
    for index, row in enumerate(table):
        chosen = pick == index
        quaternion[chosen] = torch.stack(row, dim=1)[chosen]
    quaternion = quaternion / quaternion.norm(dim=1, keepdim=True)
    quaternion = torch.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    sine = quaternion[:, 1:].norm(dim=1, keepdim=True)
    angle = 2 * torch.atan2(sine, quaternion[:, :1])
    scale = torch.where(sine < 1e-12, torch.full_like(sine, 2.0), angle / sine.clamp_min(1e-12))
    return (quaternion[:, 1:] * scale).to(rotation.dtype).reshape(*shape, 3)


@cache
def _levels(parents: tuple[int, ...]) -> tuple[list[int], list[tuple[list[int], list[int], list[int]]]]:
    """The tree level by level, so that a whole level is posed at once.

    Returns where each joint stands in the levels' concatenation, and per level below the root: its joints,
    their parents, and the parents' rows in the level above.
    """
    depth = [0] * len(parents)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            depth[joint] = depth[parent] + 1
    members = [[joint for joint, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
    flat = [joint for level in members for joint in level]
    levels = []
    for above, level in pairwise(members):
        carriers = [parents[joint] for joint in level]
        levels.append((level, carriers, [above.index(carrier) for carrier in carriers]))
    return [flat.index(joint) for joint in range(len(parents))], levels


def forward_kinematics(
    rotations: Tensor, rest_joints: Tensor, parents: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Pose a joint tree.

    Args:
        rotations: (B, J, 3, 3) relative to the parent; row 0 is the root's in the world.
        rest_joints: (B, J, 3) metres.
        parents: J parent indices, -1 for the root; a parent comes before its children.

    Returns:
        ``joints`` (B, J, 3) posed, and ``transforms`` (B, J, 4, 4) from rest to posed space.
        The root joint stays where it rests.
    """
    order, levels = _levels(tuple(parents))
    turn, place = rotations[:, :1], rest_joints[:, :1]
    turns, places = [turn], [place]
    for joints_here, parents_here, parent_rows in levels:
        offset = (rest_joints[:, joints_here] - rest_joints[:, parents_here])[..., None]
        carrier = turn[:, parent_rows]
        place = place[:, parent_rows] + (carrier @ offset)[..., 0]
        turn = carrier @ rotations[:, joints_here]
        turns.append(turn)
        places.append(place)
    rotation, joints = torch.cat(turns, dim=1)[:, order], torch.cat(places, dim=1)[:, order]
    shift = joints - (rotation @ rest_joints[..., None])[..., 0]
    top = torch.cat([rotation, shift[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return joints, torch.cat([top, bottom], dim=-2)


def linear_blend_skinning(vertices: Tensor, weights: Tensor, transforms: Tensor) -> Tensor:
    """Vertices (B, V, 3) in rest space moved by ``transforms`` (B, J, 4, 4) under ``weights`` (V, J).

    Returns (B, V, 3).
    """
    batch = vertices.shape[0]
    blended = (weights @ transforms[:, :, :3].reshape(batch, -1, 12)).reshape(batch, -1, 3, 4)
    return (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]


def pose_features(rotations: Tensor) -> Tensor:
    """(B, 207): elements of R - I of the 23 joints below the root (SMPL, eq. 9), from (B, 24, 3, 3)."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - identity).reshape(rotations.shape[0], -1)
