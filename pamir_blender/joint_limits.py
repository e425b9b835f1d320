"""How far human joints turn, as bounds on SMPL's axis-angle components. numpy only.

Radians in the T-pose's axes (x left, y up, z front). The limits are anatomical ranges of motion (AAOS tables)
turned into these components, widened where an axis-angle component is not an anatomical angle.
"""

from __future__ import annotations

import numpy as np

# joint -> ((low x, high x), (low y, high y), (low z, high z)), left or middle joints only.
_LIMITS: dict[int, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    1: ((-2.1, 0.5), (-0.8, 0.9), (-0.5, 1.0)),
    3: ((-0.25, 0.55), (-0.3, 0.3), (-0.3, 0.3)),
    4: ((-0.03, 2.5), (-0.12, 0.12), (-0.1, 0.1)),
    6: ((-0.2, 0.45), (-0.3, 0.3), (-0.25, 0.25)),
    7: ((-0.45, 0.85), (-0.45, 0.45), (-0.35, 0.35)),
    9: ((-0.2, 0.35), (-0.3, 0.3), (-0.2, 0.2)),
    10: ((-0.5, 0.3), (-0.1, 0.1), (-0.1, 0.1)),
    12: ((-0.5, 0.55), (-0.7, 0.7), (-0.4, 0.4)),
    13: ((-0.15, 0.15), (-0.35, 0.25), (-0.15, 0.45)),
    15: ((-0.45, 0.45), (-0.7, 0.7), (-0.4, 0.4)),
    16: ((-1.5, 1.5), (-2.0, 0.9), (-1.55, 1.4)),
    18: ((-1.3, 1.3), (-2.5, 0.05), (-0.3, 0.3)),
    20: ((-0.8, 0.8), (-0.45, 0.45), (-1.0, 1.0)),
    22: ((-0.1, 0.1), (-0.1, 0.1), (-0.3, 0.3)),
}
MIDDLE_JOINTS = (3, 6, 9, 12, 15)
"""Joints of the spine, neck and head: they have no other side."""


def _tables() -> tuple[np.ndarray, np.ndarray]:
    low, high = np.zeros((24, 3)), np.zeros((24, 3))
    for joint, axes in _LIMITS.items():
        low[joint], high[joint] = np.transpose(axes)
        if joint not in MIDDLE_JOINTS:
            right = joint + 1  # mirrored: x keeps its sign, y and z change theirs
            low[right] = [low[joint, 0], -high[joint, 1], -high[joint, 2]]
            high[right] = [high[joint, 0], -low[joint, 1], -low[joint, 2]]
    return low, high


JOINT_LOW, JOINT_HIGH = _tables()
"""(24, 3) float64 radians each; row 0, the root, is free and its bounds mean nothing."""
