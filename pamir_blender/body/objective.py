"""The terms a body has to please: the detector's landmarks, the mask, and what bodies and poses are like.

Parameters are one vector of 86 numbers: 72 of the pose (its first three turn the root on top of a fixed
start), 10 betas, the logarithm of the scale (box units per metre), the shift (2, box x, y), and the tilt
(radians by which the detector's metres lean towards the viewer as a whole).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import crop_to_box
from ..contracts import Landmarks
from .landmarks import HEAD_LANDMARKS, LandmarkModel
from .least_squares import Block, plain, robust
from .model import BodyModel
from .point_jacobians import Posture, Skeleton, SkinnedPoints
from .pose_prior import POSE_HIGH, POSE_LOW, POSE_STIFFNESS, standing_pose
from .silhouette import Silhouette, spread_vertices

PARAMETERS = 86
POSE, BETAS, SCALE, SHIFT, TILT = slice(0, 72), slice(72, 82), 82, slice(83, 85), 85
_HANDS, _FEET = list(range(17, 23)), list(range(29, 33))
_SUPPORT = list(range(27, 33))  # ankles, heels, toes
_SPINE = (3, 6, 9)


@dataclass(frozen=True)
class Gravity:
    """How firmly gravity holds a body whose depths are in doubt: metres that its middle may be ahead of its
    feet (``balance``) and its shoulders of its hips (``upright``), radians of the detector's lean (``tilt``).
    """

    balance: float
    upright: float
    tilt: float


@dataclass(frozen=True)
class Weights:
    """Strength of each term; lengths are metres on the body.

    ``gravity`` where the detector's depths were put right, ``gravity_alone`` where nothing else tells them.
    """

    image_sigma: float = 0.012
    world_sigma: float = 0.05
    head: float = 1.5
    hands: float = 0.3
    feet: float = 0.7
    limits: float = 300.0
    rest: float = 0.25
    betas: float = 0.25
    gravity: Gravity = Gravity(balance=0.2, upright=0.06, tilt=0.05)
    gravity_alone: Gravity = Gravity(balance=0.05, upright=0.012, tilt=0.1)
    prior_sigma: float = 0.1
    outside: float = 160.0
    outside_sigma: float = 0.015
    uncovered: float = 25.0
    uncovered_reach: float = 0.03


class LandmarkEvidence:
    """Observed landmarks, box and metres, with how far each is to be believed.

    ``prior`` (33, 3) body metres: the landmarks of another estimate of the body, of which the depth counts.
    """

    def __init__(
        self,
        landmarks: Landmarks,
        model: LandmarkModel,
        weights: Weights,
        prior: np.ndarray | None = None,
    ) -> None:
        self.image = crop_to_box(landmarks.image).astype(np.float64)
        self.world = model.metres(landmarks)
        seen = np.clip(landmarks.visibility, 0, 1).astype(np.float64)
        spread = np.full(33, 0.03) if landmarks.spread is None else landmarks.spread.astype(np.float64)
        role = np.ones(33)
        role[list(HEAD_LANDMARKS)], role[_HANDS], role[_FEET] = weights.head, weights.hands, weights.feet
        calibrated = model.spread.numpy().astype(np.float64)
        self.image_share = role * (0.03 + 0.97 * seen**2)
        self.image_sigma = np.sqrt(weights.image_sigma**2 + calibrated**2 + (0.3 * spread) ** 2)
        self.world_share = role * (0.25 + 0.75 * seen)
        if not seen.any():  # nobody looked for landmarks: the picture came with a mask alone
            self.image_share, self.world_share = np.zeros(33), np.zeros(33)
        told = model.depth is not None and seen.any()
        self.gravity = weights.gravity if told else weights.gravity_alone
        self.world_sigma = np.sqrt(weights.world_sigma**2 + spread**2)
        self.prior_depth = None if prior is None else (prior - prior[23:25].mean(axis=0))[:, 2]
        self.start = self.world
        if self.prior_depth is not None:
            trust = self.world_sigma**-2 * self.world_share, np.full(33, weights.prior_sigma**-2)
            self.start = self.world.copy()
            self.start[:, 2] = (trust[0] * self.world[:, 2] + trust[1] * self.prior_depth) / sum(trust)


class Objective:
    """Cost and residual blocks of a parameter vector, for one person.

    ``root`` (3, 3) is the start that the first three parameters turn. Without ``silhouette`` only the
    landmarks and the priors count.
    """

    def __init__(
        self,
        model: BodyModel,
        landmarks: LandmarkModel,
        evidence: LandmarkEvidence,
        root: np.ndarray,
        weights: Weights,
        silhouette: Silhouette | None = None,
        vertices: int = 1200,
    ) -> None:
        self.skeleton = Skeleton(model)
        self.points = SkinnedPoints(
            self.skeleton, landmarks.template.numpy(), landmarks.shapedirs.numpy(), landmarks.weights.numpy()
        )
        self.evidence, self.root, self.weights, self.silhouette = evidence, root, weights, silhouette
        if silhouette is not None:
            chosen = spread_vertices(model, vertices)
            self.skin = SkinnedPoints(
                self.skeleton, model.template[chosen].cpu().numpy(), model.shapedirs[chosen].cpu().numpy(),
                model.skinning_weights[chosen].cpu().numpy(), model.posedirs[chosen].cpu().numpy(),
            )  # fmt: skip
        self._prior_matrix, self._prior_goal = _prior(weights)

    def posture(self, x: np.ndarray) -> Posture:
        """The skeleton posed by parameters ``x`` (86,)."""
        return self.skeleton.pose(self.root, x[POSE].reshape(24, 3), x[BETAS])

    def evaluate(self, x: np.ndarray, derivatives: bool) -> tuple[float, list[Block]]:
        """Cost and, with ``derivatives``, the blocks whose squares make it up."""
        posture = self.posture(x)
        points = self.points.positions(posture, x[BETAS])
        shape = (33, 3, 82)
        moves = self.points.jacobian(posture, x[BETAS]) if derivatives else np.zeros(shape)
        blocks = [
            self._image(x, points, moves),
            self._world(x, points, moves),
            *self._prior_depth(points, moves),
            *self._balance(x, points, moves),
            *self._priors(x),
        ]
        if self.silhouette is not None:
            blocks += self._mask(x, posture, derivatives)
        return sum(block.cost for block in blocks), blocks

    def project(self, x: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Body points (N, 3) to box x, y (N, 2)."""
        return points[:, :2] * np.exp(x[SCALE]) + x[SHIFT]

    def _flat(self, x: np.ndarray, points: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """(N, 2, 86): derivatives of the projection, in metres on the body."""
        jacobian = np.zeros((len(points), 2, PARAMETERS))
        jacobian[..., :82] = moves[:, :2]
        jacobian[..., SCALE] = points[:, :2]
        jacobian[..., SHIFT] = np.eye(2) / np.exp(x[SCALE])
        return jacobian

    def _image(self, x: np.ndarray, points: np.ndarray, moves: np.ndarray) -> Block:
        """Reprojection of the landmarks."""
        sigma = self.evidence.image_sigma[:, None]
        residual = (self.project(x, points) - self.evidence.image) / np.exp(x[SCALE]) / sigma
        jacobian = self._flat(x, points, moves) / sigma[..., None]
        return robust(residual.ravel(), jacobian.reshape(-1, PARAMETERS), self.evidence.image_share, 2)

    def _world(self, x: np.ndarray, points: np.ndarray, moves: np.ndarray) -> Block:
        """Place of the landmarks about the hips' middle in 3D, up to one lean of the whole."""
        sine, cosine = np.sin(x[TILT]), np.cos(x[TILT])
        lean = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        about = (points - points[23:25].mean(axis=0)) @ lean.T
        jacobian = np.zeros((33, 3, PARAMETERS))
        jacobian[..., :82] = lean @ (moves - moves[23:25].mean(axis=0))
        jacobian[:, 1, TILT], jacobian[:, 2, TILT] = -about[:, 2], about[:, 1]
        sigma = self.evidence.world_sigma[:, None]
        residual = (about - self.evidence.world) / sigma
        jacobian = (jacobian / sigma[..., None]).reshape(-1, PARAMETERS)
        return robust(residual.ravel(), jacobian, self.evidence.world_share, 3)

    def _prior_depth(self, points: np.ndarray, moves: np.ndarray) -> list[Block]:
        """Depth of the landmarks about the hips' middle beside that of another estimate."""
        if self.evidence.prior_depth is None:
            return []
        about = points[:, 2] - points[23:25, 2].mean()
        jacobian = np.zeros((33, PARAMETERS))
        jacobian[:, :82] = moves[:, 2] - moves[23:25, 2].mean(axis=0)
        sigma = self.weights.prior_sigma
        residual = (about - self.evidence.prior_depth) / sigma
        return [robust(residual, jacobian / sigma, np.ones(33), 1)]

    def _balance(self, x: np.ndarray, points: np.ndarray, moves: np.ndarray) -> list[Block]:
        """A standing body's middle is above its feet in depth, and its shoulders are above its hips.

        The detector's errors in depth are mostly one lean of the whole body, which one picture cannot
        show; gravity can, and counts for more where nothing else corrects them. The picture's vertical is
        upright. Seated and lying bodies, whose hips
        are low over their feet, are left alone.
        """
        share = np.exp(-(points[_SUPPORT, 1] - points[_SUPPORT, 1].min()) / 0.05)
        share /= share.sum()
        support = share @ points[_SUPPORT]
        rise = points[23:25, 1].mean() - support[1]
        standing = 1 / (1 + np.exp(-(rise - 0.62) / 0.05))
        middle = [11, 12, 23, 24]
        gravity = self.evidence.gravity
        ahead = (points[middle, 2].mean() - support[2]) / gravity.balance
        jacobian = np.zeros((1, PARAMETERS))
        jacobian[0, :82] = moves[middle, 2].mean(axis=0) - share @ moves[_SUPPORT, 2]
        tilt = np.zeros((1, PARAMETERS))
        tilt[0, TILT] = 1 / gravity.tilt
        # Balance alone would let the hips go back as far as the shoulders go forward.
        bow = points[11:13, 2].mean() - points[23:25, 2].mean()
        upright = standing / (1 + (bow / 0.15) ** 2) ** 2  # a real bow is let go
        bend = np.zeros((1, PARAMETERS))
        bend[0, :82] = moves[11:13, 2].mean(axis=0) - moves[23:25, 2].mean(axis=0)
        return [
            plain(np.array([ahead]), jacobian / gravity.balance, standing),
            plain(np.array([bow]) / gravity.upright, bend / gravity.upright, upright),
            plain(np.array([x[TILT] / gravity.tilt]), tilt),
        ]

    def _priors(self, x: np.ndarray) -> list[Block]:
        """Ease of the pose and betas as normal variables, and joint limits."""
        pose = x[3:72]
        beyond = np.maximum(pose - _HIGH, 0) - np.maximum(_LOW - pose, 0)
        rows = np.flatnonzero(beyond)
        limit = np.zeros((len(rows), PARAMETERS))
        limit[np.arange(len(rows)), rows + 3] = 1
        return [
            plain(self._prior_matrix @ x - self._prior_goal, self._prior_matrix),
            plain(beyond[rows], limit, self.weights.limits),
        ]

    def _mask(self, x: np.ndarray, posture: Posture, derivatives: bool) -> list[Block]:
        """Skin outside the mask, and outline of the mask that no skin is near.

        People wear clothes: leaving the mask is an error, not filling it only a hint.
        """
        weights, silhouette = self.weights, self.silhouette
        scale = np.exp(x[SCALE])
        skin = self.skin.positions(posture, x[BETAS])
        flat = self.project(x, skin)
        depth, slope = silhouette.sample(flat)
        out = np.flatnonzero(depth > 0)
        near, gap = silhouette.nearest(flat)
        reach = weights.uncovered_reach
        squared = np.maximum((gap / scale / reach) ** 2, 0.02)
        used = np.concatenate([out, near])
        if derivatives:
            moves = self._flat(x, skin[used], self.skin.jacobian(posture, x[BETAS], used))
        else:
            moves = np.zeros((len(used), 2, PARAMETERS))
        outside = robust(
            depth[out] / scale / weights.outside_sigma,
            np.einsum("na,nap->np", slope[out], moves[: len(out)]) / weights.outside_sigma,
            np.full(len(out), weights.outside / len(skin)),
            1,
        )
        if not len(near):
            return [outside]
        # Geman and McClure's function saturates, so that clothes and hair may stand off the body.
        share = weights.uncovered / len(near) * 0.5 / (np.sqrt(squared) * (1 + squared) ** 1.5)
        toward = flat[near] - silhouette.contour
        toward /= np.linalg.norm(toward, axis=1, keepdims=True) + 1e-9
        uncovered = Block(
            gap / scale / reach,
            np.einsum("na,nap->np", toward, moves[len(out) :]) / reach,
            share,
            float(weights.uncovered * np.sqrt(squared / (1 + squared)).mean()),
        )
        return [outside, uncovered]


_LOW = POSE_LOW.numpy().astype(np.float64).ravel()[3:]
_HIGH = POSE_HIGH.numpy().astype(np.float64).ravel()[3:]


def _prior(weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (R, 86) and goal (R,) of the linear residuals.

    They are stiffness about the usual pose, an even spine, neck and head alike, and small betas.
    """
    usual = standing_pose().numpy().astype(np.float64).ravel()
    stiffness = np.sqrt(weights.rest * POSE_STIFFNESS.numpy().astype(np.float64).ravel())
    rows: list[np.ndarray] = []
    goals: list[float] = []
    for index in range(3, 72):
        row = np.zeros(PARAMETERS)
        row[index] = stiffness[index]
        rows.append(row)
        goals.append(stiffness[index] * usual[index])
    for axis in range(3):
        for joint in _SPINE:
            row = np.zeros(PARAMETERS)
            row[[3 * other + axis for other in _SPINE]] = -1 / 3
            row[3 * joint + axis] += 1
            rows.append(row * np.sqrt(10 * weights.rest))
            goals.append(0.0)
        row = np.zeros(PARAMETERS)
        row[3 * 12 + axis], row[3 * 15 + axis] = 1, -1
        rows.append(row * np.sqrt(3 * weights.rest))
        goals.append(0.0)
    for index in range(BETAS.start, BETAS.stop):
        row = np.zeros(PARAMETERS)
        row[index] = np.sqrt(weights.betas)
        rows.append(row)
        goals.append(0.0)
    return np.stack(rows), np.array(goals)
