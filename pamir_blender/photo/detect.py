"""Who is in the photo: proposals, poses, and the choice among several people."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import NoPersonError, RequestError
from .model_files import MODELS_FOLDER, POSE_DETECTION, POSE_LANDMARK
from .people import box_region, find_people
from .pose import Pose, consensus, find_pose
from .regions import MARGIN, Region
from .tflite import TfliteNetwork

MIN_POSE_SCORE = 0.5
SAME_PERSON = 0.5  # shared part of the smaller of two masks
MAX_REFINEMENTS = 2
VIEWS = ((1.0, True), (0.92, False), (0.92, True), (1.1, False), (1.1, True))
"""Margin and mirroring of the further looks at a person."""
SETTLED = 0.04  # a region that moves less than this part of its side is not looked at again


@dataclass(frozen=True)
class Person:
    """One detected person: the ``pose``, and its ``prominence`` by which people are numbered."""

    pose: Pose
    prominence: float


class Detector:
    """Finds people and their landmarks. Interpreters are made at first use and kept; thread-safe.

    ``threads`` is per network call; ``folder`` holds the two tflite files.
    """

    def __init__(self, folder: Path = MODELS_FOLDER, threads: int = 2) -> None:
        self.detection = TfliteNetwork(POSE_DETECTION, folder, threads)
        self.landmark = TfliteNetwork(POSE_LANDMARK, folder, threads)

    def people(self, image: np.ndarray, box: np.ndarray | None = None) -> list[Person]:
        """Everybody in ``image`` (H, W, 3) uint8, the most prominent first.

        With ``box`` (x0, y0, x1, y1) photo pixels only what stands in it is looked for, and a person whom
        the detection network misses is still tried there.
        """
        regions = [proposal.region for proposal in find_people(image, self.detection, box)]
        if box is not None and not regions:
            square = box_region(box)
            regions = [replace(square, size=square.size * MARGIN)]
        poses = [find_pose(image, region, self.landmark) for region in regions]
        poses = sorted((p for p in poses if p.score >= MIN_POSE_SCORE), key=lambda p: -p.score)
        distinct: list[Pose] = []
        for pose in poses:
            if not any(_same(other, pose) for other in distinct):
                distinct.append(pose)
        people = [Person(pose, prominence(pose, image.shape[:2])) for pose in distinct]
        return sorted(people, key=lambda person: -person.prominence)

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
            if again.score < min(MIN_POSE_SCORE, pose.score):
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
