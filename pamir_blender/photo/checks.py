"""Is the person usable? Refusals with a reason, and warnings about limbs that had to be guessed."""

from __future__ import annotations

import numpy as np

from ..errors import PersonCroppedError, PersonTooSmallError
from .pose import Pose

MIN_HEIGHT = 96
GOOD_HEIGHT = 220
FACE = slice(0, 11)
HIPS, KNEES, ANKLES = (23, 24), (25, 26), (27, 28)
HIDDEN = 0.5
HEAD_ABOVE_NOSE = 0.55  # distances between the middles of mouth and shoulders, nose to crown, at least
LIMB_POINTS: dict[str, tuple[int, ...]] = {
    "left arm": (13, 15),
    "right arm": (14, 16),
    "left leg": (25, 27),
    "right leg": (26, 28),
    "left foot": (31,),
    "right foot": (32,),
}


def check_person(pose: Pose, mask: np.ndarray, source: str) -> list[str]:
    """Warnings for a person whose ``mask`` (H, W) in [0, 1] is known.

    Raises:
        PersonCroppedError: the head, or most of the body, is outside the photo.
        PersonTooSmallError: fewer than 96 pixels tall.
    """
    height, width = mask.shape
    outside = ~((pose.image >= 0) & (pose.image < [width, height])).all(1)
    _check_head(pose, outside, mask, source)
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
    warnings = []
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


def _check_head(pose: Pose, outside: np.ndarray, mask: np.ndarray, source: str) -> None:
    face_outside = outside[FACE].mean()
    if face_outside > 0.3 or outside[0]:
        raise PersonCroppedError(
            f"The person's head is outside {source}. Use a photo that shows the whole head, "
            "or choose another person with --person or a box."
        )
