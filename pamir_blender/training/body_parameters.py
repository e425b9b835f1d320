"""A posed body's parameters as one row of numbers, as data sets store them beside its vertices."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..camera import Placement
from ..contracts import Body
from .subset_body import SubsetBody

WIDTH = 10 + 72 + 4
"""Betas, pose as 24 rotation vectors, scale and translation of the placement."""


def pack_parameters(betas: np.ndarray, rotations: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    """(86,) float32 of betas (10,), relative rotations (24, 3, 3), box units per metre and ``shift`` (3,)."""
    pose = Rotation.from_matrix(rotations).as_rotvec()
    return np.concatenate([betas, pose.ravel(), [scale], shift]).astype(np.float32)


def unpack_parameters(row: np.ndarray, model: str) -> Body:
    """The body of a row (86,) of :func:`pack_parameters`, for the body model of that name."""
    row = np.asarray(row, np.float32)
    if row.shape != (WIDTH,) or not np.isfinite(row).all():
        raise ValueError(f"a stored body is {row.shape} instead of ({WIDTH},) finite numbers")
    placement = Placement(float(row[82]), tuple(float(value) for value in row[83:]))
    return Body(betas=row[:10], pose=row[10:82].reshape(24, 3), placement=placement, model=model)


def parameters_of(
    body: SubsetBody, betas: np.ndarray, rotations: np.ndarray, scale: float, vertices: np.ndarray
) -> np.ndarray:
    """(86,) of the body that stands at ``vertices`` (V, 3) of the box; its shift is found from them.

    ``betas`` (10,), ``rotations`` (24, 3, 3) as seen by the viewer, ``scale`` box units per metre.
    """
    with torch.no_grad():
        posed, _ = body(
            torch.tensor(betas, dtype=torch.float32)[None],
            torch.tensor(rotations, dtype=torch.float32)[None],
        )
    return pack_parameters(betas, rotations, scale, (vertices - scale * posed[0].numpy()).mean(axis=0))
