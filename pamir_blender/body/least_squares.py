"""Levenberg-Marquardt on a sum of robust residual blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Block:
    """Residuals (R,) already divided by their sigma, their ``jacobian`` (R, P), and the share of each in the
    cost (R,): the derivative of its robust function by the squared residual. ``cost`` is the block's value.
    """

    residual: np.ndarray
    jacobian: np.ndarray
    share: np.ndarray
    cost: float


def plain(residual: np.ndarray, jacobian: np.ndarray, share: float | np.ndarray = 1.0) -> Block:
    """A block of ordinary squares times ``share``."""
    share = np.broadcast_to(np.asarray(share, dtype=np.float64), residual.shape)
    return Block(residual, jacobian, share, float((share * residual**2).sum()))


def robust(residual: np.ndarray, jacobian: np.ndarray, share: np.ndarray, size: int) -> Block:
    """Pseudo-Huber, 2 (sqrt(1 + s) - 1), of the squared length s of every ``size`` residuals in a row.

    ``share`` (R / size,) weighs each group.
    """
    squared = (residual.reshape(-1, size) ** 2).sum(axis=1)
    root = np.sqrt(1 + squared)
    return Block(residual, jacobian, np.repeat(share / root, size), float((share * 2 * (root - 1)).sum()))


def minimise(
    start: np.ndarray,
    evaluate: Callable[[np.ndarray, bool], tuple[float, list[Block]]],
    steps: int,
    tick: Callable[[int], None],
    damping: float = 1e-2,
) -> np.ndarray:
    """The best parameters found within ``steps`` trials.

    ``evaluate(parameters, derivatives)`` gives the cost and, if asked, the blocks. Robust functions are
    treated by reweighting, so every accepted step lowers the true cost. ``tick(step)`` is called at each.
    """
    best, (cost, blocks) = start, evaluate(start, True)
    gradient, curvature = _normal_equations(blocks)
    for step in range(steps):
        tick(step)
        damped = curvature + damping * np.diag(np.diag(curvature) + 1e-3)
        trial = best - np.linalg.solve(damped, gradient)
        trial_cost, _ = evaluate(trial, False)
        if trial_cost < cost:
            gain = cost - trial_cost
            best = trial
            cost, blocks = evaluate(best, True)
            gradient, curvature = _normal_equations(blocks)
            damping = max(damping / 4, 1e-6)
            if gain < 1e-5 * cost:
                break
        else:
            damping *= 5
            if damping > 1e4:
                break
    return best


def _normal_equations(blocks: list[Block]) -> tuple[np.ndarray, np.ndarray]:
    gradient = sum(block.jacobian.T @ (block.share * block.residual) for block in blocks)
    curvature = sum(block.jacobian.T @ (block.share[:, None] * block.jacobian) for block in blocks)
    return gradient, curvature
