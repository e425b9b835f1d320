"""What a result folder holds that another hypothesis of the same person can start from. numpy only.

The folder may come from a stranger: everything is bounded and checked, nothing is executed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Arrays
from .body_state import BodyState
from .contracts import JOINT_NAMES
from .depth_flip import FLIP_LIMBS, flip_depth
from .errors import RequestError, ResultError
from .result import JSON_NAME, SCENE_NAME
from .rotations import axis_angle, rotation_matrix

_MOST_JSON_BYTES = 4_000_000
_OPTIONS = {
    "photo": str, "mask": str, "person": int, "box": list, "resolution": int, "size": str, "body_model": str,
    "weights": str, "seed": int, "texture": bool, "texture_size": int, "faces": int,
}  # fmt: skip


@dataclass(frozen=True)
class SavedHypothesis:
    """A hypothesis read from its folder.

    ``options`` the fields of ``options.PhotoOptions``; ``body`` its exact body; ``joints_rest`` (24, 3)
    metres; ``edited`` names of joints that were posed by hand.
    """

    options: dict[str, Any]
    body: BodyState
    joints_rest: np.ndarray
    edited: tuple[str, ...]

    def edit(self, pose: np.ndarray, joints: tuple[str, ...]) -> SavedHypothesis:
        """The same with another ``pose`` (24, 3), in which ``joints`` were edited."""
        edited = tuple(name for name in JOINT_NAMES if name in {*self.edited, *joints})
        rows = tuple(tuple(float(a) for a in row) for row in pose)
        return replace(self, body=replace(self.body, pose=rows), edited=edited)

    def posed(self, pose: dict[str, list[float]]) -> SavedHypothesis:
        """With the joints named in ``pose`` turned to these local axis-angles in radians."""
        changed = np.array(self.body.pose)
        for name, turn in pose.items():
            if name not in JOINT_NAMES:
                raise RequestError(f"{name!r} is no joint of the body. Joints are {', '.join(JOINT_NAMES)}.")
            changed[JOINT_NAMES.index(name)] = turn
        return self.edit(changed, tuple(pose))

    def flipped(self, limb: str) -> SavedHypothesis:
        """With ``limb`` mirrored in depth (:func:`~pamir_blender.depth_flip.flip_depth`)."""
        pose = flip_depth(np.array(self.body.pose), self.joints_rest, limb)
        return self.edit(pose, tuple(JOINT_NAMES[joint] for joint in FLIP_LIMBS[limb]))

    def turned(self, yaw: float, pitch: float) -> SavedHypothesis:
        """With the whole body turned about its pelvis, in degrees: ``yaw`` about the vertical, to the
        viewer's right; ``pitch`` forward, towards the viewer."""
        turn = rotation_matrix(np.radians([0, yaw, 0])) @ rotation_matrix(np.radians([pitch, 0, 0]))
        pose = np.array(self.body.pose)
        pose[0] = axis_angle(turn @ rotation_matrix(pose[0]))
        return self.edit(pose, (JOINT_NAMES[0],))


def read_saved(folder: Path) -> SavedHypothesis:
    """The hypothesis in a result folder. Raises :class:`ResultError` for anything that is none."""
    path = Path(folder) / JSON_NAME
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise ValueError("far too long")
        report = json.loads(path.read_text(encoding="utf-8"))
        options = {name: _option(report["options"], name, kind) for name, kind in _OPTIONS.items()}
        frame = report["camera"]
        edited = tuple(name for name in report["hypothesis"]["edited"] if name in JOINT_NAMES)
        scene = Arrays(Path(folder) / SCENE_NAME)
        scale, *translation = scene.get("body_placement", (4,))
        body = BodyState.from_arrays(
            scene.get("pose", (24, 3)),
            scene.get("betas", (10,)),
            scale=scale,
            translation=translation,
            frame_scale=frame["frame_scale"],
            frame_origin=frame["frame_origin"],
        )
        return SavedHypothesis(options, body, scene.get("joints_rest", (24, 3)), edited)
    except FileNotFoundError:
        raise ResultError(f"{folder} is no result folder: it holds no {JSON_NAME}.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, RequestError) as error:
        raise ResultError(
            f"{path} cannot be regenerated from ({type(error).__name__}: {error}). "
            "Reconstruct the photo again."
        ) from error


def _option(options: dict[str, Any], name: str, kind: type) -> Any:
    value = options[name]
    if value is not None and type(value) is not kind:
        raise ValueError(f"the option {name} is {value!r:.40}")
    if name == "box" and value is not None:
        x0, y0, x1, y1 = (float(side) for side in value)
        return (x0, y0, x1, y1)
    return value


def read_pose_file(path: Path) -> dict[str, list[float]]:
    """Joints to pose, from JSON: ``{"left_elbow": [x, y, z], ...}``, or all 24 as a list in SMPL's order.

    Local axis-angles in radians. Raises :class:`RequestError` for anything else.
    """
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise ValueError("far too long")
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, list) and len(content) == 24:
            content = dict(zip(JOINT_NAMES, content, strict=True))
        if not isinstance(content, dict):
            raise ValueError("neither an object of joints nor a list of 24")
        pose = {name: [float(angle) for angle in turn] for name, turn in content.items()}
        if not all(len(turn) == 3 and np.isfinite(turn).all() for turn in pose.values()):
            raise ValueError("every joint takes three finite numbers")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RequestError(f"The pose file {path} cannot be used: {error}.") from error
    return pose
