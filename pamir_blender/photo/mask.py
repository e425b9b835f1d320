"""Which pixels are the person: the network's mask sharpened along the photo's edges, or the artist's own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import PhotoError
from .load import LoadedImage, load_image
from .pose import Pose

WORKING_SIDE = 640
"""Longest side at which GrabCut runs; the person is about 410 pixels tall in the crop."""
SURE_BACKGROUND, SURE_PERSON = 0.05, 0.95
ROUNDS = 4
MARGIN = 0.12
RIVAL = 0.8  # another person's mask this sure, where ours is less so, is not ours
SPECK = 0.002  # holes and islands below this part of the person's area are noise
SAME_SHAPE = 0.01
MIN_MASK_PART = 0.0005
MIN_LANDMARKS_INSIDE = 0.6
NEAR = 0.006  # of the region: how far from the mask a landmark still counts as on it


def detected_mask(image: np.ndarray, pose: Pose, others: list[Pose]) -> np.ndarray:
    """The person's mask (H, W) float32 in [0, 1] for ``image`` (H, W, 3) uint8.

    ``others`` are the other people found; what they own is kept out.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = _working_window(pose, (width, height))
    scale = min(1.0, WORKING_SIDE / max(x1 - x0, y1 - y0))
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    patch = cv2.resize(image[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
    frame = np.array([[size[0] / (x1 - x0), 0, 0], [0, size[1] / (y1 - y0), 0]])
    frame[:, 2] = -frame[:, :2] @ [x0, y0]
    probability = pose.mask_in(frame, size)
    rival = np.max(
        [np.zeros(size[::-1], np.float32), *(other.mask_in(frame, size) for other in others)], axis=0
    )
    probability = np.where((rival > RIVAL) & (rival > probability), 0, probability).astype(np.float32)
    hard = keep_person(grab_cut(patch, probability), probability)
    soft = soften(hard, patch)
    mask = np.zeros((height, width), np.float32)
    mask[y0:y1, x0:x1] = np.clip(cv2.resize(soft, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR), 0, 1)
    return mask


def _working_window(pose: Pose, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole photo pixels x0, y0, x1, y1 around everything that may be the person."""
    rows, columns = np.nonzero(pose.mask > SURE_BACKGROUND)
    to_photo = pose.region.to_photo(len(pose.mask))
    points = np.column_stack([columns, rows]) @ to_photo[:, :2].T + to_photo[:, 2]
    points = np.concatenate([points, pose.image])
    margin = MARGIN * np.ptp(points, axis=0).max()
    low = np.clip(np.floor(points.min(0) - margin), 0, np.array(size) - 2).astype(int)
    high = np.clip(np.ceil(points.max(0) + margin), low + 2, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def grab_cut(patch: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """(h, w) bool: GrabCut (Rother et al. 2004) seeded by ``probability`` (h, w) where it is sure.

    Where there is nothing unsure, or no seed of one kind, the probability decides alone.
    """
    labels = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[probability < SURE_BACKGROUND] = cv2.GC_BGD
    labels[probability > SURE_PERSON] = cv2.GC_FGD
    if {cv2.GC_BGD, cv2.GC_FGD} <= set(np.unique(labels)):
        cv2.setRNGSeed(0)  # its colour clusters start at random
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(patch, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def keep_person(hard: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Keep the parts of ``hard`` (h, w) bool that hold a sure part of the person; fill pinholes."""
    area = max(int(hard.sum()), 1)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hard.astype(np.uint8), connectivity=4)
    sure = np.bincount(labels[probability > SURE_PERSON], minlength=count)
    kept = (sure > 0.2 * stats[:, cv2.CC_STAT_AREA]) & (stats[:, cv2.CC_STAT_AREA] > SPECK * area)
    kept[0] = False
    person = kept[labels]
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    pinhole = stats[:, cv2.CC_STAT_AREA] < SPECK * area
    pinhole[0] = False
    return person | pinhole[labels]


def soften(hard: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """A soft edge about two pixels wide that follows the picture.

    A guided filter (He et al. 2013, grey guide) lets hair and cloth edges show through near the outline;
    away from it the answer is 0 or 1.
    """
    binary = hard.astype(np.float32)
    guide = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    radius, ridge = 3, 1e-3

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1))

    slope = (mean(guide * binary) - mean(guide) * mean(binary)) / (mean(guide**2) - mean(guide) ** 2 + ridge)
    offset = mean(binary) - slope * mean(guide)
    filtered = mean(slope) * guide + mean(offset)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    core = cv2.erode(hard.astype(np.uint8), kernel)
    reach = cv2.dilate(hard.astype(np.uint8), kernel)
    feathered = cv2.GaussianBlur(binary, (0, 0), 0.8)
    blended = np.clip((filtered + feathered) / 2, 0, 1)
    return np.where(core > 0, 1.0, np.where(reach > 0, blended, 0.0)).astype(np.float32)


def artist_mask(path: Path | str, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    """A mask file as (H, W) float32 for a photo of ``size`` (width, height), and the file's SHA-256.

    Its alpha counts if it cuts something out, its brightness (white = person) otherwise. It may be smaller
    or larger than the photo, but of the same shape.

    Raises:
        PhotoError: unreadable, of another shape, or empty, or everything.
    """
    loaded = load_image(path, what="mask")
    height, width = loaded.rgb.shape[:2]
    if abs(np.log((width / height) / (size[0] / size[1]))) > SAME_SHAPE:
        raise PhotoError(
            f"The mask {path} is {width} x {height} pixels, but the photo, upright, is "
            f"{size[0]} x {size[1]}. Export the mask with the photo's own size and rotation."
        )
    values = (
        alpha_mask(loaded) if loaded.alpha_is_meaningful() else loaded.rgb.mean(2, dtype=np.float32) / 255
    )
    shrinking = width > size[0]
    values = cv2.resize(values, size, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    part = float((values > 0.5).mean())
    if part < MIN_MASK_PART:
        raise PhotoError(f"The mask {path} is empty: paint the person white on black, and nothing else.")
    if part > 0.995:
        raise PhotoError(f"The mask {path} covers the whole photo: paint everything but the person black.")
    return values, loaded.digest


def alpha_mask(loaded: LoadedImage) -> np.ndarray:
    """The alpha of a loaded image as (H, W) float32 in [0, 1]."""
    return loaded.alpha.astype(np.float32) / 255


def landmarks_inside(mask: np.ndarray, pose: Pose) -> float:
    """The part of the body's visible landmarks in the photo that lie on ``mask`` (H, W), or close to it."""
    height, width = mask.shape
    points = np.floor(pose.image[11:]).astype(int)
    inside = ((points >= 0) & (points < [width, height])).all(1) & (pose.visibility[11:] > 0.5)
    if not inside.any():
        return 0.0
    reach = max(1, round(NEAR * pose.region.size))
    hits = [
        mask[max(0, v - reach) : v + reach + 1, max(0, u - reach) : u + reach + 1].max() > 0.5
        for u, v in points[inside]
    ]
    return float(np.mean(hits))
