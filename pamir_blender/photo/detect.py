"""Who is in the photo: proposals, poses, and the choice among several people."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..errors import NoPersonError, RequestError
from .model_files import MODELS_FOLDER, POSE_DETECTION, POSE_LANDMARK
from .people import box_region, find_people
from .pose import Pose, consensus, find_pose
from .regions import MARGIN, Region, shrink
from .tflite import TfliteNetwork

MIN_POSE_SCORE = 0.5
SAME_PERSON = 0.5  # shared part of the smaller of two masks
MAX_REFINEMENTS = 2
VIEWS = ((1.0, True), (0.92, False), (0.92, True), (1.1, False), (1.1, True))
"""Margin and mirroring of the further looks at a person."""
MAX_MORE_PEOPLE = 6
HIDING_SIDE = 224
MIN_FIT = 0.1
SETTLED = 0.04  # a region that moves less than this part of its side is not looked at again


@dataclass(frozen=True)
class Person:
    """One detected person: ``pose``, ``prominence``, and ``fit`` to the box asked for (1 without a box)."""

    pose: Pose
    prominence: float
    fit: float = 1.0


class Detector:
    """Finds people and their landmarks. Interpreters are made at first use and kept; thread-safe.

    ``threads`` is per network call; ``folder`` holds the two tflite files.
    """

    def __init__(self, folder: Path = MODELS_FOLDER, threads: int = 2) -> None:
        self.detection = TfliteNetwork(POSE_DETECTION, folder, threads)
        self.landmark = TfliteNetwork(POSE_LANDMARK, folder, threads)

    def people(self, image: np.ndarray, box: np.ndarray | None = None) -> list[Person]:
        """Everybody in ``image`` (H, W, 3) uint8, the most prominent first.

        With ``box`` (x0, y0, x1, y1) in photo pixels, those in it, the best fitting first; a person whom the
        detection network misses is still tried there.
        """
        regions = [proposal.region for proposal in find_people(image, self.detection)]
        if box is not None:
            square = box_region(box)
            regions += [proposal.region for proposal in find_people(image, self.detection, box)]
            regions.append(replace(square, size=square.size * MARGIN))
        poses = self._poses(image, regions, [])
        for _ in range(MAX_MORE_PEOPLE if poses else 0):
            hidden, scale = hide(image, poses)
            again = find_people(hidden, self.detection, thorough=False)
            more = self._poses(image, [proposal.region.scaled(1 / scale) for proposal in again], poses)
            if len(more) == len(poses):
                break
            poses = more
        size = image.shape[:2]
        people = [Person(pose, prominence(pose, size), _overlap(pose, size, box)) for pose in poses]
        people = [person for person in people if person.fit >= MIN_FIT]
        return sorted(people, key=lambda person: (-person.fit, -person.prominence))

    def _poses(self, image: np.ndarray, regions: list[Region], known: list[Pose]) -> list[Pose]:
        """``known`` and the poses found in ``regions`` that are nobody known, the surest first."""
        poses = [find_pose(image, region, self.landmark) for region in regions]
        distinct = list(known)
        for pose in sorted(poses, key=lambda pose: -pose.score):
            if pose.score >= MIN_POSE_SCORE and not any(_same(other, pose) for other in distinct):
                distinct.append(pose)
        return distinct

    def refine(self, image: np.ndarray, person: Person) -> tuple[Pose, np.ndarray]:
        """The final pose of a chosen person, and its spread (33,) in metres.

        The landmarks of one pass suggest a better region for the next, as in tracking. A single pass still
        confuses legs now and then, so several views of that region (other margins, mirrored) vote by median.
        """
        pose = person.pose
        for _ in range(MAX_REFINEMENTS):
            if _settled(pose.region, pose.next_region):
                break
            again = find_pose(image, pose.next_region, self.landmark)
            if again.score < min(MIN_POSE_SCORE, pose.score) or not _same(pose, again):
                break
            pose = again
        views = [pose]
        for margin, mirrored in VIEWS:
            region = replace(pose.region, size=pose.region.size * margin)
            views.append(find_pose(image, region, self.landmark, mirrored=mirrored))
        return consensus(views)


@functools.lru_cache(maxsize=4)
def shared_detector(threads: int = 2) -> Detector:
    """The process's detector with the shipped models; its interpreters are reused between photos."""
    return Detector(threads=threads)


def prominence(pose: Pose, size: tuple[int, int]) -> float:
    """Visible area x centrality x score of a pose in a photo of ``size`` (height, width); at most 1."""
    limit = np.array([size[1], size[0]], float)
    low, high = np.clip(pose.image.min(0), 0, limit), np.clip(pose.image.max(0), 0, limit)
    area = float(np.prod((high - low) / limit))
    off_centre = np.linalg.norm(((low + high) / 2 - limit / 2) / limit)
    return area * float(np.exp(-2 * off_centre**2)) * pose.score


def choose(people: list[Person], source: str, person: int | None) -> Person:
    """The most prominent person, or number ``person`` (from 1).

    Raises:
        NoPersonError: nobody was found in ``source``.
        RequestError: there is no such number.
    """
    if not people:
        raise NoPersonError(
            f"Nobody was found in {source}. Use a photo that shows one whole person, "
            "or draw a box around the person."
        )
    if person is None:
        return people[0]
    if not 1 <= person <= len(people):
        raise RequestError(
            f"Person {person} was asked for, but {len(people)} found in {source}. "
            f"Choose 1 (the most prominent) to {len(people)}, or draw a box."
        )
    return people[person - 1]


def hide(image: np.ndarray, poses: list[Pose]) -> tuple[np.ndarray, float]:
    """A small copy of ``image`` where the people known are smeared over, and its scale.

    The detection network was trained for one person and tends to see only the clearest.
    """
    small = shrink(image, HIDING_SIDE / max(image.shape[:2]))
    scale = small.shape[1] / image.shape[1]
    size = small.shape[1::-1]
    frame = np.array([[scale, 0, 0], [0, scale, 0]])
    known = np.max([pose.mask_in(frame, size) for pose in poses], axis=0)
    reach = max(3, round(0.02 * HIDING_SIDE))
    open_ground = 1 - cv2.dilate((known > 0.2).astype(np.float32), np.ones((reach, reach)))
    sigma = HIDING_SIDE / 16
    colours = cv2.GaussianBlur(small.astype(np.float32) * open_ground[..., None], (0, 0), sigma)
    weights = cv2.GaussianBlur(open_ground, (0, 0), sigma)[..., None]
    smeared = colours / np.maximum(weights, 1e-3)
    return np.where(open_ground[..., None] > 0, small, np.clip(smeared, 0, 255)).astype(np.uint8), scale


def _overlap(pose: Pose, size: tuple[int, int], box: np.ndarray | None) -> float:
    """Intersection over union of a box and a pose's visible extent in a photo of ``size`` (height, width)."""
    if box is None:
        return 1.0
    limit = np.array([size[1], size[0]], float)
    low, high = np.clip(pose.image.min(0), 0, limit), np.clip(pose.image.max(0), 0, limit)
    common = np.prod(np.clip(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0, None))
    return float(common / max(np.prod(high - low) + np.prod(box[2:] - box[:2]) - common, 1e-9))


def _same(one: Pose, other: Pose) -> bool:
    """Whether two poses claim the same pixels: one body seen twice, upside down for instance."""
    side = len(one.mask)
    first = one.mask
    second = other.mask_in(one.region.from_photo(side), (side, side))
    whole = float(other.mask.sum()) * (other.region.size / one.region.size) ** 2
    smaller = max(min(float(first.sum()), whole), 1e-6)
    return float(np.minimum(first, second).sum()) > SAME_PERSON * smaller


def _settled(region: Region, following: Region) -> bool:
    moved = np.hypot(*(np.subtract(region.centre, following.centre)))
    resized = abs(region.size - following.size)
    turned = abs(np.angle(np.exp(1j * (region.angle - following.angle)))) * region.size / 2
    return bool(max(moved, resized, turned) < SETTLED * region.size)
