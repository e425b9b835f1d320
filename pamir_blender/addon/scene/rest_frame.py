"""Where the T-pose stands: on the floor, the pelvis above the origin, in Blender's axes.

Game engines and artists expect the rest pose there; SMPL's own rest frame has its origin near the
chest. The shift between both is kept on the armature, so that nothing is lost on the way back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import camera
from .read_result import BodyData


@dataclass(frozen=True)
class RestFrame:
    """``shift`` (3,) metres, character axes: ``armature rest = SMPL rest + shift``."""

    shift: np.ndarray

    def to_blender(self, points: np.ndarray) -> np.ndarray:
        """SMPL rest (..., 3) metres to Blender (..., 3) metres."""
        return camera.character_to_blender(np.asarray(points) + self.shift)


def rest_frame(body: BodyData) -> RestFrame:
    """The frame that puts the lowest vertex of the shaped T-pose body on the floor."""
    lowest = body.shaped_template()[:, 1].min()
    pelvis = body.joints_rest[0]
    return RestFrame(np.array([-pelvis[0], -lowest, -pelvis[2]]))
