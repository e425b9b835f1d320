"""Is the person usable? Refusals with a reason, and warnings about limbs that had to be guessed."""

from __future__ import annotations

import numpy as np

from ..errors import PersonCroppedError, PersonTooSmallError
from .mask import landmarks_inside
from .pose import Pose

MIN_HEIGHT = 96
GOOD_HEIGHT = 220
FACE = slice(0, 11)
HIPS, KNEES = (23, 24), (25, 26)
HIDDEN = 0.5

# Metres on the person, from cutting the heads off photos at known heights: cut through the eyes the nose is
# 0.02-0.04 from the edge, through the forehead 0.05-0.07, above the crown 0.10-0.15. Cut lower, the network
# invents a face on the neck or chest, but its views disagree about it by 0.10-0.19 instead of 0.02-0.05.
HEAD_REACH = 0.5
MIN_CONTACT = 0.06
EYES_CUT, CROWN_CUT = 0.045, 0.12
INVENTED_FACE = 0.09
ASTRAY = 0.9  # part of the visible landmarks on the mask; 1.0 on every photo that went well
_WHOLE_HEAD = "Use a photo that shows the whole head, or choose another person with --person or a box."

LIMB_POINTS: dict[str, tuple[int, ...]] = {
    "left arm": (13, 15),
    "right arm": (14, 16),
    "left leg": (25, 27),
    "right leg": (26, 28),
    "left foot": (31,),
    "right foot": (32,),
}


def check_person(pose: Pose, spread: np.ndarray, mask: np.ndarray, source: str) -> list[str]:
    """Warnings for a person whose ``mask`` (H, W) in [0, 1] is known.

    ``spread`` (33,) metres is the disagreement of several views, see :func:`.pose.consensus`.

    Raises:
        PersonCroppedError: the head, or most of the body, is outside the photo.
        PersonTooSmallError: fewer than 96 pixels tall.
    """
    height, width = mask.shape
    outside = ~((pose.image >= 0) & (pose.image < [width, height])).all(1)
    warnings = _check_head(pose, spread, outside, mask, source)
    if outside[list(HIPS)].all() or outside[list(KNEES)].all():
        raise PersonCroppedError(
            f"Most of the body is outside {source}: at least the knees must be in the picture. "
            "Use a photo that shows the person from head to foot."
        )
    rows = np.flatnonzero((mask > 0.5).any(1))
    tall = len(rows) and rows[-1] - rows[0] + 1
    columns = np.flatnonzero((mask > 0.5).any(0))
    extent = max(tall, len(columns) and columns[-1] - columns[0] + 1)
    if extent < MIN_HEIGHT:
        raise PersonTooSmallError(
            f"The person in {source} covers only {extent} pixels; at least {MIN_HEIGHT} are needed, and "
            f"{GOOD_HEIGHT} or more for a good result. Use a larger photo or one taken closer."
        )
    if extent < GOOD_HEIGHT:
        warnings.append(f"The person covers only {extent} pixels; expect a coarse result.")
    cut = [name for name, points in LIMB_POINTS.items() if outside[list(points)].any()]
    hidden = [
        name
        for name, points in LIMB_POINTS.items()
        if name not in cut and pose.visibility[list(points)].min() < HIDDEN
    ]
    if cut:
        warnings.append(f"Outside the photo, so guessed: {', '.join(cut)}.")
    if hidden:
        warnings.append(f"Hidden in the photo, so guessed: {', '.join(hidden)}.")
    return warnings


def _check_head(
    pose: Pose, spread: np.ndarray, outside: np.ndarray, mask: np.ndarray, source: str
) -> list[str]:
    metre = pose.pixels_per_metre
    gap, width = _head_at_edge(pose, mask, metre)
    cut = width > MIN_CONTACT * metre
    invented = spread[FACE].mean() > INVENTED_FACE
    astray = landmarks_inside(mask, pose) < ASTRAY
    if outside[0] or outside[FACE].mean() > 0.3 or (cut and gap < EYES_CUT * metre):
        raise PersonCroppedError(f"The person's head is outside {source}. {_WHOLE_HEAD}")
    if invented and (cut or astray):
        raise PersonCroppedError(f"The person's head cannot be seen in {source}. {_WHOLE_HEAD}")
    if cut and gap < CROWN_CUT * metre:
        return ["The top of the head is outside the photo, so guessed."]
    return []


def _head_at_edge(pose: Pose, mask: np.ndarray, metre: float) -> tuple[float, float]:
    """Where ``mask`` meets the photo's edge near the nose: the nose's distance, and the length in pixels."""
    height, width = mask.shape
    solid = mask > 0.5
    edges = []
    for line, at, column in ((0, 0, 1), (height - 1, height, 1), (0, 0, 0), (width - 1, width, 0)):
        along = np.flatnonzero(solid[line] if column else solid[:, line]) + 0.5
        fixed = np.full(len(along), float(at))
        points = np.column_stack([along, fixed] if column else [fixed, along])
        near = np.linalg.norm(points - pose.image[0], axis=1) < HEAD_REACH * metre
        edges.append((abs(at - pose.image[0, column]), int(near.sum())))
    return max(edges, key=lambda edge: edge[1])
