"""An exact body as plain numbers: what Blender sends back after the artist has posed it.

Standard library only: the worker must be able to answer even in a Python that lacks everything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import RequestError

Vector = tuple[float, float, float]

_LONGEST_TURN = 4 * math.pi
_LARGEST_BETA = 20.0
_SCALES = (1e-3, 10.0)
_FARTHEST = 100.0


@dataclass(frozen=True)
class BodyState:
    """A body and the character frame it is shown in, as JSON can carry it without losing a bit.

    ``pose`` 24 axis-angle vectors in radians, the root's first; ``betas`` 10; ``scale`` box units per metre
    and ``translation`` box units place it in the box (:class:`pamir_blender.camera.Placement`).
    ``frame_scale`` and ``frame_origin`` are the :class:`pamir_blender.camera.CharacterFrame` of the
    character's *first* result: all its later ones are in the same frame, so camera and floor stay put.
    """

    pose: tuple[Vector, ...]
    betas: tuple[float, ...]
    scale: float
    translation: Vector
    frame_scale: float
    frame_origin: Vector

    def __post_init__(self) -> None:
        """Refuse bodies that no body model could pose sensibly (:class:`RequestError`)."""
        _require(
            len(self.pose) == 24 and all(len(row) == 3 for row in self.pose), "pose must be 24 x 3 numbers"
        )
        _require(len(self.betas) == 10, "betas must be 10 numbers")
        _require(
            _bounded((a for row in self.pose for a in row), _LONGEST_TURN),
            f"angles must be at most {_LONGEST_TURN:.2f} radians",
        )
        _require(_bounded(self.betas, _LARGEST_BETA), f"betas must be at most {_LARGEST_BETA}")
        for name, scale in (("scale", self.scale), ("frame_scale", self.frame_scale)):
            low, high = _SCALES
            _require(low <= scale <= high, f"{name} must be between {low} and {high} box units per metre")
        for name, point in (("translation", self.translation), ("frame_origin", self.frame_origin)):
            _require(
                len(point) == 3 and _bounded(point, _FARTHEST),
                f"{name} must be 3 numbers of at most {_FARTHEST}",
            )

    @classmethod
    def from_arrays(
        cls,
        pose: Iterable[Iterable[float]],
        betas: Iterable[float],
        *,
        scale: float,
        translation: Sequence[float],
        frame_scale: float,
        frame_origin: Sequence[float],
    ) -> BodyState:
        """From a pose (24, 3), betas (10,) and points (3,), arrays of any float type among them."""
        return cls(
            tuple(_floats(row) for row in pose),
            _floats(betas),
            float(scale),
            _floats(translation),
            float(frame_scale),
            _floats(frame_origin),
        )


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _bounded(values: Iterable[float], limit: float) -> bool:
    return all(abs(value) <= limit for value in values)  # false for NaN as well


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RequestError(f"This body cannot be used: {message}.")
