"""Body poses from MakeHuman's one-frame BVH files (CC0), as SMPL rotations for a subject of any proportions.

The files' skeleton stands z up, faces -y and rests in an A-pose; all its axes agree with the world's at rest.
What a bone does there is taken over as a rotation in space; a limb's own rest direction is brought to the
skeleton's by the smallest rotation first, so that posed limbs point where the file's do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..contracts import JOINT_PARENTS
from ..errors import AssetsError
from .poses import SampledPose, self_penetrates

MAX_BYTES = 1 << 20
"""Larger files are refused: a pose takes some 60 kB."""
MAX_JOINTS = 1000

_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_TRUNK = {0: "root", 3: "spine04", 6: "spine03", 9: "spine01", 12: "neck02", 15: "head"}
# SMPL's left joint: the bone with its rotation (twist included), where the bone starts and ends, SMPL's end.
_LIMBS = {
    1: ("upperleg02", "upperleg01", "lowerleg01", 4),
    4: ("lowerleg02", "lowerleg01", "foot", 7),
    7: ("foot", "foot", "toe3-1", 10),
    16: ("upperarm02", "upperarm01", "lowerarm01", 18),
    18: ("lowerarm02", "lowerarm01", "wrist", 20),
    20: ("wrist", "wrist", "finger3-1", 22),
}
_COLLAR, _TIPS = "shoulder01", {10: 7, 22: 20}
_LEFT_TO_RIGHT = ((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23))


@dataclass(frozen=True)
class BvhPose:
    """Joints by name: ``rest`` positions and ``world`` rotations (3, 3); y up, facing +z, decimetres."""

    name: str
    rest: dict[str, np.ndarray]
    world: dict[str, np.ndarray]

    def rotations(self, joints: np.ndarray, mirrored: bool = False) -> np.ndarray:
        """SMPL's relative rotations (24, 3, 3) for a person whose T-pose ``joints`` are (24, 3)."""
        world = np.tile(np.eye(3), (24, 1, 1))
        for joint, bone in _TRUNK.items():
            world[joint] = self.world[bone]
        for side, mark in enumerate((".L", ".R")):
            world[13 + side] = self.world[_COLLAR + mark]
            for left, (bone, start, end, tip) in _LIMBS.items():
                own = joints[tip + side] - joints[left + side]
                theirs = self.rest[end + mark] - self.rest[start + mark]
                world[left + side] = self.world[bone + mark] @ _smallest_turn(own, theirs)
            for tip, parent in _TIPS.items():
                world[tip + side] = world[parent + side]
        if mirrored:
            flip = np.diag([-1.0, 1.0, 1.0])
            swap = np.arange(24)
            for left, right in _LEFT_TO_RIGHT:
                swap[[left, right]] = right, left
            world = flip @ world[swap] @ flip
        relative = world.copy()
        for joint, parent in enumerate(JOINT_PARENTS):
            if parent >= 0:
                relative[joint] = world[parent].T @ world[joint]
        return relative


def read_poses(folder: Path) -> list[BvhPose]:
    """The poses of all ``*.bvh`` files in ``folder``, by name; an empty list for none.

    Raises :class:`AssetsError` for a file that is no pose of this skeleton.
    """
    return [read_pose(path) for path in sorted(folder.glob("*.bvh"))]


def read_pose(path: Path) -> BvhPose:
    """Read one file; raises :class:`AssetsError` naming it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("it is larger than 1 MB")
        pose = _parse(path.stem, path.read_text(encoding="utf-8").split())
        pose.rotations(np.random.default_rng(0).random((24, 3)))  # every bone that is read must be there
        return pose
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise AssetsError(f"The pose {path} cannot be read ({error}). Fetch the file again.") from error


def sample_library(
    rng: np.random.Generator, joints: np.ndarray, library: list[BvhPose], spread: float = 5.0
) -> SampledPose | None:
    """A pose of ``library`` for rest ``joints`` (24, 3), mirrored or not, each joint turned by some degrees.

    Poses in which the person would run through themselves are drawn again; None where all draws did.
    """
    for _ in range(20):
        pose = library[rng.integers(len(library))]
        rotations = pose.rotations(joints, bool(rng.random() < 0.5))
        noise = rng.normal(0, np.radians(spread), (24, 3))
        rotations[1:] = rotations[1:] @ Rotation.from_rotvec(noise[1:]).as_matrix()
        if not self_penetrates(joints, rotations):
            return SampledPose(rotations, pose.name)
    return None


def _parse(name: str, words: list[str]) -> BvhPose:
    motion = words.index("MOTION")
    values = np.array(words[motion + 6 :], np.float64)  # "Frames: 1 Frame Time: x" comes before
    used = 0
    rest: dict[str, np.ndarray] = {}
    world: dict[str, np.ndarray] = {}
    above: list[str | None] = []
    current: str | None = None
    k = 0
    while k < motion:
        word = words[k]
        if word in ("ROOT", "JOINT", "End"):
            current = words[k + 1] if word != "End" else None
            if len(rest) > MAX_JOINTS:
                raise ValueError("it has too many joints")
            k += 2
        elif word == "{":
            above.append(current)
            k += 1
        elif word == "}":
            above.pop()
            k += 1
        elif word == "OFFSET" and above[-1] is not None:
            parent = above[-2] if len(above) > 1 else None
            offset = np.array(words[k + 1 : k + 4], np.float64)
            rest[above[-1]] = offset + (rest[parent] if parent else 0.0)
            k += 4
        elif word == "CHANNELS":
            count = int(words[k + 1])
            parent = above[-2] if len(above) > 1 else None
            own = _channels(words[k + 2 : k + 2 + count], values[used : used + count])
            used += count
            world[above[-1]] = world[parent] @ own if parent else own
            k += 2 + count
        else:
            k += 1
    if not rest or not all(np.isfinite(value).all() for value in (*rest.values(), *world.values())):
        raise ValueError("it holds no finite skeleton")
    return BvhPose(
        name,
        {joint: _TO_Y_UP @ value for joint, value in rest.items()},
        {joint: _TO_Y_UP @ value @ _TO_Y_UP.T for joint, value in world.items()},
    )


def _channels(names: list[str], values: np.ndarray) -> np.ndarray:
    """The rotation that the listed channels make, the first one outermost; positions are left out."""
    turn = np.eye(3)
    for name, value in zip(names, values, strict=True):
        if name.endswith("rotation"):
            turn = turn @ Rotation.from_euler(name[0].lower(), value, degrees=True).as_matrix()
    return turn


def _smallest_turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) from the direction of ``start`` to that of ``end`` (not opposite ones)."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(a, b)
    sine, cosine = np.linalg.norm(axis), a @ b
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()
