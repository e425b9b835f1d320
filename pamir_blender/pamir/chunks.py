"""Asking a network about many points, a few at a time; fewer when the graphics memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import DeviceMemoryError

SMALLEST_CHUNK = 512
"""Points; when even these do not fit, fewer would not either: what fills the memory is something else."""


def in_chunks(
    query: Callable[[Tensor], Tensor],
    points: np.ndarray,
    chunk: int,
    device: torch.device | str | None = None,
    before: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Tensor]]:
    """Yield ``(start, query(points[start : start + n]))`` over points (N, 3) float32, n at most ``chunk``.

    ``before`` is called before each query, and may raise. When the device runs out of memory the chunk is
    halved, for the rest of the points too. Raises :class:`DeviceMemoryError` when :data:`SMALLEST_CHUNK`
    points do not fit.
    """
    start = 0
    while start < len(points):
        before()
        part = torch.from_numpy(points[start : start + chunk])
        try:
            with torch.inference_mode():
                answer = query(part if device is None else part.to(device))
        except torch.OutOfMemoryError as error:
            if chunk <= SMALLEST_CHUNK:
                raise DeviceMemoryError(
                    "The graphics card ran out of memory, even for small pieces of the work. Close other "
                    "programs that use it, choose a lower resolution, or set the device to Processor."
                ) from error
            answer = None
        if answer is None:
            # Outside the handler: the traceback would keep the failed query's tensors alive.
            chunk = max(SMALLEST_CHUNK, chunk // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        if len(answer) != len(part):
            raise ValueError(f"the query gave {tuple(answer.shape)} for {len(part)} points")
        yield start, answer
        start += len(part)
