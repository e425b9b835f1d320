"""What a human pose may be: joint limits, and how dear each joint's departure from rest is.

Angles are components of SMPL's axis-angle vectors in radians, in the T-pose's axes (x left, y up, z front).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ..joint_limits import JOINT_HIGH, JOINT_LOW, MIDDLE_JOINTS

# Inverse variance of each component about rest, 1 / rad^2: how much evidence it takes to bend a joint.
_STIFFNESS: dict[int, tuple[float, float, float]] = {
    1: (0.3, 1.5, 1.0), 3: (6.0, 8.0, 8.0), 4: (3.0, 20.0, 20.0), 6: (6.0, 8.0, 8.0), 7: (4.0, 6.0, 8.0),
    9: (8.0, 8.0, 10.0), 10: (30.0, 60.0, 60.0), 12: (4.0, 3.0, 4.0), 13: (40.0, 20.0, 12.0),
    15: (4.0, 3.0, 4.0), 16: (0.8, 0.3, 0.3), 18: (1.0, 0.15, 10.0), 20: (4.0, 6.0, 3.0),
    22: (60.0, 60.0, 20.0),
}  # fmt: skip


def _stiffness() -> Tensor:
    stiffness = torch.zeros(24, 3)
    for joint, axes in _STIFFNESS.items():
        stiffness[joint] = torch.tensor(axes)
        if joint not in MIDDLE_JOINTS:
            stiffness[joint + 1] = stiffness[joint]
    return stiffness


POSE_LOW, POSE_HIGH = torch.from_numpy(JOINT_LOW).float(), torch.from_numpy(JOINT_HIGH).float()
POSE_STIFFNESS = _stiffness()
"""(24, 3) radians, radians and 1/rad^2; row 0, the root, is free."""


def limit_penalty(pose: Tensor) -> Tensor:
    """(B,) squared radians beyond the joint limits, of a pose (B, 24, 3)."""
    low, high = POSE_LOW.to(pose), POSE_HIGH.to(pose)
    beyond = torch.relu(low - pose) + torch.relu(pose - high)
    return (beyond[:, 1:] ** 2).sum(dim=(1, 2))


@cache
def standing_pose() -> Tensor:
    """(24, 3): a relaxed standing person, arms hanging; the pose that evidence has to argue against."""
    pose = torch.zeros(24, 3)
    for left, sign in ((0, 1.0), (1, -1.0)):
        pose[16 + left] = torch.tensor([0.0, 0.0, -1.15 * sign])
        pose[18 + left] = torch.tensor([0.0, -0.25 * sign, 0.0])
        pose[4 + left, 0] = 0.08
    return pose


def clamp_to_limits(pose: Tensor) -> Tensor:
    """The pose (B, 24, 3) with every joint but the root brought inside its limits."""
    clamped = torch.minimum(torch.maximum(pose, POSE_LOW.to(pose)), POSE_HIGH.to(pose))
    return torch.cat([pose[:, :1], clamped[:, 1:]], dim=1)
