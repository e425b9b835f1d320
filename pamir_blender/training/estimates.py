"""Bodies as an estimator would see them: the true body with errors that a single picture cannot exclude.

A photo fixes where joints project far better than how deep they lie. Each bone is therefore turned mostly
out of the image plane, a little within it, and about itself; limbs sometimes flip in depth; then the body is
scaled and shifted so that its joints project where the true ones do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..contracts import JOINT_PARENTS
from .avatars import global_rotations
from .body_parameters import pack_parameters
from .subset_body import SubsetBody

_CHILD = {
    0: 3, 1: 4, 2: 5, 3: 6, 4: 7, 5: 8, 6: 9, 7: 10, 8: 11, 9: 12, 12: 15, 13: 16, 14: 17, 16: 18, 17: 19,
    18: 20, 19: 21, 20: 22, 21: 23,
}  # fmt: skip
# Radians at severity 1: out of the image plane, within it, about the bone.
_TRUNK = {3: 0.05, 6: 0.05, 9: 0.05, 13: 0.05, 14: 0.05}
_LIMB = {
    12: (0.10, 0.03, 0.08),
    15: (0.12, 0.035, 0.09),
    **dict.fromkeys((16, 17), (0.20, 0.025, 0.20)),
    **dict.fromkeys((18, 19), (0.24, 0.03, 0.22)),
    **dict.fromkeys((20, 21), (0.26, 0.08, 0.20)),
    **dict.fromkeys((22, 23), (0.22, 0.08, 0.10)),
    **dict.fromkeys((1, 2), (0.09, 0.015, 0.10)),
    **dict.fromkeys((4, 5), (0.11, 0.015, 0.08)),
    **dict.fromkeys((7, 8), (0.12, 0.05, 0.12)),
    **dict.fromkeys((10, 11), (0.08, 0.04, 0.0)),
}
_ROOT_SPREAD = np.array([0.07, 0.13, 0.012])
_INHERITED = 0.5  # how much of the parent bone's error in depth the next bone shares
_FLIP = {18: 0.07, 19: 0.07, 4: 0.03, 5: 0.03, 16: 0.03, 17: 0.03}
_ALIGNED = np.array([0, 1, 2, 4, 5, 7, 8, 12, 15, 16, 17, 18, 19, 20, 21])


@dataclass(frozen=True)
class EstimatedBody:
    """``vertices`` (V, 3) float32 in the box frame; mean errors against the true body in metres.

    ``parameters`` (86,) float32 of :mod:`~pamir_blender.training.body_parameters`.
    """

    vertices: np.ndarray
    parameters: np.ndarray
    severity: float
    depth_error: float
    plane_error: float


def estimated_bodies(
    rng: np.random.Generator,
    body: SubsetBody,
    betas: np.ndarray,
    rotations: np.ndarray,
    true_vertices: np.ndarray,
    view_rotation: np.ndarray,
    box_per_metre: float,
    severities: list[float],
) -> list[EstimatedBody]:
    """Perturbed bodies for one view.

    ``betas`` (10,) and ``rotations`` (24, 3, 3) the true body's in subject space; ``true_vertices`` (V, 3) in
    the box frame; ``view_rotation`` (3, 3) subject to view; ``box_per_metre`` the body's scale in the box.
    """
    turned = rotations.copy()
    turned[0] = view_rotation @ turned[0]
    all_betas, all_rotations = [betas], [turned]
    directions = _bone_directions(body, betas, turned)
    for severity in severities:
        all_betas.append(betas + rng.normal(0, 0.45 * severity, 10) * np.linspace(1, 0.6, 10))
        all_rotations.append(perturbed_rotations(rng, turned, directions, severity))
    with torch.no_grad():
        vertices, joints = body(
            torch.tensor(np.stack(all_betas), dtype=torch.float32),
            torch.tensor(np.stack(all_rotations), dtype=torch.float32),
        )
    vertices, joints = vertices.numpy(), joints.numpy()
    offset = (true_vertices - box_per_metre * vertices[0]).mean(axis=0)
    true_joints = joints[0] * box_per_metre + offset
    result = []
    drawn = zip(severities, vertices[1:], joints[1:], all_betas[1:], all_rotations[1:], strict=True)
    for severity, points, bones, shape, pose in drawn:
        source = bones[_ALIGNED, :2] + rng.normal(0, 0.012 * severity, (len(_ALIGNED), 2))
        target = true_joints[_ALIGNED, :2]
        centre, goal = source.mean(0), target.mean(0)
        spread = ((source - centre) ** 2).sum()
        scale = float(((source - centre) * (target - goal)).sum() / spread)
        scale = float(np.clip(scale, 0.9 * box_per_metre, 1.1 * box_per_metre))
        shift = np.append(goal - scale * centre, 0.0)
        placed = points * scale + shift
        push = true_vertices[:, 2].mean() - placed[:, 2].mean() + rng.normal(0, 0.008) * severity
        placed[:, 2] += push
        error = (placed - true_vertices) / box_per_metre
        result.append(
            EstimatedBody(
                placed.astype(np.float32),
                pack_parameters(shape, pose, scale, shift + np.array([0, 0, push])),
                float(severity),
                float(np.abs(error[:, 2]).mean()),
                float(np.linalg.norm(error[:, :2], axis=1).mean()),
            )
        )
    return result


def perturbed_rotations(
    rng: np.random.Generator, rotations: np.ndarray, directions: np.ndarray, severity: float
) -> np.ndarray:
    """Relative rotations (24, 3, 3) with errors; ``directions`` (24, 3) unit bones in the view frame."""
    world = global_rotations(rotations)
    changed = world.copy()
    changed[0] = Rotation.from_rotvec(rng.normal(0, 1, 3) * _ROOT_SPREAD * severity).as_matrix() @ world[0]
    tips = np.zeros(24)
    for joint in range(1, 24):
        parent = JOINT_PARENTS[joint]
        if joint in _TRUNK:
            noise = Rotation.from_rotvec(rng.normal(0, _TRUNK[joint] * severity, 3) * [1, 1, 0.3]).as_matrix()
            changed[joint] = noise @ changed[parent] @ rotations[joint]
            continue
        out, within, about = _LIMB[joint]
        direction = directions[joint]
        # A foreshortened bone would change its projected length, which a photo shows: it errs less.
        flat = np.hypot(direction[0], direction[1])
        tips[joint] = _INHERITED * tips[parent] + rng.normal(0, out * severity) * (0.3 + 0.7 * flat**2)
        tilt = np.arcsin(np.clip(direction[2], -1, 1))
        wanted = tilt + tips[joint]
        if (
            severity > 0.4
            and rng.random() < _FLIP.get(joint, 0.0) * severity
            and 0.25 < abs(direction[2]) < 0.8
        ):
            wanted = -tilt  # the same projection, the other sign of depth
        heading = np.arctan2(direction[1], direction[0]) + rng.normal(0, within * severity)
        goal = np.array([np.cos(wanted) * np.cos(heading), np.cos(wanted) * np.sin(heading), np.sin(wanted)])
        twist = Rotation.from_rotvec(direction * rng.normal(0, about * severity)).as_matrix()
        changed[joint] = _between(direction, goal) @ twist @ world[joint]
    result = changed.copy()
    for joint in range(1, 24):
        result[joint] = changed[JOINT_PARENTS[joint]].T @ changed[joint]
    return result


def _between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that takes unit vector ``start`` to ``end``."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, start @ end)).as_matrix()


def _bone_directions(body: SubsetBody, betas: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(24, 3) unit vectors from each joint along its bone in the view frame."""
    rest = body.rest_joints(torch.tensor(betas, dtype=torch.float32)[None])[0].numpy()
    world = global_rotations(rotations)
    directions = np.zeros((24, 3))
    for joint in range(24):
        if joint in _CHILD:
            bone = rest[_CHILD[joint]] - rest[joint]
        elif joint == 15:
            bone = np.array([0, 1.0, 0.1])
        else:
            bone = rest[joint] - rest[JOINT_PARENTS[joint]]
        directions[joint] = world[joint] @ bone / np.linalg.norm(bone)
    return directions
