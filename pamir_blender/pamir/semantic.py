"""The semantic body volume: where in the template a voxel's flesh comes from.

The other form of V_O: each voxel inside the body carries the Gaussian average of the surrounding surface
vertices' template positions, so that the network can tell a hand from a knee.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .voxelise import voxelise_occupancy

SIGMA = 0.05
"""Standard deviation of the average in box units."""


def template_code(template: Tensor) -> Tensor:
    """Template positions (V, 3) scaled to [0, 1] along each axis, (V, 3)."""
    lowest = template.amin(0)
    return (template - lowest) / (template.amax(0) - lowest)


def voxelise_semantic(vertices: Tensor, faces: Tensor, template: Tensor, resolution: int = 128) -> Tensor:
    """Semantic volume (B, 3, R, R, R) float32, layout (z, y, x): template x, y, z in [0, 1], 0 outside.

    ``vertices`` (B, V, 3) box frame, ``faces`` (F, 3) closed, ``template`` (V, 3) the body's mean shape in
    any unit. Vertices are spread over the eight voxels around them and blurred axis by axis, which equals
    the direct sum over all vertices to 1e-3 and is differentiable in ``vertices``; the boundary is not.
    """
    inside = voxelise_occupancy(vertices, faces, resolution)
    code = template_code(template.to(vertices))
    carried = torch.cat([code, torch.ones_like(code[:, :1])], dim=1)
    splat = torch.stack([_splat(item, carried, resolution) for item in vertices.float()])
    # Only the bodies' bounding box takes part: a tenth of the volume for a standing person.
    box = _bounding_slices(vertices, resolution)
    blurred = _blur(splat[box], SIGMA * resolution)
    # Weights fall to about 1e-6 of a vertex in the deepest voxels; they never reach the guard inside a body.
    average = blurred[:, :3] / blurred[:, 3:].clamp(min=1e-20) * inside[box]
    volume = average.new_zeros(len(vertices), 3, resolution, resolution, resolution)
    volume[box] = average
    return volume


def _bounding_slices(vertices: Tensor, resolution: int) -> tuple[slice, ...]:
    """Index of the (B, C, z, y, x) voxels that hold all ``vertices`` and their trilinear neighbours."""
    grid = (vertices.detach().reshape(-1, 3) + 0.5) * resolution - 0.5
    first = grid.amin(0).floor().clamp(0, resolution - 1).long().tolist()
    last = (grid.amax(0).floor() + 2).clamp(1, resolution).long().tolist()
    return (slice(None), slice(None), *(slice(a, b) for a, b in zip(first[::-1], last[::-1], strict=True)))


def _splat(vertices: Tensor, carried: Tensor, resolution: int) -> Tensor:
    """Spread ``carried`` (V, C) trilinearly over the grid: (C, R, R, R); what lies outside is left out."""
    grid = (vertices + 0.5) * resolution - 0.5
    base = grid.detach().floor()
    share = grid - base
    volume = carried.new_zeros(resolution**3, carried.shape[1])
    for corner in range(8):
        offset = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=grid.device)
        weight = torch.where(offset.bool(), share, 1 - share).prod(1)
        voxel = base.long() + offset
        valid = ((voxel >= 0) & (voxel < resolution)).all(1)
        voxel = voxel.clamp(0, resolution - 1)
        index = (voxel[:, 2] * resolution + voxel[:, 1]) * resolution + voxel[:, 0]
        volume = volume.index_add(0, index, carried * (weight * valid)[:, None])
    return volume.t().reshape(-1, resolution, resolution, resolution)


def _blur(volume: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian of ``sigma`` voxels on (B, C, D, H, W), zero outside; not normalised."""
    depth, height, width = volume.shape[2:]
    blurred = volume @ _gaussian_matrix(width, sigma, volume)
    blurred = _gaussian_matrix(height, sigma, volume) @ blurred
    return (_gaussian_matrix(depth, sigma, volume) @ blurred.flatten(3)).view_as(volume)


def _gaussian_matrix(size: int, sigma: float, like: Tensor) -> Tensor:
    """(size, size) Gaussian weights between cells; a product with it beats a long 1D convolution."""
    position = torch.arange(size, device=like.device, dtype=like.dtype)
    distance = position[:, None] - position[None, :]
    # Splatting has already spread each vertex with the linear kernel's variance, 1/6 voxel^2 on average.
    return torch.exp(-0.5 * distance**2 / (sigma**2 - 1 / 6))
