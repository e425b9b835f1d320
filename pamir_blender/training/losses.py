"""What the networks are trained to make small (PaMIR equations 6 and 14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pamir.texture import blend_with_photo

OccupancyLoss = Literal["mse", "bce"]


def occupancy_loss(
    stages: Sequence[Tensor], labels: Tensor, kind: OccupancyLoss = "mse", weights: Tensor | None = None
) -> Tensor:
    """The occupancy loss summed over the supervised stages, a scalar.

    ``stages`` are (B, N) *logits*, one entry per supervised output of the encoders, the last being the one
    that inference reads; ``labels`` (B, N) in [0, 1]; ``weights`` (B, N) or None weigh the points.
    "mse" is equation 6 on the sigmoid of the logits; "bce" the binary cross-entropy, whose gradient does not
    vanish on confident mistakes and which a small network trained for an hour profits from.
    Raises ValueError without stages or for an unknown kind.
    """
    if not stages:
        raise ValueError("no stage to supervise")
    if kind not in ("mse", "bce"):
        raise ValueError(f"unknown occupancy loss {kind!r}; use 'mse' or 'bce'")
    labels = labels.float()
    total = labels.new_zeros(())
    for logits in stages:
        logits = logits.float()
        if kind == "mse":
            each = (torch.sigmoid(logits) - labels) ** 2
        else:
            each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        total = total + (each.mean() if weights is None else (each * weights).sum() / weights.sum())
    return total


def texture_loss(
    rgba: Tensor,
    photo: Tensor,
    colors: Tensor,
    *,
    visible: Tensor | None = None,
    alpha_weight: float = 0.1,
    hue_weight: float = 2.0,
) -> dict[str, Tensor]:
    """Equation 14: L1 on the predicted and on the blended colour; parts and their sum, scalars.

    ``rgba`` (B, N, 4), ``photo`` and ``colors`` (B, N, 3), all in [0, 1]; ``visible`` (B, N) in [0, 1] says
    whether the photo sees the point. Where it is given, alpha is also taught directly, by cross-entropy with
    weight ``alpha_weight``: the paper leaves alpha to the blended term alone, which needs far longer.
    ``hue_weight`` weighs another L1 on each predicted colour's deviation from its own grey: brightness makes
    up most of eq. 14, and a network trained for minutes would otherwise return greys.
    Returns ``{"raw", "blended", "alpha", "hue", "total"}``.
    """
    rgba, photo, colors = rgba.float(), photo.float(), colors.float()
    parts = {
        "raw": (rgba[..., :3] - colors).abs().mean(),
        "blended": (blend_with_photo(rgba, photo) - colors).abs().mean(),
        "alpha": rgba.new_zeros(()),
        "hue": (_without_grey(rgba[..., :3]) - _without_grey(colors)).abs().mean(),
    }
    if visible is not None:
        alpha = rgba[..., 3].clamp(1e-4, 1.0 - 1e-4)
        seen = visible.float()
        # Written out: autocast on a GPU refuses torch's own, whatever the numbers' format.
        parts["alpha"] = -(seen * alpha.log() + (1.0 - seen) * (1.0 - alpha).log()).mean()
    parts["total"] = parts["raw"] + parts["blended"]
    parts["total"] = parts["total"] + alpha_weight * parts["alpha"] + hue_weight * parts["hue"]
    return parts


def _without_grey(colors: Tensor) -> Tensor:
    """Colours (..., 3) less their own mean over the channels."""
    return colors - colors.mean(dim=-1, keepdim=True)
