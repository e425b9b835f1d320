"""Body reference optimisation: the body that agrees best with its own surface (PaMIR section 4.3, eqs. 9-12).

The networks and the photo's features are frozen; pose and betas move, and the field with them. The paper
descends by Adam. Here each iteration tries one step in the metric of the vertices' own motion: a number that
moves much of the body moves less, as preconditioning; how far is tried out, and only a step that lowers the
energy is taken. So the energy never rises and there is no learning rate to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..body.confidence import landmark_positions
from ..body.landmarks import LandmarkModel, load_landmark_model
from ..body.model import BodyModel
from ..body.motion import BodyMotion
from ..body.objective import BETAS, PARAMETERS, POSE, SHIFT, LandmarkEvidence, Objective, Weights
from ..body.posed import pose_body
from ..body.silhouette import prepare_silhouette, silhouette_iou, spread_vertices
from ..camera import CROP_SIZE, crop_to_box
from ..contracts import Body, Photo
from ..errors import Cancelled
from .body_energy import BodyEnergy
from .networks import FieldNetworks, FieldOfPhoto

FIELD = 300.0
"""Weight of L_B: the others are those of a least-squares fit, in squares of their sigmas."""

POSE_STIFFNESS, BETA_STIFFNESS, SHIFT_STIFFNESS = 300.0, 300.0, 1e4
"""Weights of the regulariser (eq. 12): per radian squared, unit of beta squared, box unit squared."""

DEPTH_STIFFNESS = 4e5
"""Weight of the vertices' mean squared change of depth, per box unit squared. The surface takes its depth
from the body, so the field has little to say about it; what it says is mostly the network's smoothing."""

EVIDENCE = 1.0
"""Weight of the photo's landmarks, mask and the joint limits, as the first estimate weighed them."""

VERTICES = 1200
FIRST_STEP = 0.005
"""Metres that the vertices move in the first trial, root mean square."""

_IN_THE_PICTURE = np.array([1.0, 1.0, 0.0])
# Followed in depth as well, the field's slope made depths worse on held-out renders, and nothing better.
_GAIN = 1e-4  # of the first energy: less is not worth another iteration
_PATIENCE = 4


@dataclass(frozen=True)
class BodyScore:
    """How a body fares: ``energy`` of eq. 9; overlap with the mask and mean landmark error, crop pixels."""

    energy: float
    silhouette_iou: float | None = None
    landmark_px: float | None = None


@dataclass(frozen=True)
class OptimisedBody:
    """The outcome: ``body`` is the improved one if ``kept``, else the first; ``reason`` says why in words.

    ``energy`` is the lowest after each iteration, the first before any; ``body`` may have an earlier one.
    """

    body: Body
    kept: bool
    reason: str
    energy: tuple[float, ...]
    before: BodyScore
    after: BodyScore

    def report(self, requested: int) -> dict[str, Any]:
        """What ``result.json`` says about it."""
        return {
            "requested": requested,
            "iterations": len(self.energy) - 1,
            "kept": self.kept,
            "reason": self.reason,
            "energy": [round(value, 4) for value in self.energy],
            "before": _rounded(self.before),
            "after": _rounded(self.after),
        }


def optimise_body(
    networks: FieldNetworks,
    features: FieldOfPhoto,
    model: BodyModel,
    body: Body,
    *,
    photo: Photo | None = None,
    landmarks: LandmarkModel | None = None,
    held: Sequence[str] = (),
    iterations: int = 50,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    keep_when_cancelled: bool = False,
) -> OptimisedBody:
    """Improve ``body`` (its pose but for the joints ``held``, betas and place in the picture) in its field.

    ``features`` of the photo, for any body; ``photo``, if given, adds its landmarks, mask and the joint
    limits to the energy. Never ends worse than it began: of the bodies on the way, each of lower energy
    than the one before, the last whose outline is at least as good as the first one's is the outcome.

    Raises:
        Cancelled: ``cancelled`` returned True and ``keep_when_cancelled`` is False; otherwise the best body
            so far is the outcome.
        RequestError: ``held`` names no joint.
    """
    chosen = spread_vertices(model, VERTICES).numpy()
    motion = BodyMotion(model, body, held, chosen)
    field = BodyEnergy(networks, features.image_maps, chosen)
    energy = _Energy(field, motion, model, photo, landmarks)
    descent = _Descent(energy, motion)
    stopped = False
    for step in range(iterations):
        if cancelled is not None and cancelled():
            if not keep_when_cancelled:
                raise Cancelled("The body was not optimised to the end.")
            stopped = True
            break
        if progress is not None:
            progress(step / iterations)
        if not descent.step():
            break
    return _outcome(descent, model, energy, stopped)


def energy_of(
    networks: FieldNetworks,
    features: FieldOfPhoto,
    model: BodyModel,
    body: Body,
    photo: Photo,
    landmarks: LandmarkModel | None = None,
) -> float:
    """The energy of eq. 9 of ``body`` as it is, for ranking bodies of one photo; lower is more plausible."""
    chosen = spread_vertices(model, VERTICES).numpy()
    motion = BodyMotion(model, body, (), chosen)
    field = BodyEnergy(networks, features.image_maps, chosen)
    return _Energy(field, motion, model, photo, landmarks)(motion.start)[0]


class _Energy:
    """Eq. 9 of the motion's numbers, its gradient and a model of its curvature."""

    def __init__(
        self,
        field: BodyEnergy,
        motion: BodyMotion,
        model: BodyModel,
        photo: Photo | None,
        landmarks: LandmarkModel | None,
    ) -> None:
        self._field, self._motion, self._model = field, motion, model
        self.photo, self.landmarks, self._evidence = photo, landmarks, None
        if photo is not None:
            self.landmarks = landmarks or load_landmark_model(model)
            weights = Weights()
            silhouette = prepare_silhouette(photo.crop_mask) if (photo.crop_mask > 0.5).any() else None
            observed = LandmarkEvidence(photo.landmarks, self.landmarks, weights)
            self._evidence = Objective(model, self.landmarks, observed, motion.root, weights, silhouette)
        stiffness = np.zeros(PARAMETERS)
        stiffness[POSE], stiffness[BETAS], stiffness[SHIFT] = POSE_STIFFNESS, BETA_STIFFNESS, SHIFT_STIFFNESS
        self._stiffness = stiffness[motion.free]
        self._depth = pose_body(model, motion.body).vertices[field.chosen, 2].astype(np.float64)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Energy; gradient (F,), curvature (F, F) of all but the field, and the vertices' metric (F, F)."""
        free = self._motion.free
        posed = pose_body(self._model, self._motion.body_at(x))
        value, slope = self._field(posed)
        moves = self._motion.jacobian(x)
        slope = slope * _IN_THE_PICTURE
        away = (x - self._motion.start)[free]
        total = FIELD * value + float(self._stiffness @ away**2)
        gradient = FIELD * np.einsum("na,naf->f", slope, moves) + 2 * self._stiffness * away
        curvature = np.diag(2 * self._stiffness)
        risen = posed.vertices[self._field.chosen, 2].astype(np.float64) - self._depth
        total += DEPTH_STIFFNESS * float((risen**2).mean())
        gradient += 2 * DEPTH_STIFFNESS * moves[:, 2].T @ risen / len(risen)
        curvature += 2 * DEPTH_STIFFNESS * moves[:, 2].T @ moves[:, 2] / len(risen)
        if self._evidence is not None:
            cost, blocks = self._evidence.evaluate(x, True)
            total += EVIDENCE * cost
            for block in blocks:
                jacobian = block.jacobian[:, free]
                gradient += 2 * EVIDENCE * jacobian.T @ (block.share * block.residual)
                curvature += 2 * EVIDENCE * jacobian.T @ (block.share[:, None] * jacobian)
        flat = moves.reshape(-1, len(free))
        return total, gradient, curvature, flat.T @ flat / len(moves)

    def overlap(self, x: np.ndarray) -> float:
        """The silhouette's IoU with the mask of the body at ``x``; 1 without a photo."""
        if self.photo is None:
            return 1.0
        posed = pose_body(self._model, self._motion.body_at(x))
        return silhouette_iou(posed.vertices, posed.faces, self.photo.crop_mask)


class _Descent:
    """The numbers of lowest energy, the ``best`` whose outline is no worse than at first, and trials."""

    def __init__(self, energy: _Energy, motion: BodyMotion) -> None:
        self._energy, self.motion = energy, motion
        self.x = motion.start.copy()
        self._at = energy(self.x)
        self.curve = [self._at[0]]
        self.best = self.x
        self.best_energy, self._first_overlap = self.curve[0], energy.overlap(self.x)
        self._failures = 0
        wanted = FIRST_STEP * motion.body.placement.scale
        self._damping = 1e2
        while self._damping < 1e12 and self._length(self._solve()) > wanted:
            self._damping *= 2

    def step(self) -> bool:
        """One trial; False once nothing is left to gain."""
        trial = self.x.copy()
        trial[self.motion.free] += self._solve()
        tried = self._energy(trial)
        gain = self.curve[-1] - tried[0]
        if gain > 0:
            if not self._failures:  # right after a failure a longer step would only fail again
                self._damping /= 2
            self.x, self._at, self._failures = trial, tried, 0
            if self._energy.overlap(trial) >= self._first_overlap:
                self.best, self.best_energy = trial, tried[0]
        else:
            self._failures += 1
            self._damping *= 4
        self.curve.append(self._at[0])
        return self._failures < _PATIENCE and (self._failures > 0 or gain >= _GAIN * self.curve[0])

    def _solve(self) -> np.ndarray:
        _, gradient, curvature, metric = self._at
        ridge = 1e-6 * np.diag(np.diag(curvature) + 1e-3)
        return -np.linalg.solve(curvature + self._damping * metric + ridge, gradient)

    def _length(self, step: np.ndarray) -> float:
        return float(np.sqrt(step @ self._at[3] @ step))


def _outcome(descent: _Descent, model: BodyModel, energy: _Energy, stopped: bool) -> OptimisedBody:
    motion = descent.motion
    first, last = motion.body, motion.body_at(descent.best)
    before = _score(descent.curve[0], model, energy, first)
    after = _score(descent.best_energy, model, energy, last)
    if not after.energy < before.energy:
        kept = False
        reason = (
            "Every body on the way matched the mask's outline worse."
            if descent.curve[-1] < before.energy
            else "The first body agrees with its surface already."
        )
    else:
        kept = True
        reason = "Stopped early; the best body so far was kept." if stopped else "The body agrees better."
    return OptimisedBody(last if kept else first, kept, reason, tuple(descent.curve), before, after)


def _score(value: float, model: BodyModel, energy: _Energy, body: Body) -> BodyScore:
    if energy.photo is None:
        return BodyScore(value)
    posed = pose_body(model, body)
    photo = energy.photo
    overlap = silhouette_iou(posed.vertices, posed.faces, photo.crop_mask)
    points = body.placement.body_to_box(landmark_positions(model, energy.landmarks, body))[:, :2]
    seen = np.clip(photo.landmarks.visibility, 0, 1)
    error = np.linalg.norm(points - crop_to_box(photo.landmarks.image), axis=1) * CROP_SIZE
    return BodyScore(value, overlap, float((seen * error).sum() / max(float(seen.sum()), 1e-6)))


def _rounded(score: BodyScore) -> dict[str, float | None]:
    return {
        "energy": round(score.energy, 4),
        "silhouette_iou": None if score.silhouette_iou is None else round(score.silhouette_iou, 4),
        "landmark_px": None if score.landmark_px is None else round(score.landmark_px, 2),
    }
