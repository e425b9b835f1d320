"""What turns a photo into a body; the fit below and GraphCMR are both of this kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ..contracts import Body, Photo
from .fit import fit_body
from .landmarks import LandmarkModel, load_landmark_model
from .model import BodyModel


@runtime_checkable
class BodyEstimator(Protocol):
    """Anything that estimates the body of the person in a photo."""

    name: str

    def estimate(
        self,
        photo: Photo,
        model: BodyModel,
        *,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        seed: int = 0,
    ) -> Body:
        """The body in the box frame; ``progress`` gets fractions, ``cancelled`` is asked often.

        Raises:
            Cancelled: ``cancelled`` returned True.
        """
        ...


class LandmarkEstimator:
    """Fits the body to the detector's landmarks and the mask (:func:`~pamir_blender.body.fit.fit_body`).

    ``prior``: another estimator, asked first, whose depth the fit takes into account.
    """

    def __init__(self, prior: BodyEstimator | None = None) -> None:
        self.name = "landmarks" if prior is None else f"landmarks and {prior.name}"
        self._prior = prior
        self._landmarks: tuple[BodyModel, LandmarkModel] | None = None

    @property
    def depth_digest(self) -> str | None:
        """SHA-256 of the network that put the landmarks' depths right, None before the first estimate."""
        depth = self._landmarks[1].depth if self._landmarks is not None else None
        return depth.digest if depth is not None else None

    def estimate(
        self,
        photo: Photo,
        model: BodyModel,
        *,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        seed: int = 0,
    ) -> Body:
        """See :class:`BodyEstimator`."""
        if self._landmarks is None or self._landmarks[0] is not model:
            self._landmarks = (model, load_landmark_model(model))
        known = self._prior.estimate(photo, model, cancelled=cancelled, seed=seed) if self._prior else None
        return fit_body(
            photo,
            model,
            progress=progress,
            cancelled=cancelled,
            seed=seed,
            landmarks=self._landmarks[1],
            prior=known,
        )
