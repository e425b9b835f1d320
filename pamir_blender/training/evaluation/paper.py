"""The paper's own figures, to stand beside ours: other people, other pictures, networks trained on scans.

Zheng et al., PaMIR (TPAMI 2021): the comparison and ablation tables of its section 5. Centimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class PaperFigures:
    """``point_to_surface``, ``chamfer``, ``mpjpe`` as (on BUFF, on Twindom); None where it gives none."""

    what: str
    point_to_surface: tuple[float | None, float | None]
    chamfer: tuple[float | None, float | None] = (None, None)
    mpjpe: tuple[float | None, float | None] = (None, None)


TRUE_BODY = PaperFigures("PaMIR, true body", (0.709, 0.744), (0.936, 1.00))
ESTIMATED = PaperFigures("PaMIR, estimated body", (1.60, None), (None, None), (2.65, 2.85))
OPTIMISED = PaperFigures("PaMIR, estimated body, optimised", (1.52, 1.80), (1.92, 2.12), (2.49, 2.74))
TRAINED_ON_TRUE = PaperFigures("PaMIR trained on true bodies alone", (1.71, None))
NO_DEPTH_SHIFT = PaperFigures("PaMIR without the depth-aware loss", (1.81, None))
PIFU = PaperFigures("PIFu", (1.93, 2.34), (2.22, 2.65))
ALL = (TRUE_BODY, ESTIMATED, OPTIMISED, TRAINED_ON_TRUE, NO_DEPTH_SHIFT, PIFU)
NORMAL_ERROR = 0.161
"""Normal reprojection error from one image."""


def beside(body: str, *, optimised: bool, variant: str, command: Sequence[str] = ()) -> PaperFigures | None:
    """The paper's line for a network's with this body and training, None where it has none like it.

    ``command`` the words of the command that trained it, as its card has them.
    """
    if variant == "pifu":
        return PIFU
    words = list(command)
    if "--no-depth-shift" in words:
        return NO_DEPTH_SHIFT if body != "true" and not optimised else None
    if ("--bodies", "true") in pairwise(words):
        return TRAINED_ON_TRUE if body != "true" and not optimised else None
    if body == "true":
        return None if optimised else TRUE_BODY
    return OPTIMISED if optimised else ESTIMATED


def as_json() -> list[dict[str, Any]]:
    """All of them, for the report."""
    return [asdict(figures) for figures in ALL]
