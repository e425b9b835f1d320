"""The front end's door: a file on disk to a :class:`pamir_blender.contracts.Photo`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..camera import CROP_SIZE, CropWindow
from ..contracts import Landmarks, Photo
from ..errors import Cancelled, NoPersonError, PhotoError, RequestError
from .checks import check_person
from .crop import crop_window, cut_crop
from .detect import Detector, Person, choose, shared_detector
from .load import LoadedImage, load_image
from .mask import MIN_LANDMARKS_INSIDE, alpha_mask, artist_mask, detected_mask, landmarks_inside
from .pose import Pose

GUESS_LIMIT = 0.6  # landmarks further from the mask than this part of its height do not widen the crop


def prepare_photo(
    path: Path | str,
    *,
    mask_path: Path | str | None = None,
    person: int | None = None,
    box: Sequence[float] | None = None,
    detector: Detector | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Photo:
    """Find one person in a photo and cut the networks' input.

    ``mask_path`` is the artist's own mask (its alpha, or white = person); without one a meaningful alpha of
    the photo itself is the mask; without either it is detected. Of several people the most prominent is
    taken, or the one whom the artist's mask covers; ``person`` picks another by number (1 = most prominent),
    ``box`` (x0, y0, x1, y1) in pixels of the upright photo by place. ``detector`` defaults to the
    process's shared one.

    Raises:
        PhotoError: the photo or the mask cannot be read, or the mask fits nobody.
        NoPersonError, PersonCroppedError, PersonTooSmallError: see their names.
        RequestError: no such person, or a box outside the photo.
        Cancelled: ``cancelled`` returned True between two steps.
    """

    def step(fraction: float) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("The photo was not finished.")
        if progress is not None:
            progress(fraction)

    detector = detector or shared_detector()
    source = str(path)
    step(0.0)
    loaded = load_image(path)
    given, mask_source, mask_digest = _given_mask(loaded, mask_path)
    digest = (
        hashlib.sha256((loaded.digest + mask_digest).encode()).hexdigest() if mask_digest else loaded.digest
    )
    step(0.2)
    visible = _over_white(loaded.rgb, loaded.alpha) if loaded.alpha_is_meaningful() else loaded.rgb
    people = detector.people(visible, _checked_box(box, visible.shape))
    if given is not None and not people:
        visible = _over_white(loaded.rgb, given)
        people = detector.people(visible, _mask_box(given))
    chosen = _choose(people, given, person, source if box is None else f"the box in {source}")
    step(0.4)
    pose, spread = detector.refine(visible, chosen)
    step(0.6)
    if given is None:
        others = [other.pose for other in people if other is not chosen]
        mask = detected_mask(visible, pose, others)
    else:
        mask = given
        _check_given(mask, pose, source, mask_source)
    if not (mask > 0.5).any():
        raise NoPersonError(
            f"No person could be separated from the background of {source}. Give a mask of your own."
        )
    findings = check_person(pose, spread, mask, source)
    step(0.8)
    person_box = _person_box(mask, pose)
    window = crop_window(person_box)
    crop, crop_mask = cut_crop(visible, mask, window)
    step(1.0)
    return Photo(
        source=source,
        digest=digest,
        image=visible,
        mask=mask,
        person_box=person_box,
        window=window,
        crop=crop,
        crop_mask=crop_mask,
        landmarks=_landmarks(pose, window, spread),
        mask_source=mask_source,
        warnings=(*loaded.notes, *_crowd_note(people, person, box, given), *findings),
    )


def _given_mask(loaded: LoadedImage, mask_path: Path | str | None) -> tuple[np.ndarray | None, str, str]:
    """The artist's mask (H, W) float32 or None, its source, and its digest ("" if it is the photo's own)."""
    if mask_path is not None:
        mask, digest = artist_mask(mask_path, (loaded.rgb.shape[1], loaded.rgb.shape[0]))
        return mask, "file", digest
    if loaded.alpha_is_meaningful():
        return alpha_mask(loaded), "alpha", ""
    return None, "detector", ""


def _over_white(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``rgb`` (H, W, 3) where ``mask`` (H, W) shows anything, white elsewhere.

    Colours under a partial alpha are left as they are: they are the person's, not a blend.
    """
    return np.where((mask > 0)[..., None], rgb, np.uint8(255))


def _checked_box(box: Sequence[float] | None, shape: tuple[int, ...]) -> np.ndarray | None:
    if box is None:
        return None
    corners = np.asarray(box, float)
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise RequestError("A box is four numbers: left, top, right, bottom, in pixels of the upright photo.")
    limit = np.array([shape[1], shape[0]] * 2)
    corners = np.clip(corners, 0, limit)
    if (corners[2:] - corners[:2] < 8).any():
        raise RequestError(
            f"The box {tuple(box)} holds nothing of the photo, which is {shape[1]} x {shape[0]} pixels. "
            "Give left, top, right, bottom."
        )
    return corners


def _mask_box(mask: np.ndarray) -> np.ndarray:
    """(4,) x0, y0, x1, y1 of a mask (H, W) where it exceeds 0.5, in photo pixels."""
    columns, rows = np.flatnonzero((mask > 0.5).any(0)), np.flatnonzero((mask > 0.5).any(1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


def _choose(people: list[Person], given: np.ndarray | None, person: int | None, source: str) -> Person:
    if person is None and given is not None and people:
        return max(people, key=lambda one: landmarks_inside(given, one.pose))
    return choose(people, source, person)


def _check_given(mask: np.ndarray, pose: Pose, source: str, mask_source: str) -> None:
    """Refuse a mask that does not cover the person found."""
    covered = landmarks_inside(mask, pose)
    if covered >= MIN_LANDMARKS_INSIDE:
        return
    what = "The photo's alpha" if mask_source == "alpha" else "The mask"
    hint = (
        "It looks inverted: the person must be white." if mask.mean() > 0.5 else "Choose the person it shows."
    )
    raise PhotoError(f"{what} covers only {covered:.0%} of the person found in {source}. {hint}")


def _crowd_note(
    people: list[Person], person: int | None, box: Sequence[float] | None, given: np.ndarray | None
) -> list[str]:
    if len(people) < 2 or person is not None or box is not None or given is not None:
        return []
    return [
        f"{len(people)} people were found; the most prominent was taken. "
        "Choose another with --person or a box."
    ]


def _person_box(mask: np.ndarray, pose: Pose) -> tuple[float, float, float, float]:
    """Mask and landmarks together, x0, y0, x1, y1 photo pixels; it may reach beyond the photo."""
    bounds = _mask_box(mask)
    margin = GUESS_LIMIT * (bounds[3] - bounds[1])
    low = np.maximum(np.minimum(bounds[:2], pose.image.min(0)), bounds[:2] - margin)
    high = np.minimum(np.maximum(bounds[2:], pose.image.max(0)), bounds[2:] + margin)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _landmarks(pose: Pose, window: CropWindow, spread: np.ndarray) -> Landmarks:
    """The pose in the contract's frames: crop pixels, box units, body axes."""
    return Landmarks(
        image=window.photo_to_crop(pose.image).astype(np.float32),
        depth=(pose.depth * window.scale / CROP_SIZE).astype(np.float32),
        world=pose.world.astype(np.float32),
        visibility=pose.visibility.astype(np.float32),
        presence=pose.presence.astype(np.float32),
        spread=spread.astype(np.float32),
    )
