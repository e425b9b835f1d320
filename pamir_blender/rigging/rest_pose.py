"""Linear blend skinning and its exact inverse: the posed clothed surface back into the T-pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .skin_weights import dense_weights, limit_influences

_FLATTENED = 0.3  # least stretch of a usable blend: a joint bent 145 degrees at equal weights


@dataclass(frozen=True)
class RestPose:
    """A surface in the rest pose that its weights pose back exactly.

    ``vertices`` (W, 3) float32 metres; ``joints`` (W, 4) uint8 and ``weights`` (W, 4) float32: those given,
    but for the vertices of ``repaired`` (W,) bool, whose blend of joints was nearly flat and was made rigid.
    """

    vertices: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    repaired: np.ndarray


def blended_transforms(joints: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """(W, 4, 4) float64: each vertex' weighted mean of the rest-to-posed ``transforms`` (24, 4, 4)."""
    dense = dense_weights(joints, weights, len(transforms)).astype(np.float64)
    return (dense @ transforms.reshape(len(transforms), 16).astype(np.float64)).reshape(-1, 4, 4)


def pose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Rest vertices (W, 3) to posed ones (W, 3) float32 by linear blend skinning."""
    blend = blended_transforms(joints, weights, transforms)
    posed = np.einsum("wij,wj->wi", blend[:, :3, :3], vertices.astype(np.float64)) + blend[:, :3, 3]
    return posed.astype(np.float32)


def unpose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> RestPose:
    """Posed ``vertices`` (W, 3) to the rest pose, so that :func:`pose` gives them back.

    ``joints`` (W, 4), ``weights`` (W, 4) and ``transforms`` (24, 4, 4) as for :func:`pose`; metres. Between
    joints that turn against each other a blend can become flat, and its inverse would throw the vertex far
    off: such a vertex' weights are drawn to its strongest joint until the blend is sound.
    """
    joints, weights = joints.copy(), weights.copy()
    blend = blended_transforms(joints, weights, transforms)
    repaired = np.zeros(len(vertices), bool)
    flat = _flat(blend, np.arange(len(vertices)))
    while len(flat):
        repaired[flat] = True
        sharper = dense_weights(joints[flat], weights[flat], len(transforms)).astype(np.float64) ** 1.5
        joints[flat], weights[flat] = limit_influences(sharper / sharper.sum(1, keepdims=True))
        # Equal weights stay equal under any power: let the first joint win.
        tied = np.isclose(weights[flat, 0], weights[flat, 1], atol=1e-3)
        joints[flat[tied], 1:], weights[flat[tied], 1:], weights[flat[tied], 0] = 0, 0, 1
        blend[flat] = blended_transforms(joints[flat], weights[flat], transforms)
        flat = _flat(blend, flat)
    moved = (vertices.astype(np.float64) - blend[:, :3, 3])[:, :, None]
    rest = np.linalg.solve(blend[:, :3, :3], moved)[:, :, 0]
    return RestPose(rest.astype(np.float32), joints, weights, repaired)


def _flat(blend: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Those of ``index`` whose blend squeezes some direction below the limit."""
    squeeze = np.linalg.svd(blend[index, :3, :3], compute_uv=False)[:, 2]
    return index[squeeze < _FLATTENED]
