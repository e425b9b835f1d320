"""Skinned points and their exact derivatives by pose and betas, in numpy.

A fit solves small least-squares problems again and again; closed-form Jacobians of a few hundred points make
a step some forty times cheaper than automatic differentiation. Rotations are axis-angle vectors that add up;
the left Jacobian of SO(3) turns a change of such a vector into a small rotation in the parent's frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..contracts import JOINT_PARENTS
from .model import BodyModel

_DESCENDS = np.eye(24)
for _joint in range(23, 0, -1):
    _DESCENDS[JOINT_PARENTS[_joint]] += _DESCENDS[_joint]
_DESCENDS = np.minimum(_DESCENDS, 1)  # [k, j] = 1 where joint j hangs on joint k or is k


def _skew(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) to the matrices (..., 3, 3) of the cross product."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vectors.shape, 3)


def rotation_and_jacobian(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (..., 3, 3) of axis-angles (..., 3), and the left Jacobians: exp(a + d) = exp(J d) exp(a)."""
    squared = (vectors**2).sum(axis=-1)[..., None, None]
    small = squared < 1e-8
    safe = np.where(small, 1.0, squared)
    angle = np.sqrt(safe)
    sine = np.where(small, 1 - squared / 6, np.sin(angle) / angle)
    cosine = np.where(small, 0.5 - squared / 24, (1 - np.cos(angle)) / safe)
    rest = np.where(small, 1 / 6 - squared / 120, (angle - np.sin(angle)) / (safe * angle))
    skew = _skew(vectors)
    square = skew @ skew
    return np.eye(3) + sine * skew + cosine * square, np.eye(3) + cosine * skew + rest * square


@dataclass(frozen=True)
class Posture:
    """One posed skeleton: what every point needs to know.

    ``turn`` (24, 3, 3) world rotations; ``place`` (24, 3) posed joints; ``rest`` (24, 3) T-pose joints;
    ``place_by_betas`` (24, 3, 10); ``lever`` (24, 3, 3) maps a change of a joint's axis-angle to a small
    world rotation; ``features`` (207,) of the pose correctives.
    """

    turn: np.ndarray
    place: np.ndarray
    rest: np.ndarray
    place_by_betas: np.ndarray
    lever: np.ndarray
    features: np.ndarray


class Skeleton:
    """A body model's joints, ready to be posed."""

    def __init__(self, model: BodyModel) -> None:
        self.template = model.joint_template.cpu().numpy().astype(np.float64)
        self.shapedirs = model.joint_shapedirs.cpu().numpy().astype(np.float64)

    def pose(self, root: np.ndarray, pose: np.ndarray, betas: np.ndarray) -> Posture:
        """``pose`` (24, 3) axis-angles whose row 0 turns on top of ``root`` (3, 3); ``betas`` (10,)."""
        local, jacobian = rotation_and_jacobian(pose)
        features = (local[1:] - np.eye(3)).ravel()
        local[0] = local[0] @ root
        rest = self.template + self.shapedirs @ betas
        turn, lever, place = local.copy(), jacobian.copy(), rest.copy()
        by_betas = self.shapedirs.copy()
        for joint, parent in enumerate(JOINT_PARENTS):
            if parent < 0:
                continue
            turn[joint] = turn[parent] @ local[joint]
            lever[joint] = turn[parent] @ jacobian[joint]
            place[joint] = place[parent] + turn[parent] @ (rest[joint] - rest[parent])
            step = self.shapedirs[joint] - self.shapedirs[parent]
            by_betas[joint] = by_betas[parent] + turn[parent] @ step
        return Posture(turn, place, rest, by_betas, lever, features)


class SkinnedPoints:
    """Points that follow a skeleton: ``template`` (N, 3), ``shapedirs`` (N, 3, 10), ``weights`` (N, 24).

    ``posedirs`` (N, 3, 207) or None. The correctives move the points but are left out of the derivatives.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        template: np.ndarray,
        shapedirs: np.ndarray,
        weights: np.ndarray,
        posedirs: np.ndarray | None = None,
    ) -> None:
        self.skeleton = skeleton
        self.template, self.shapedirs, self.weights = (
            np.asarray(values, dtype=np.float64) for values in (template, shapedirs, weights)
        )
        self.posedirs = None if posedirs is None else np.asarray(posedirs, dtype=np.float32)

    def positions(self, posture: Posture, betas: np.ndarray) -> np.ndarray:
        """(N, 3) body metres."""
        rest = self._rest(posture, betas, slice(None))
        shift = posture.place - np.einsum("jab,jb->ja", posture.turn, posture.rest)
        blend = (self.weights @ posture.turn.reshape(24, 9)).reshape(-1, 3, 3)
        return np.einsum("nab,nb->na", blend, rest) + self.weights @ shift

    def jacobian(
        self, posture: Posture, betas: np.ndarray, rows: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        """(M, 3, 82): derivatives of the points ``rows`` by the 24 x 3 pose numbers and the 10 betas."""
        weights = self.weights[rows]
        rest = self._rest(posture, betas, rows)
        carried = np.einsum("jab,njb->nja", posture.turn, rest[:, None] - posture.rest) + posture.place
        moved = np.einsum("kj,nja->nka", _DESCENDS, weights[..., None] * carried)
        arm = moved - (weights @ _DESCENDS.T)[..., None] * posture.place
        # A small world rotation w of joint k moves the point by w x arm; w is a column of the lever.
        by_pose = np.cross(posture.lever.transpose(0, 2, 1)[None], arm[:, :, None], axis=-1)
        by_pose = by_pose.reshape(len(weights), 72, 3).transpose(0, 2, 1)
        blend = (weights @ posture.turn.reshape(24, 9)).reshape(-1, 3, 3)
        fixed = posture.place_by_betas - posture.turn @ self.skeleton.shapedirs
        by_betas = blend @ self.shapedirs[rows] + np.einsum("nj,jab->nab", weights, fixed)
        return np.concatenate([by_pose, by_betas], axis=2)

    def _rest(self, posture: Posture, betas: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        rest = self.template[rows] + self.shapedirs[rows] @ betas
        if self.posedirs is not None:
            rest = rest + self.posedirs[rows] @ posture.features.astype(np.float32)
        return rest
