"""One thing to reconstruct and measure: a picture, the body that conditions it, and the truth behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...body.model import BodyModel
from ...contracts import Body, Photo, PosedBody
from ...errors import AssetsError
from ..metrics import Mesh

BODY_KINDS = ("true", "estimated", "photo")
"""Which body conditions: the true one; a stored one with errors like an estimator's; the one that the photo
front end and the landmark fit find in the picture."""


@dataclass(frozen=True)
class BodyShape:
    """As much of a posed body as the field needs: ``vertices`` (V, 3) float32 box, ``faces``, ``template``.

    ``parameters`` what they were posed with, where that is known.
    """

    vertices: np.ndarray
    faces: np.ndarray
    template: np.ndarray
    parameters: Body | None = None

    @classmethod
    def of(cls, posed: PosedBody) -> BodyShape:
        """A posed body's own."""
        return cls(posed.vertices, posed.faces, posed.template, posed.body)

    def known_parameters(self) -> Body:
        """``parameters``; raises AssetsError for a body that was stored without."""
        if self.parameters is None:
            raise AssetsError(
                "The data set was made before bodies were stored as parameters, which noise and optimisation "
                "need. Make the data set again, or leave both out with --no-noise --no-optimise."
            )
        return self.parameters


@dataclass(frozen=True)
class Case:
    """A picture and everything that belongs to it, in the box of that picture's crop.

    ``truth`` the true clothed mesh; ``scale`` box units per metre; ``body`` the conditioning body;
    ``true_joints`` (24, 3), NaN where a joint is not known, or None; ``depth_free``: how deep the person
    stands is unknown to the picture, so reconstructions are shifted in depth before they are measured.
    """

    name: str
    photo: Photo
    truth: Mesh
    scale: float
    body: BodyShape
    true_joints: np.ndarray | None
    depth_free: bool = False


class ViewSet(Protocol):
    """Where cases come from."""

    kinds: Sequence[str]
    model: BodyModel

    def names(self) -> list[str]:
        """The views, in a fixed order."""

    def digest(self, name: str) -> str:
        """What the scores of a view depend on, as a hash."""

    def tags(self, name: str) -> dict[str, Any]:
        """What is known of a view besides, for the report."""

    def open(self, name: str, kind: str) -> Case:
        """A view conditioned on the body of ``kind``; raises PamirError where the front end refuses it."""

    def describe(self) -> dict[str, Any]:
        """The set itself, for the report."""


@dataclass(frozen=True)
class Condition:
    """One line of the table: whose network (None: the body alone), which body, optimised or not."""

    weights: str | None
    body: str
    optimised: bool = False
