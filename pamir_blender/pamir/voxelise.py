"""The body as an occupancy volume V_O (PaMIR section 4.1), in plain torch, on any device.

Every column of voxels is a ray along z. A triangle met from behind opens the solid, one met from the front
closes it; the running sum of these signed crossings is the winding number, and a voxel is inside where it is
positive. So limbs that overlap the torso stay solid, which parity counting would hollow out.
"""

from __future__ import annotations

import torch
from torch import Tensor


def voxelise_occupancy(vertices: Tensor, faces: Tensor, resolution: int = 128) -> Tensor:
    """Occupancy (B, 1, R, R, R) float32, 0 or 1, layout (z, y, x), voxel centres ``(i + 0.5) / R - 0.5``.

    ``vertices`` (B, V, 3) in the box frame; ``faces`` (F, 3) integer, closed and counter-clockwise from
    outside. Parts outside the box are cut off. Carries no gradient.
    """
    if vertices.ndim != 3 or vertices.shape[-1] != 3 or faces.ndim != 2 or faces.shape[-1] != 3:
        raise ValueError(
            f"vertices must be (B, V, 3) and faces (F, 3), not {tuple(vertices.shape)}, {tuple(faces.shape)}"
        )
    batch = vertices.shape[0]
    with torch.no_grad():
        # Grid coordinates: the centre of voxel i is at i.
        grid = (vertices.detach().float() + 0.5) * resolution - 0.5
        corners = grid[:, faces.to(grid.device).long()].reshape(-1, 3, 3)
        triangle, row, column, height, facing = _columns_hit(corners, resolution)
        # The first voxel centre at or above the crossing; one layer more takes what lies above the box.
        layer = height.ceil().clamp(0, resolution).long()
        item = triangle // faces.shape[0]
        index = ((item * (resolution + 1) + layer) * resolution + row) * resolution + column
        crossings = torch.zeros(batch * (resolution + 1) * resolution**2, device=grid.device)
        crossings.index_add_(0, index, -facing)
        winding = crossings.view(batch, 1, resolution + 1, resolution, resolution)[:, :, :resolution]
        # Layer by layer: torch's cumsum along an outer axis takes ten times as long on a CPU.
        for upper in range(1, resolution):
            winding[:, :, upper] += winding[:, :, upper - 1]
        return (winding > 0.5).float()


def _columns_hit(corners: Tensor, resolution: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Where triangles (T, 3, 3) meet the rays through voxel centres: triangle, y, x, z of each meeting, and
    +1 where the triangle faces +z, else -1.

    Rows and columns are half-open, and both triangles at an edge compute its crossing with the same numbers,
    so every ray through a closed surface meets as many front faces as back faces, also along edges.
    """
    order = corners[:, :, 1].argsort(1)
    low, middle, high = corners.gather(1, order[:, :, None].expand(-1, -1, 3)).unbind(1)
    # Sorting by y turns the triangle over when the permutation is odd.
    turned = torch.where((order[:, 1] - order[:, 0]) % 3 == 1, 1.0, -1.0)

    triangle, row = _expand(low[:, 1], high[:, 1], resolution)
    low, middle, high, turned = low[triangle], middle[triangle], high[triangle], turned[triangle]
    y = row.to(low.dtype)
    upper = (middle[:, 1] <= y)[:, None]
    long_side = _at_row(low, high, y)
    short_side = _at_row(torch.where(upper, middle, low), torch.where(upper, high, middle), y)
    short_is_right = short_side[:, 0] > long_side[:, 0]
    left = torch.where(short_is_right[:, None], long_side, short_side)
    right = torch.where(short_is_right[:, None], short_side, long_side)
    facing = torch.where(short_is_right, turned, -turned)

    span, column = _expand(left[:, 0], right[:, 0], resolution)
    left, right = left[span], right[span]
    # A span that holds a voxel centre has a positive width.
    along = (column.to(left.dtype) - left[:, 0]) / (right[:, 0] - left[:, 0])
    height = left[:, 1] + along.clamp(0, 1) * (right[:, 1] - left[:, 1])
    return triangle[span], row[span], column, height, facing[span]


def _at_row(start: Tensor, end: Tensor, y: Tensor) -> Tensor:
    """(x, z) where the segments from ``start`` to ``end`` (higher y) cross ``y``."""
    along = ((y - start[:, 1]) / (end[:, 1] - start[:, 1]))[:, None]
    return start[:, ::2] + along * (end[:, ::2] - start[:, ::2])


def _expand(start: Tensor, stop: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """All integers i with ``start <= i < stop`` inside [0, limit), as (index of the interval, i)."""
    first = start.ceil().clamp(0, limit).long()
    count = (stop.ceil().clamp(0, limit).long() - first).clamp(min=0)
    interval = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    before = count.cumsum(0) - count
    position = torch.arange(len(interval), device=count.device) - before[interval]
    return interval, first[interval] + position
