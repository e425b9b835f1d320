"""How long a training lasts and how its step size follows."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """The end of a training: minutes of training time, or steps, whichever is given.

    Minutes are counted over all resumes and leave out the pauses between them, so an interrupted training
    ends where an uninterrupted one would have. Raises ValueError unless exactly one is positive.
    """

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.minutes, self.steps) if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ValueError("give either --minutes or --steps, a positive number")

    def fraction(self, step: int, elapsed_seconds: float) -> float:
        """The part of the training that is done, in [0, 1]."""
        done = step / self.steps if self.steps else elapsed_seconds / (60.0 * (self.minutes or 1.0))
        return min(1.0, max(0.0, done))


def learning_rate(
    fraction: float, base: float = 1e-3, warmup: float = 0.02, final: float = 0.02, start: float = 0.0
) -> float:
    """Linear warm-up over ``warmup``, then a cosine from ``base`` down to ``final * base``.

    ``fraction`` in [0, 1] is the part done; ``start`` the part at which warm-up begins (a fresh optimiser).
    """
    if fraction < start + warmup:
        return base * max(0.02, (fraction - start) / warmup)
    through = (fraction - start - warmup) / max(1e-9, 1.0 - start - warmup)
    return base * (final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, through))))
