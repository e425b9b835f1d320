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
from .regions import Region
from .tflite import TfliteNetwork

MIN_POSE_SCORE = 0.5
SAME_PERSON = 0.3  # mean distance of the landmarks, as a part of the smaller region's side
MAX_REFINEMENTS = 2
VIEW_MARGINS = (1.0, 0.92, 1.1)
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
            regions = [box_region(box)]
        people: list[Person] = []
        for region in regions:
            pose = find_pose(image, region, self.landmark)
            if pose.score < MIN_POSE_SCORE:
                continue
            person = Person(pose, prominence(pose, image.shape[:2]))
            twin = next((i for i, other in enumerate(people) if _same(pose, other.pose)), None)
            if twin is None:
                people.append(person)
            elif pose.score > people[twin].pose.score:
                people[twin] = person
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
        for margin in VIEW_MARGINS:
            region = replace(pose.region, size=pose.region.size * margin)
            for mirrored in (False, True):
                if margin != 1 or mirrored:  # the plain view is there already
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
            f"Nobody was found in {source}. Use a photo that shows one whole person, or draw a box around the person."
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
    distance = np.linalg.norm(one.image - other.image, axis=1).mean()
    return bool(distance < SAME_PERSON * min(one.region.size, other.region.size) / 2)


def _settled(region: Region, following: Region) -> bool:
    moved = np.hypot(*(np.subtract(region.centre, following.centre)))
    resized = abs(region.size - following.size)
    turned = abs(np.angle(np.exp(1j * (region.angle - following.angle)))) * region.size / 2
    return bool(max(moved, resized, turned) < SETTLED * region.size)
