"""Holes in a surface where the photo shows the person.

Every pixel inside the mask shows the person at some depth. Where a field is in doubt about that depth, as
with cloth that hangs between two legs, it can stay below one half all along a pixel's ray, and the surface
has a hole that the photo contradicts. There the field is raised until its likeliest depths are inside. Where
it is sure that nobody is there it stays: masks have errors, too. The paper has no such step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..contracts import Surface
from .chunks import in_chunks
from .field import Query

FINEST = 192
"""Most pixels a side of the picture in which holes are looked for; three quarters of the surface's cells."""

OUTLINE = 0.016
"""Box units from the mask's outline inwards in which nothing is mended: there it is the surface that ends."""

DOUBT = (0.2, 0.6)
"""Occupancies: a field that stays below the first all along a ray is sure of nobody there; doubtful rays are
raised to the second."""

REACH = 0.016
"""Box units around a hole that are raised as well, so that its rim does not stay a paper-thin edge."""

_DEPTHS = 64


def torn_rays(surface: Surface, mask: np.ndarray, resolution: int) -> np.ndarray:
    """(G, G) bool: pixels well inside the mask (S, S) in [0, 1], row 0 at the top, without surface.

    G is three quarters of the ``resolution`` of the surface, at most :data:`FINEST`.
    """
    grid = min(resolution * 3 // 4, FINEST)
    small = cv2.resize(mask.astype(np.float32), (grid, grid), interpolation=cv2.INTER_AREA)
    shown = (small > 0.5).astype(np.uint8)
    inner = cv2.erode(shown, _disc(OUTLINE * grid), borderValue=0)
    column, row = (((surface.vertices[:, :2] * [1, -1] + 0.5) * grid).astype(int).clip(0, grid - 1)).T
    covered = np.zeros((grid, grid), np.uint8)
    # Pixels are wider than triangles, so every pixel of a surface holds a vertex, but for rare ones, whose
    # rays turn out to be fine.
    covered[row, column] = 1
    return inner > covered


@dataclass(frozen=True)
class Mending:
    """How much a field is raised along the rays of the pixels that its surface leaves empty.

    ``lift`` (G, G) float32, what is added to the occupancy's logit, row 0 at the top; ``points_evaluated``
    queries of the field that it took.
    """

    lift: np.ndarray
    points_evaluated: int = 0

    @property
    def needed(self) -> bool:
        """Whether anything is raised."""
        return bool((self.lift > 0).any())

    def over(self, query: Query) -> Query:
        """The field with the rays raised."""
        lift = torch.from_numpy(self.lift)[None, None]

        def raised(points: Tensor) -> Tensor:
            at = points[:, :2] * points.new_tensor([2.0, -2.0])
            here = functional.grid_sample(lift.to(points), at[None, None], align_corners=False)
            return torch.sigmoid(torch.logit(query(points), 1e-6) + here.view(-1))

        return raised


def find_mending(
    query: Query,
    surface: Surface,
    mask: np.ndarray,
    resolution: int,
    *,
    chunk: int = 16384,
    device: torch.device | str | None = None,
    check: Callable[[], None] = lambda: None,
) -> Mending:
    """What raises the field ``query`` where its ``surface`` is torn.

    ``mask`` (S, S) in [0, 1] of the box's x, y; ``resolution`` of the surface; ``query`` as for
    :func:`~pamir_blender.pamir.surface.extract`; ``check`` is called between chunks, and may raise.
    """
    torn = torn_rays(surface, mask, resolution)
    raised = np.zeros(torn.shape, np.float32)
    if not torn.any():
        return Mending(raised)
    grid = len(torn)
    rows, columns = np.nonzero(cv2.dilate(torn.astype(np.uint8), _disc(REACH * grid)))
    depths = np.linspace(*np.quantile(surface.vertices[:, 2], (0.0, 1.0)), _DEPTHS)
    rays = np.empty((len(rows), _DEPTHS, 3), np.float32)
    rays[..., 0] = ((columns + 0.5) / grid - 0.5)[:, None]
    rays[..., 1] = (0.5 - (rows + 0.5) / grid)[:, None]
    rays[..., 2] = depths
    found = np.concatenate(
        [
            part.float().cpu().numpy()
            for _, part in in_chunks(query, rays.reshape(-1, 3), chunk, device, check)
        ]
    )
    best = _logit(found.reshape(len(rows), _DEPTHS).max(axis=1))
    lowest, wanted = _logit(np.array(DOUBT))
    raised[rows, columns] = np.where(best > lowest, np.maximum(wanted - best, 0), 0)
    # Where no torn ray itself is raised, neither are those around them.
    needed = (raised[torn] > 0).any()
    return Mending(cv2.GaussianBlur(raised, (0, 0), 0.7) * np.float32(needed), found.size)


def _disc(radius: float) -> np.ndarray:
    radius = max(1, round(radius))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _logit(values: np.ndarray) -> np.ndarray:
    values = np.clip(values, 1e-4, 1 - 1e-4)
    return np.log(values / (1 - values))
