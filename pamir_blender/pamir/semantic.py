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
    code = template_code(template.to(vertices).float())
    carried = torch.cat([code, torch.ones_like(code[:, :1])], dim=1)
    grid = (vertices.float() + 0.5) * resolution - 0.5
    # Only the bodies' bounding box takes part: a tenth of the volume for a standing person.
    first = grid.detach().amin((0, 1)).floor().clamp(0, resolution - 1).long()
    last = (grid.detach().amax((0, 1)).floor() + 2).clamp(1, resolution).long()
    shape = (last - first).flip(0).tolist()
    splat = torch.stack([_splat(item - first, carried, shape) for item in grid])
    blurred = _blur(splat, SIGMA * resolution)
    # Weights fall to about 1e-6 of a vertex in the deepest voxels; they never reach the guard inside a body.
    box = tuple(slice(a, b) for a, b in zip(first.tolist()[::-1], last.tolist()[::-1], strict=True))
    average = blurred[:, :3] / blurred[:, 3:].clamp(min=1e-20) * inside[:, :, *box]
    volume = average.new_zeros(len(vertices), 3, resolution, resolution, resolution)
    volume[:, :, *box] = average
    return volume


def _splat(grid: Tensor, carried: Tensor, shape: list[int]) -> Tensor:
    """Spread ``carried`` (V, C) trilinearly over voxels (C, D, H, W) around ``grid`` (V, 3), x y z in voxels.

    What lies outside is left out.
    """
    base = grid.detach().floor()
    share = grid - base
    corner = torch.tensor([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)], device=grid.device)
    weight = torch.where(corner[:, None] == 1, share, 1 - share).prod(2)
    voxel = base.long() + corner[:, None]
    limit = torch.tensor(shape[::-1], device=grid.device)
    weight = weight * ((voxel >= 0) & (voxel < limit)).all(2)
    voxel = voxel.clamp(min=torch.zeros_like(limit), max=limit - 1)
    index = (voxel[..., 2] * shape[1] + voxel[..., 1]) * shape[2] + voxel[..., 0]
    volume = carried.new_zeros(shape[0] * shape[1] * shape[2], carried.shape[1])
    volume = volume.index_add(0, index.reshape(-1), (weight[..., None] * carried).flatten(0, 1))
    return volume.t().reshape(-1, *shape)


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
