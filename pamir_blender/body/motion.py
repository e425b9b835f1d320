"""A body as numbers to be improved: pose, betas and place in the picture, about a first body.

The numbers are those of :mod:`.objective` (86: pose, betas, log scale, shift, tilt), the first three turning
the root on top of where it starts. Scale and depth of the first body stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..camera import Placement
from ..contracts import JOINT_NAMES, Body
from ..errors import RequestError
from .model import BodyModel
from .objective import BETAS, PARAMETERS, POSE, SCALE, SHIFT, TILT
from .point_jacobians import Skeleton, SkinnedPoints
from .skinning import matrix_to_axis_angle, rodrigues


class BodyMotion:
    """The bodies that can be reached from ``body`` without turning the joints named in ``held``.

    ``vertices`` (M,) are the body's vertices whose motion :meth:`jacobian` gives. Raises
    :class:`RequestError` for a joint that does not exist.
    """

    def __init__(self, model: BodyModel, body: Body, held: Sequence[str], vertices: np.ndarray) -> None:
        unknown = sorted(set(held) - set(JOINT_NAMES))
        if unknown:
            raise RequestError(
                f"{', '.join(unknown)}: no such joint to hold. Joints are {', '.join(JOINT_NAMES)}."
            )
        self.body = body
        self.root = rodrigues(torch.as_tensor(body.pose[0]).double()).numpy()
        self.start = np.zeros(PARAMETERS)
        self.start[POSE] = np.asarray(body.pose, np.float64).ravel()
        self.start[:3] = 0
        self.start[BETAS] = body.betas
        self.start[SCALE] = np.log(body.placement.scale)
        self.start[SHIFT] = body.placement.translation[:2]
        self._held = np.array([name in held for name in JOINT_NAMES])
        free = np.ones(PARAMETERS, bool)
        free[POSE] = np.repeat(~self._held, 3)
        free[[SCALE, TILT]] = False
        free[SHIFT] = not self._held[0]
        self.free = np.flatnonzero(free)
        """Indices of the numbers that may change."""
        self._skeleton = Skeleton(model)
        part = torch.as_tensor(vertices)
        self._points = SkinnedPoints(
            self._skeleton, model.template[part].cpu().numpy(), model.shapedirs[part].cpu().numpy(),
            model.skinning_weights[part].cpu().numpy(), model.posedirs[part].cpu().numpy(),
        )  # fmt: skip

    def body_at(self, x: np.ndarray) -> Body:
        """The body of the numbers ``x`` (86,); held joints keep their rotation to the last bit."""
        rotations = rodrigues(torch.from_numpy(x[POSE].reshape(24, 3)))
        rotations[0] = rotations[0] @ torch.from_numpy(self.root)
        pose = matrix_to_axis_angle(rotations).numpy().astype(np.float32)
        pose[self._held] = self.body.pose[self._held]
        placement = self.body.placement
        place = (float(x[SHIFT][0]), float(x[SHIFT][1]), placement.translation[2])
        return replace(
            self.body,
            betas=x[BETAS].astype(np.float32),
            pose=pose,
            placement=Placement(placement.scale, place),
        )

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """(M, 3, F): how the vertices move in the box with each of the free numbers."""
        posture = self._skeleton.pose(self.root, x[POSE].reshape(24, 3), x[BETAS])
        scale = self.body.placement.scale
        moves = np.zeros((len(self._points.template), 3, PARAMETERS))
        moves[..., :82] = self._points.jacobian(posture, x[BETAS]) * scale
        moves[:, :2, SHIFT] = np.eye(2)
        return moves[..., self.free]
