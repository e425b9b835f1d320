"""Progress, timing, cancelling and memory errors, the same for every job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from ..errors import Cancelled, DeviceMemoryError

OnProgress = Callable[[str, float, str], None]
"""Called with ``(stage, fraction of the whole job, sentence for the artist)``."""

Progress = Callable[[float], None]
"""Called with the fraction of one stage; raises :class:`Cancelled`."""

STAGES: dict[str, tuple[float, str]] = {
    "photo": (0.06, "Finding the person"),
    "body": (0.18, "Fitting the body"),
    "features": (0.06, "Reading the picture"),
    "optimise": (0.25, "Fitting the body to the field"),
    "surface": (0.15, "Finding the surface"),
    "rig": (0.12, "Rigging"),
    "texture": (0.13, "Painting"),
    "save": (0.05, "Saving"),
}
"""Every stage of a reconstruction in order, its usual share of a whole reconstruction, and its sentence."""


HOLD_STAGES = {"hold": (0.05, "Keeping the limbs you posed")}
"""What comes before the surface of a body that an artist posed; as :data:`STAGES`."""

_KNOWN = STAGES | HOLD_STAGES


class Job:
    """Progress, timing and cancellation of one job that runs the stages ``names`` in that order.

    ``shares`` replaces the usual shares of the known stages, ``sentences`` their sentences.
    """

    def __init__(
        self,
        names: Sequence[str],
        on_progress: OnProgress,
        cancelled: Callable[[], bool],
        *,
        shares: dict[str, float] | None = None,
        sentences: dict[str, str] | None = None,
    ) -> None:
        self._on_progress = on_progress
        self.cancelled = cancelled
        self.timings: dict[str, float] = {}
        self._sentences = {name: _KNOWN[name][1] for name in names if name in _KNOWN} | (sentences or {})
        wanted = {name: (shares or {}).get(name) or _KNOWN[name][0] for name in names}
        total = sum(wanted.values())
        self._spans: dict[str, tuple[float, float]] = {}
        start = 0.0
        for name in names:
            self._spans[name] = (start, wanted[name] / total)
            start += wanted[name] / total

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """One stage; yields ``progress(fraction of this stage)``, which raises :class:`Cancelled`."""
        start, share = self._spans[name]

        def progress(fraction: float) -> None:
            self.check()
            done = start + share * min(max(fraction, 0.0), 1.0)
            self._on_progress(name, min(done, 1.0), self._sentences[name])

        progress(0.0)
        began = time.perf_counter()
        yield progress
        self.timings[name] = round(time.perf_counter() - began, 4)
        progress(1.0)

    def part(self, names: Sequence[str], number: int, count: int, within: str) -> Job:
        """A job of its own stages that is the ``number``-th of ``count`` equal parts of stage ``within``."""
        start, share = self._spans[within]

        def on_progress(stage: str, fraction: float, sentence: str) -> None:
            done = start + share * (number + fraction) / count
            self._on_progress(stage, min(done, 1.0), f"{sentence} ({number + 1} of {count})")

        return Job(names, on_progress, self.cancelled)

    def check(self) -> None:
        """Raise :class:`Cancelled` if the user asked to stop."""
        if self.cancelled():
            raise Cancelled("cancelled")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn the several ways of running out of memory into one error the artist can act on."""
    advice = "Choose a lower resolution, close other programs, or set the device to CPU."
    try:
        yield
    except MemoryError as error:
        raise DeviceMemoryError(f"The computer ran out of memory. {advice}") from error
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(f"The graphics card ran out of memory. {advice}") from error
    except RuntimeError as error:
        if "allocate memory" in str(error) or "out of memory" in str(error):
            raise DeviceMemoryError(f"The computer ran out of memory. {advice}") from error
        raise
