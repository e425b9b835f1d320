"""Sampling an implicit field only where its surface is.

PaMIR evaluates F(p) hierarchically (section 4.4, after occupancy networks). Here each level is a lattice of
cell corners with twice the cells of the last. Cells that hold surface are refined, and on every level the
surface is followed from cell to cell through the faces it crosses until it closes. So no part that hangs
together with something already found is missed, however thin, and no point is evaluated twice or for safety.

A lattice of n cells a side has its corners at ``i / n - 0.5``, i = 0..n, box frame, and one ring of corners
beyond the box that count as outside, which closes a surface that reaches the box's border.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import Cancelled, RequestError, SurfaceError
from .chunks import in_chunks

Query = Callable[[Tensor], Tensor]
"""Points (N, 3) float32 in the box to occupancy (N,) in [0, 1]."""

OUTSIDE = -1e3
"""Value of the ring around the box, in logits."""

_LOGIT_LIMIT = 1e-4  # occupancies nearer to 0 or 1 than this say nothing about where the surface is
_DENSE_LIMIT = 64
_MOST_SURFACE = 12.0  # cells over the squared resolution; a person in a wide dress has about 2
_CORNERS = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)])


class FieldSampler:
    """Evaluates a query in chunks: bounded memory, progress, cancelling, counting.

    Values are stored as logits above the threshold's: zero on the surface, positive inside. Interpolating
    logits places the surface better than occupancies, which are bent by the network's sigmoid.
    """

    def __init__(
        self,
        query: Query,
        *,
        threshold: float = 0.5,
        chunk: int = 16384,
        device: torch.device | str | None = None,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        if not 0 < threshold < 1 or chunk < 1:
            raise RequestError(
                f"the threshold must lie between 0 and 1 and the chunk be positive: {threshold}, {chunk}"
            )
        self.query, self.chunk, self.device = query, chunk, device
        self.level = float(np.log(threshold / (1 - threshold)))
        self.progress, self.cancelled = progress, cancelled
        self.points_evaluated = 0
        self.points_expected = 0
        self._reported = 0.0

    def check_cancelled(self) -> None:
        """Raise :class:`Cancelled` if the user asked to stop."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("surface extraction was cancelled")

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Logits (N,) float32 of points (N, 3) float32; never exactly zero."""
        values = np.empty(len(points), np.float32)
        chunks = in_chunks(self.query, points, self.chunk, self.device, self.check_cancelled)
        for start, occupancy in chunks:
            if occupancy.ndim != 1:
                raise ValueError(f"the query gave {tuple(occupancy.shape)}, not one value a point")
            values[start : start + len(occupancy)] = occupancy.float().cpu().numpy()
            self.points_evaluated += len(occupancy)
            self._report()
        if not np.isfinite(values).all():
            raise SurfaceError(
                "the network's field holds values that are not finite; its weights may be damaged"
            )
        np.clip(values, _LOGIT_LIMIT, 1 - _LOGIT_LIMIT, out=values)
        values = np.log(values / (1 - values)) - np.float32(self.level)
        # Zero marks an unknown corner; a corner exactly on the surface counts as outside.
        values[values == 0] = -1e-6
        return values

    def _report(self) -> None:
        if self.progress is not None and self.points_expected:
            self._reported = max(self._reported, min(self.points_evaluated / self.points_expected, 1.0))
            self.progress(self._reported)


class Lattice:
    """Corner values of ``cells``^3 cells and the ring around them, flat in (z, y, x) order; 0 = unknown.

    A cell is named by the flat index of its lowest corner. The arrays are as large as the grid but come from
    zeroed pages, so that only the parts near the surface ever take memory.
    """

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.size = cells + 3
        self.values = np.zeros(self.size**3, np.float32)
        self._visited = np.zeros(self.size**3, bool)
        self._strides = np.array([self.size**2, self.size, 1])
        self._corner_steps = _CORNERS @ self._strides

    def coordinates(self, index: np.ndarray) -> np.ndarray:
        """(N, 3) integer (z, y, x) with the ring's first layer at 0."""
        return np.stack(np.unravel_index(index, (self.size,) * 3), axis=-1)

    def index(self, coordinates: np.ndarray) -> np.ndarray:
        """Flat index of (N, 3) coordinates (z, y, x)."""
        return coordinates @ self._strides

    def all_cells(self) -> np.ndarray:
        """Every cell, the ring's included."""
        side = np.arange(self.size - 1)
        return (side[:, None, None] * self.size**2 + side[:, None] * self.size + side).ravel()

    def cells_of_points(self, points: np.ndarray) -> np.ndarray:
        """The cells that hold points (N, 3) of the box; points beyond it are left out."""
        coordinates = np.floor((points[:, ::-1] + 0.5) * self.cells).astype(np.int64) + 1
        return self.index(coordinates[((coordinates > 0) & (coordinates <= self.cells)).all(1)])

    def fill(self, index: np.ndarray, sampler: FieldSampler) -> None:
        """Evaluate those corners of ``index`` that are still unknown."""
        index = _unique(index[self.values[index] == 0])
        coordinates = self.coordinates(index)
        beyond = ((coordinates == 0) | (coordinates == self.size - 1)).any(1)
        self.values[index[beyond]] = OUTSIDE
        points = (coordinates[~beyond, ::-1] - 1) / self.cells - 0.5
        self.values[index[~beyond]] = sampler(points.astype(np.float32))

    def follow(self, cells: np.ndarray, sampler: FieldSampler) -> np.ndarray:
        """Cells that hold surface, starting from ``cells`` and going wherever the surface goes."""
        found = []
        while len(cells):
            cells = _unique(cells[~self._visited[cells]])
            self._visited[cells] = True
            corners = cells[:, None] + self._corner_steps
            self.fill(corners.ravel(), sampler)
            inside = self.values[corners] > 0
            mixed = inside.any(1) & ~inside.all(1)
            cells, inside = cells[mixed], inside[mixed]
            found.append(cells)
            through = []
            for axis, stride in enumerate(self._strides):
                for side, step in ((0, -stride), (1, stride)):
                    face = inside[:, _CORNERS[:, axis] == side]
                    through.append(cells[face.any(1) & ~face.all(1)] + step)
            cells = np.concatenate(through)
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def refine(self, cells: np.ndarray) -> tuple[Lattice, np.ndarray]:
        """The lattice of twice the cells, with what is known at the corners of ``cells``; and the cells of it
        that lie inside them."""
        fine = Lattice(2 * self.cells)
        corners = _unique((cells[:, None] + self._corner_steps).ravel())
        coordinates = self.coordinates(corners)
        inner = ((coordinates > 0) & (coordinates < self.size - 1)).all(1)
        fine.values[fine.index(2 * coordinates[inner] - 1)] = self.values[corners[inner]]
        children = ((2 * self.coordinates(cells) - 1)[:, None] + _CORNERS).reshape(-1, 3)
        return fine, fine.index(children[((children >= 0) & (children < fine.size - 1)).all(1)])


def _unique(index: np.ndarray) -> np.ndarray:
    """Sorted distinct values; for these sizes sorting beats NumPy's hash table."""
    index = np.sort(index)
    return index[np.concatenate([np.ones(min(len(index), 1), bool), index[1:] != index[:-1]])]


def lattice_sizes(resolution: int, coarse: int) -> list[int]:
    """Cells a side of each level, from about ``coarse`` to ``resolution``, each twice the last."""
    if not 16 <= resolution <= 512:
        raise RequestError(f"the resolution must lie between 16 and 512, not {resolution}")
    sizes = [resolution]
    while sizes[0] % 2 == 0 and sizes[0] > coarse:
        sizes.insert(0, sizes[0] // 2)
    if sizes[0] > _DENSE_LIMIT:
        raise RequestError(f"the resolution must be a multiple of 32, not {resolution}")
    return sizes


def sample_near_surface(
    sampler: FieldSampler, resolution: int, *, coarse: int = 32, hint: np.ndarray | None = None
) -> tuple[Lattice, np.ndarray]:
    """The finest lattice and its surface cells.

    ``hint`` (N, 3) box points are refined on every level but the last, so that parts thinner than a coarse
    cell, as forearms, are found where the body is known to be.
    """
    sizes = lattice_sizes(resolution, coarse)
    lattice = Lattice(sizes[0])
    # The coarsest level may be all surface where a finer one is not; it is small anyway.
    sampler.points_expected = (sizes[0] + 1) ** 3 * 4
    cells = lattice.follow(lattice.all_cells(), sampler)
    for size in sizes[1:]:
        # A surface has about two new corners a cell, and four times the cells on each finer level.
        growth = sum(4 ** (level + 1) for level in range(len(sizes) - sizes.index(size)))
        sampler.points_expected = sampler.points_evaluated + max(1, 2 * len(cells) * growth)
        if hint is not None:
            cells = np.concatenate([cells, lattice.cells_of_points(hint)])
        lattice, children = lattice.refine(_unique(cells))
        cells = lattice.follow(children, sampler)
        _refuse_noise(lattice, cells)
    if not len(cells):
        raise SurfaceError(
            "the network found no person in the box; check the body's placement over the photo and try again"
        )
    return lattice, cells


def _refuse_noise(lattice: Lattice, cells: np.ndarray) -> None:
    """Stop before a field that is surface everywhere fills the memory."""
    if len(cells) > _MOST_SURFACE * lattice.cells**2:
        raise SurfaceError(
            "the network's field is noise instead of a person; its weights are untrained, damaged or do not "
            "belong to this kind of photo"
        )
