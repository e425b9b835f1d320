"""SMPL's joints and skinning weights on MakeHuman's rig, and the way from its A-pose to SMPL's T-pose."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from pamir_blender.contracts import JOINT_PARENTS

from .dual_quaternions import blend_rigid
from .makehuman import BaseMesh

SMOOTHING_STEPS = 25
COLLAR_LIFT = 0.3  # share of the collar's slope that the T-pose takes away; the arm does the rest

# Each SMPL joint as a mean of MakeHuman's joint cubes (name -> share).
_CENTRE_JOINTS: dict[int, dict[str, float]] = {
    0: {"pelvis": 0.35, "spine-4": 0.65},
    3: {"spine-3": 0.5, "spine-2": 0.5},
    6: {"spine-2": 0.4, "spine-1": 0.6},
    9: {"spine-1": 1.0},
    12: {"neck": 0.7, "head": 0.3},
    15: {"head": 1.0},
}
_SIDE_JOINTS: dict[int, dict[str, float]] = {  # the left joint; the right one is the next index
    1: {"upper-leg": 1.0},
    4: {"knee": 1.0},
    7: {"ankle": 1.0},
    10: {"toe-2-1": 0.5, "toe-3-1": 0.5},
    13: {"clavicle": 0.5, "scapula": 0.5},
    16: {"shoulder": 1.0},
    18: {"elbow": 1.0},
    20: {"hand": 1.0},
    22: {"finger-2-1": 0.25, "finger-3-1": 0.25, "finger-4-1": 0.25, "finger-5-1": 0.25},
}

# MakeHuman bone (without side) -> shares of SMPL joints; bones not named here move with the head.
_BONES: dict[str, dict[int, float]] = {
    "root": {0: 1.0}, "pelvis": {0: 1.0}, "spine05": {0: 1.0}, "spine04": {0: 0.5, 3: 0.5},
    "spine03": {3: 1.0}, "spine02": {6: 1.0}, "spine01": {9: 1.0}, "breast": {9: 1.0},
    "neck01": {12: 1.0}, "neck02": {12: 1.0}, "neck03": {12: 0.6, 15: 0.4},
    "clavicle": {13: 1.0}, "shoulder01": {13: 1.0},
    "upperarm01": {16: 1.0}, "upperarm02": {16: 1.0}, "lowerarm01": {18: 1.0}, "lowerarm02": {18: 1.0},
    "wrist": {20: 1.0}, "metacarpal1": {20: 1.0}, "metacarpal2": {20: 1.0}, "metacarpal3": {20: 1.0},
    "metacarpal4": {20: 1.0}, "finger1-1": {20: 1.0},
    "upperleg01": {1: 1.0}, "upperleg02": {1: 1.0}, "lowerleg01": {4: 1.0}, "lowerleg02": {4: 1.0},
    "foot": {7: 1.0},
}  # fmt: skip


def joint_matrix(base: BaseMesh, vertex_count: int) -> np.ndarray:
    """(24, N): SMPL's joints as means over the base mesh's joint cubes."""
    matrix = np.zeros((24, vertex_count))

    def add(row: int, parts: dict[str, float], prefix: str) -> None:
        for name, share in parts.items():
            ids = base.joint_cube(f"joint-{prefix}{name}")
            matrix[row, ids] += share / len(ids)

    for row, parts in _CENTRE_JOINTS.items():
        add(row, parts, "")
    for row, parts in _SIDE_JOINTS.items():
        add(row, parts, "l-")
        add(row + 1, parts, "r-")
    return matrix


def smpl_weights(rig: dict[str, list], vertex_count: int) -> np.ndarray:
    """(N, 24): the rig's weights merged onto SMPL's joints; rows sum to 1."""
    merged = np.zeros((vertex_count, 24))
    for bone, pairs in rig.items():
        name, _, side = bone.partition(".")
        if name.startswith("finger") and name != "finger1-1":
            shares = {22: 1.0}
        elif name.startswith("toe"):
            shares = {10: 1.0}
        else:
            shares = _BONES.get(name, {15: 1.0})
        for joint, share in shares.items():
            sided = joint in _SIDE_JOINTS
            target = joint + (1 if sided and side == "R" else 0)
            for vertex, weight in pairs:
                merged[vertex, target] += share * weight
    return merged / merged.sum(axis=1, keepdims=True)


def keep_four(weights: np.ndarray) -> np.ndarray:
    """The four largest weights of each row, summing to 1."""
    out = weights.copy()
    np.put_along_axis(out, np.argsort(-out, axis=1, kind="stable")[:, 4:], 0, axis=1)
    return out / out.sum(axis=1, keepdims=True)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _frame(along: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Columns: ``along``, the part of ``towards`` square to it, and their cross product."""
    x = _unit(along)
    y = _unit(towards - x * (towards @ x))
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _shortest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation taking direction ``a`` to ``b``."""
    a, b = _unit(a), _unit(b)
    axis, cosine = np.cross(a, b), a @ b
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def _half_way(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Rotation ``share`` of the way from ``a`` to ``b``."""
    step = Rotation.from_matrix(a.T @ b).as_rotvec()
    return a @ Rotation.from_rotvec(share * step).as_matrix()


def t_pose_rotations(joints: np.ndarray, knuckles: dict[str, np.ndarray]) -> np.ndarray:
    """(24, 3, 3) world rotation of each joint from MakeHuman's A-pose to SMPL's T-pose.

    ``joints`` (24, 3) in A-pose; ``knuckles`` side -> (2, 3), first the index, then the little finger's.
    Arms along +-x with palms down and elbows that bend forward, legs nearly vertical, feet flat.
    """
    rotations = np.tile(np.eye(3), (24, 1, 1))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        off = 0 if side == "left" else 1
        collar, shoulder, elbow, wrist, hand = (i + off for i in (13, 16, 18, 20, 22))
        hip, knee, ankle, foot = (i + off for i in (1, 4, 7, 10))
        out = np.array([sign, 0, 0])
        clavicle = joints[shoulder] - joints[collar]
        level = np.array([sign * np.hypot(clavicle[0], clavicle[1]), 0.01, clavicle[2]])
        rotations[collar] = _half_way(np.eye(3), _shortest(clavicle, level), COLLAR_LIFT)
        upper, fore = joints[elbow] - joints[shoulder], joints[wrist] - joints[elbow]
        bend = np.cross(upper, fore)
        up = np.array([0, -sign, 0])  # the axis about which a straight arm bends forward
        rotations[shoulder] = _frame(out, up) @ _frame(upper, bend).T
        hinge = _frame(out, up) @ _frame(fore, bend).T
        index, little = knuckles[side]
        palm = _frame(out, np.array([0, 0, 1.0])) @ _frame(joints[hand] - joints[wrist], index - little).T
        rotations[wrist] = rotations[hand] = palm
        flat = _frame(out, np.array([0, 0, 1.0])) @ _frame(fore, index - little).T
        rotations[elbow] = _half_way(hinge, flat, 0.6)
        thigh, shin = joints[knee] - joints[hip], joints[ankle] - joints[knee]
        rotations[hip] = _shortest(thigh, np.array([sign * 0.06, -1, 0]))
        rotations[knee] = _shortest(shin, np.array([sign * 0.01, -1, -0.05]))
        toes = joints[foot] - joints[ankle]
        yaw = np.array([np.sin(sign * np.radians(8)), 0, np.cos(np.radians(8))])
        rotations[ankle] = rotations[foot] = _shortest(toes * [1, 0, 1], yaw)
    return rotations


def to_t_pose(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, rotations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (K, 3) and joints (24, 3) in T-pose, such that dual-quaternion skinning back gives the sculpt.

    Every vertex goes back by one rigid motion, so nothing swells or shrinks as it would by inverting
    blended matrices; the pose correctives later make linear blend skinning follow the same motion.
    """
    moved = joints.copy()
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent >= 0:
            moved[joint] = moved[parent] + rotations[parent] @ (joints[joint] - joints[parent])
    back = rotations.transpose(0, 2, 1)  # T-pose to A-pose: x -> back (x - moved) + joints
    turn, move = blend_rigid(weights, back, joints - np.einsum("jab,jb->ja", back, moved))
    return turn.inv().apply(vertices - move), moved


def smooth_weights(
    weights: np.ndarray, faces: np.ndarray, vertices: np.ndarray, joints: np.ndarray
) -> np.ndarray:
    """Diffuse the weights (K, 24) about shoulders and hips, where the rig's are too narrow for big turns.

    ``vertices`` (K, 3) and ``joints`` (24, 3) in one pose, metres.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    graph = sparse.csr_matrix((1 / np.maximum(length, 1e-4), edges.T), shape=(len(vertices),) * 2)
    graph = sparse.diags_array(1 / np.asarray(graph.sum(axis=1)).ravel()) @ graph
    share = np.zeros(len(vertices))
    for joint, radius in ((16, 0.17), (17, 0.17), (1, 0.2), (2, 0.2)):
        distance = np.linalg.norm(vertices - joints[joint], axis=1)
        share = np.maximum(share, 0.5 * np.clip(2 - 2 * distance / radius, 0, 1))
    for _ in range(SMOOTHING_STEPS):
        weights = weights + share[:, None] * (graph @ weights - weights)
    return weights
