"""Plausible body poses for training subjects: truncated-normal angles inside joint limits, by mode.

Rotations are SMPL's: relative to the parent, about the T-pose's world axes (x to the person's left, y up,
z forward). Angles are degrees. Arms that must end somewhere (on the hips, before the chest) are solved as
two-bone chains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .avatars import global_rotations, joint_transforms

MODES: dict[str, float] = {
    "stand": 0.36,
    "a_pose": 0.10,
    "walk": 0.14,
    "hips": 0.07,
    "gesture": 0.11,
    "reach": 0.08,
    "action": 0.08,
    "free": 0.06,
}
"""Share of each pose mode: people in photos mostly stand with their arms hanging."""

_LEFT = {
    "hip": 1,
    "knee": 4,
    "ankle": 7,
    "foot": 10,
    "collar": 13,
    "shoulder": 16,
    "elbow": 18,
    "wrist": 20,
    "hand": 22,
}
_RIGHT = {part: joint + 1 for part, joint in _LEFT.items()}
_SPINE = ((3, 0.3), (6, 0.4), (9, 0.3))


@dataclass(frozen=True)
class SampledPose:
    """``rotations`` (24, 3, 3) float64 relative to the parents (row 0 = root); ``mode`` or file name."""

    rotations: np.ndarray
    mode: str


def sample_pose(rng: np.random.Generator, joints: np.ndarray, mode: str | None = None) -> SampledPose:
    """Draw one pose for a person whose T-pose ``joints`` are (24, 3) metres; ``mode`` of :data:`MODES`.

    Poses whose arms would run through the torso, the head or the thighs are drawn again.
    """
    names = list(MODES)
    chosen = mode or names[rng.choice(len(names), p=np.array(list(MODES.values())) / sum(MODES.values()))]
    for _ in range(60):
        rotations = _draw(rng, joints, chosen)
        if not self_penetrates(joints, rotations):
            return SampledPose(rotations, chosen)
    return SampledPose(_draw(np.random.default_rng(0), joints, "a_pose"), "a_pose")


def normal(rng: np.random.Generator, mean: float, sigma: float, low: float, high: float) -> float:
    """A normal value truncated to [low, high] (redrawn, then clipped)."""
    for _ in range(8):
        value = rng.normal(mean, sigma)
        if low <= value <= high:
            return float(value)
    return float(np.clip(mean, low, high))


def euler(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Rotation matrix (3, 3): about x, then y, then z (fixed axes), degrees."""
    return Rotation.from_euler("xyz", [x, y, z], degrees=True).as_matrix()


def _draw(rng: np.random.Generator, joints: np.ndarray, mode: str) -> np.ndarray:
    rotations = np.tile(np.eye(3), (24, 1, 1))
    _torso(rng, rotations, mode)
    _legs(rng, rotations, mode)
    for side in (1, -1):
        _arm(rng, joints, rotations, side, mode)
    return rotations


def _torso(rng: np.random.Generator, rotations: np.ndarray, mode: str) -> None:
    active = {"stand": 0.6, "a_pose": 0.4, "hips": 0.7, "gesture": 0.8, "walk": 0.8}.get(mode, 1.5)
    rotations[0] = euler(normal(rng, 0, 3 * active, -25, 20), 0, normal(rng, 0, 2.5 * active, -12, 12))
    bend = normal(rng, 3, 6 * active, -18, 40)
    twist = normal(rng, 0, 7 * active, -35, 35)
    lean = -0.8 * np.degrees(np.arcsin(rotations[0][1, 0])) + normal(rng, 0, 4 * active, -20, 20)
    for joint, share in _SPINE:
        rotations[joint] = euler(bend * share, twist * share, lean * share)
    nod, turn, tilt = normal(rng, 3, 8, -25, 30), normal(rng, 0, 14, -50, 50), normal(rng, 0, 5, -18, 18)
    rotations[12] = euler(nod * 0.4, turn * 0.4, tilt * 0.4)
    rotations[15] = euler(nod * 0.6 - bend * 0.4, turn * 0.6, tilt * 0.6)


def _legs(rng: np.random.Generator, rotations: np.ndarray, mode: str) -> None:
    phase = rng.choice((-1.0, 1.0)) * normal(rng, 1.0, 0.4, 0.2, 1.6)
    for side, part in ((1, _LEFT), (-1, _RIGHT)):
        if mode == "walk":
            flex = normal(rng, side * phase * 18 + 2, 4, -22, 40)
            knee = normal(rng, 8 + max(0.0, -side * phase) * 22, 7, 0, 60)
            spread, turn = normal(rng, 2, 2, -3, 8), normal(rng, 6, 5, -6, 20)
        elif mode in ("action", "free"):
            lifted = rng.random() < 0.35
            flex = normal(rng, 55, 20, 10, 95) if lifted else normal(rng, 10, 14, -22, 50)
            knee = normal(rng, 45 if lifted else 18, 22, 0, 110)
            spread, turn = normal(rng, 10, 9, -2, 38), normal(rng, 8, 12, -18, 38)
        else:
            relaxed = rng.random() < 0.3
            knee = normal(rng, 14 if relaxed else 3, 5, 0, 32)
            flex = normal(rng, 0.55 * knee, 3, -8, 24)
            spread, turn = normal(rng, 5, 4, -2, 20), normal(rng, 9, 6, -6, 28)
        hip = euler(-flex, side * turn, 0)
        rotations[part["hip"]] = euler(0, 0, side * spread) @ hip
        rotations[part["knee"]] = euler(knee, 0, 0)
        # The sole stays roughly on the floor, as far as the ankle goes.
        level = np.clip(flex - knee, -25 if mode != "stand" else -12, 18)
        rotations[part["ankle"]] = euler(level + rng.normal(0, 2), 0, -side * 0.7 * np.clip(spread, -3, 14))
        rotations[part["foot"]] = euler(-normal(rng, 2, 3, 0, 18), 0, 0)


def _arm(rng: np.random.Generator, joints: np.ndarray, rotations: np.ndarray, side: int, mode: str) -> None:
    part = _LEFT if side > 0 else _RIGHT
    style = mode
    if mode in ("gesture", "hips", "reach") and rng.random() < 0.35:
        style = "stand"  # one arm acts, the other hangs
    if mode in ("action", "free"):
        style = str(rng.choice(["raise", "reach", "swing", "gesture"]))
    rotations[part["wrist"]] = euler(rng.normal(0, 6), rng.normal(0, 8), rng.normal(0, 7))
    rotations[part["hand"]] = euler(0, 0, -side * normal(rng, 18, 14, 0, 60))
    if style in ("hips", "gesture", "reach"):
        _aimed_arm(rng, joints, rotations, side, style)
        return
    if style == "raise":
        lower, flex = normal(rng, 10, 45, -75, 70), normal(rng, 0, 25, -30, 60)
        bend, twist = normal(rng, 30, 28, 0, 120), normal(rng, 0, 25, -60, 60)
    elif style in ("walk", "swing"):
        lower, flex = normal(rng, 74, 6, 50, 84), normal(rng, 0, 18, -35, 40)
        bend, twist = normal(rng, 20, 12, 2, 75), normal(rng, 5, 12, -25, 30)
    elif style == "a_pose":
        lower, flex = normal(rng, 50, 12, 15, 70), normal(rng, 0, 6, -15, 15)
        bend, twist = normal(rng, 8, 8, 0, 35), normal(rng, 0, 12, -30, 30)
    else:
        lower, flex = normal(rng, 76, 5, 62, 86), normal(rng, 0, 7, -18, 18)
        bend, twist = normal(rng, 13, 9, 1, 40), normal(rng, 5, 14, -30, 35)
    collar = max(0.0, (20 - lower) * 0.28)  # the clavicle rises with the arm
    drop = min(15.0, max(0.0, (lower - 30) * 0.32)) * normal(rng, 1, 0.25, 0.4, 1.4)  # and sinks with it
    rotations[part["collar"]] = euler(0, 0, side * (collar - drop))
    shoulder = euler(-flex, 0, 0) @ euler(0, 0, -side * (lower + collar - drop)) @ euler(twist, 0, 0)
    rotations[part["shoulder"]] = shoulder
    forearm_twist = normal(rng, 0, 22, -60, 60)
    rotations[part["elbow"]] = euler(0, -side * bend, 0) @ euler(forearm_twist, 0, 0)


def _aimed_arm(
    rng: np.random.Generator, joints: np.ndarray, rotations: np.ndarray, side: int, style: str
) -> None:
    """An arm whose wrist goes to a target given in the chest's frame, the elbow towards a pole."""
    part = _LEFT if side > 0 else _RIGHT
    shoulder = joints[part["shoulder"]]
    upper = np.linalg.norm(joints[part["elbow"]] - shoulder)
    lower = np.linalg.norm(joints[part["wrist"]] - joints[part["elbow"]])
    world = global_rotations(rotations)
    posed = joint_transforms(joints, rotations)
    chest = world[part["collar"]]
    origin = posed[part["collar"], :3, :3] @ shoulder + posed[part["collar"], :3, 3]
    if style == "hips":
        pelvis = posed[0, :3, :3] @ joints[0] + posed[0, :3, 3]
        hip_width = abs(joints[1, 0] - joints[2, 0])
        offset = np.array([side * (0.75 * hip_width + 0.055 + rng.normal(0, 0.012)), 0.10, 0.035])
        target = pelvis + world[0] @ (offset + rng.normal(0, 0.02, 3))
        pole = chest @ np.array([side * 1.0, -0.2, -0.45 + rng.normal(0, 0.25)])
    elif style == "gesture":
        offset = [side * rng.uniform(-0.12, 0.28), rng.uniform(-0.38, 0.05), rng.uniform(0.20, 0.42)]
        target = origin + chest @ np.array(offset)
        pole = chest @ np.array([side * rng.uniform(0.3, 1.0), -1.0, -0.3])
    else:
        direction = np.array([side * rng.normal(0.5, 0.5), rng.normal(0.1, 0.55), abs(rng.normal(0.7, 0.4))])
        direction /= np.linalg.norm(direction)
        target = origin + chest @ direction * (upper + lower) * rng.uniform(0.75, 0.99)
        pole = chest @ np.array([side * 0.6, -1.0, -0.2])
    shoulder_world, bend = two_bone(origin, target, pole, upper, lower, side)
    rotations[part["shoulder"]] = chest.T @ shoulder_world
    hinge = -side * np.degrees(bend)
    rotations[part["elbow"]] = euler(0, hinge, 0) @ euler(normal(rng, 0, 25, -70, 70), 0, 0)
    if style == "hips":
        rotations[part["wrist"]] = euler(
            0, -side * normal(rng, 20, 12, -10, 45), side * normal(rng, -15, 10, -40, 10)
        )


def two_bone(
    origin: np.ndarray, target: np.ndarray, pole: np.ndarray, upper: float, lower: float, side: int
) -> tuple[np.ndarray, float]:
    """World rotation (3, 3) of the upper arm and the elbow's bend (radians) that put the wrist at ``target``.

    At rest the arm lies along side * x and bends towards +z; ``pole`` is the direction the elbow keeps to.
    """
    reach = target - origin
    distance = float(np.clip(np.linalg.norm(reach), abs(upper - lower) + 0.02, (upper + lower) * 0.998))
    along = reach / np.linalg.norm(reach)
    aside = pole - along * (pole @ along)
    aside /= max(np.linalg.norm(aside), 1e-6)
    cos_shoulder = (upper**2 + distance**2 - lower**2) / (2 * upper * distance)
    cos_shoulder = np.clip(cos_shoulder, -1, 1)
    arm = along * cos_shoulder + aside * np.sqrt(1 - cos_shoulder**2)
    forearm = along * distance - arm * upper
    forearm /= np.linalg.norm(forearm)
    bend = float(np.arccos(np.clip(arm @ forearm, -1, 1)))
    hinge = np.cross(arm, forearm)
    hinge /= max(np.linalg.norm(hinge), 1e-6)
    rest_arm = np.array([float(side), 0, 0])
    rest_hinge = np.array([0, -float(side), 0])
    rest = np.stack([rest_arm, rest_hinge, np.cross(rest_arm, rest_hinge)], axis=1)
    posed = np.stack([arm, hinge, np.cross(arm, hinge)], axis=1)
    return posed @ rest.T, bend


def self_penetrates(joints: np.ndarray, rotations: np.ndarray) -> bool:
    """True when a forearm or hand runs through the torso, the head, a thigh or the other arm, or legs cross.

    A coarse test on capsules about the bones, sized by the hips' and shoulders' width.
    """
    transforms = joint_transforms(joints, rotations)
    posed = np.einsum("jik,jk->ji", transforms[:, :3, :3], joints) + transforms[:, :3, 3]
    hip_width = np.linalg.norm(joints[1] - joints[2])
    crown = posed[15] + (posed[15] - posed[12]) * 0.9
    middle_hip = (posed[1] + posed[2]) / 2
    solids = [
        (posed[9], middle_hip, 0.125),
        (posed[12], posed[9], 0.09),
        (posed[15], crown, 0.11),
        (posed[1], posed[4], 0.45 * hip_width),
        (posed[2], posed[5], 0.45 * hip_width),
        (posed[1] + (posed[1] - posed[2]) * 0.18, posed[2] + (posed[2] - posed[1]) * 0.18, 0.105),
    ]
    fingertips = {}
    for part in (_LEFT, _RIGHT):
        wrist, hand = posed[part["wrist"]], posed[part["hand"]]
        fingertips[part["hand"]] = hand + (hand - wrist) * 0.9
        samples = [posed[part["elbow"]] * (1 - t) + wrist * t for t in (0.4, 0.7, 1.0)]
        samples += [hand, fingertips[part["hand"]]]
        for point, radius in zip(samples, (0.045, 0.038, 0.03, 0.025, 0.01), strict=True):
            if any(_segment_distance(point, a, b) < r + radius for a, b, r in solids):
                return True
    # Thighs touch; from the knees' middle down the legs are apart, or one runs through the other.
    for one, other in ((_LEFT, _RIGHT), (_RIGHT, _LEFT)):
        knee, ankle = posed[one["knee"]], posed[one["ankle"]]
        for share, radius in ((0.25, 0.05), (0.6, 0.05), (1.0, 0.035)):
            point = knee * (1 - share) + ankle * share
            if _segment_distance(point, posed[other["knee"]], posed[other["ankle"]]) < radius + 0.035:
                return True
    left, right = (fingertips[22], posed[20], posed[18]), (fingertips[23], posed[21], posed[19])
    return any(
        _segment_distance(point, right[0], right[1]) < 0.06
        or _segment_distance(point, right[1], right[2]) < 0.07
        for point in (*left, (left[0] + left[1]) / 2, (left[1] + left[2]) / 2)
    )


def _segment_distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    axis = end - start
    along = np.clip((point - start) @ axis / max(axis @ axis, 1e-9), 0, 1)
    return float(np.linalg.norm(point - start - along * axis))
