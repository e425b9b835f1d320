"""Which bone of a rig stands for which of SMPL's 24 joints, by the usual names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...contracts import JOINT_NAMES

# Names of rigs in wide use (SMPL, Mixamo and what follows it, Rigify, VRM, Unreal), letters and digits alone.
# "@" is the side, "left" or "l".
_NAMES: dict[str, tuple[str, ...]] = {
    "pelvis": ("pelvis", "hips"),
    "hip": ("@upleg", "@upperleg", "thigh@", "@thigh", "@hip"),
    "spine1": ("spine1",),
    "knee": ("@leg", "@lowerleg", "calf@", "@calf", "shin@", "@shin", "@knee"),
    "spine2": ("spine2", "chest"),
    "ankle": ("@foot", "foot@", "@ankle"),
    "spine3": ("spine3", "upperchest"),
    "foot": ("@toebase", "@toes", "ball@", "toe@"),
    "neck": ("neck", "neck01"),
    "collar": ("@shoulder", "clavicle@", "shoulder@", "@collar"),
    "head": ("head",),
    "shoulder": ("@arm", "@upperarm", "upperarm@"),
    "elbow": ("@forearm", "@lowerarm", "lowerarm@", "forearm@", "@elbow"),
    "wrist": ("@hand", "hand@", "@wrist"),
    "hand": ("@handmiddle1", "@middleproximal", "middle01@"),
}
_COUNTED_FROM_NONE = {"spine1": "spine", "spine2": "spine1", "spine3": "spine2"}
"""The spine of rigs whose lowest spine bone has no number."""


def plain_name(name: str) -> str:
    """A bone's name without the rig's prefix, case and punctuation: "mixamorig:LeftArm" to "leftarm"."""
    plain = re.sub(r"[^a-z0-9]", "", re.sub(r"^(mixamorig\d*|def|org)[:_\-.]", "", name.lower()))
    return re.sub(r"^jbipc?", "", plain)


def smpl_joints(names: Sequence[str], positions: np.ndarray) -> np.ndarray | None:
    """(24, 3) positions of SMPL's joints among bones (B,) at (B, 3), NaN where none fits; None without any.

    Rigs call one joint by another's name: Mixamo's "LeftShoulder" is SMPL's left collar, its "LeftArm" SMPL's
    left shoulder. So a rig that has all of SMPL's own names is read by those alone.
    """
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        found.setdefault(plain_name(name), index)
    own = {plain_name(name) for name in JOINT_NAMES}
    result = np.full((24, 3), np.nan)
    for joint, name in enumerate(JOINT_NAMES):
        choices = (plain_name(name),) if own <= found.keys() else _choices(name, "spine" in found)
        index = next((found[choice] for choice in choices if choice in found), None)
        if index is not None:
            result[joint] = positions[index]
    return result if np.isfinite(result).any() else None


def _choices(name: str, from_none: bool) -> tuple[str, ...]:
    side, _, rest = name.partition("_")
    if side not in ("left", "right"):
        first = (_COUNTED_FROM_NONE[name],) if from_none and name in _COUNTED_FROM_NONE else _NAMES[name]
        return (*first, *_NAMES[name][1:])
    return tuple(pattern.replace("@", word) for pattern in _NAMES[rest] for word in (side, side[0]))
