"""Depth flips: the other poses of foreshortened limbs that one picture allows, the most plausible first."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from ..body.landmarks import LandmarkModel
from ..body.model import BodyModel
from ..body.posed import pose_body
from ..contracts import JOINT_NAMES, PosedBody
from ..depth_flip import FLIP_LIMBS, flip_depth, foreshortening
from ..errors import SurfaceError
from ..options import SuggestOptions
from ..pamir.body_optimisation import energy_of
from ..result import SUGGESTIONS_NAME, write_json
from .clothe import Hypothesis, clothe, with_body
from .job import HOLD_STAGES, Job

Hold = Callable[[Job, Hypothesis], Hypothesis]
"""Holds the limbs that the artist posed against the photo; stage "hold"."""

LEAST_DEPTH = 0.15
"""Limbs with a smaller share of their length along the view look and are the same after a flip."""

SUGGEST_STAGES = ("photo", "features", "rank", "suggest")
SUGGEST_SHARES = {"photo": 0.08, "features": 0.07, "rank": 0.15, "suggest": 0.7}
SUGGEST_SENTENCES = {"rank": "Trying depth flips", "suggest": "Reconstructing the best of them"}


@dataclass(frozen=True)
class Flip:
    """A body with the ``limbs`` flipped, and its ``energy`` (eq. 9; lower is more plausible)."""

    limbs: tuple[str, ...]
    posed: PosedBody
    energy: float


def write_suggestions(
    job: Job,
    made: Hypothesis,
    model: BodyModel,
    landmarks: LandmarkModel,
    options: SuggestOptions,
    folder: Path,
    hold: Hold,
) -> None:
    """``suggestions.json`` and a result folder for each of the best flips; stages "rank" and "suggest".

    A flip whose field has no surface is listed as failed and costs the others nothing; SurfaceError is raised
    when none has one.
    """

    def energy(posed: PosedBody) -> float:
        return energy_of(made.networks, made.features, model, posed.body, made.photo, landmarks)

    choices = list(flippable(made.posed, options.edited))
    flips = []
    with job.stage("rank") as progress:
        now = energy(made.posed)
        for number, limbs in enumerate(choices):
            progress(number / len(choices))
            posed = flipped(made.posed, limbs, model)
            flips.append(Flip(limbs, posed, energy(posed)))
    best = sorted(flips, key=lambda flip: flip.energy)[: options.count]
    listed, failed = [], []
    with job.stage("suggest"):
        names = [*HOLD_STAGES] if options.edited else []
        names += ["surface", "rig", *(["texture"] if options.texture else []), "save"]
        for number, flip in enumerate(best):
            place = folder / str(number + 1)
            place.mkdir()
            part = job.part(names, number, len(best), "suggest")
            about = {"flipped": list(flip.limbs), "energy": flip.energy, "label": label(flip)}
            try:
                one = replace(with_body(made, flip.posed), flipped=flip.limbs)
                clothe(part, hold(part, one), options, place)
            except SurfaceError as error:
                if len(failed) + 1 == len(best):
                    raise
                shutil.rmtree(place)
                failed.append({**about, "reason": str(error)})
            else:
                listed.append({"folder": place.name, **about})
    found = {"energy_now": now, "suggestions": listed, "failed": failed}
    if not best:
        found["reason"] = "No limb that may be flipped points far enough towards the camera or away from it."
    write_json(folder, found, SUGGESTIONS_NAME)


def flippable(posed: PosedBody, edited: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """One or two limbs that may be flipped: foreshortened ones in which the artist edited no joint."""
    pose, rest = posed.body.pose, posed.joints_rest
    limbs = [
        limb
        for limb, joints in FLIP_LIMBS.items()
        if not {JOINT_NAMES[joint] for joint in joints} & set(edited)
        and foreshortening(pose, rest, limb) >= LEAST_DEPTH
    ]
    yield from ((limb,) for limb in limbs)
    yield from combinations(limbs, 2)


def flipped(posed: PosedBody, limbs: tuple[str, ...], model: BodyModel) -> PosedBody:
    """The body with ``limbs`` mirrored in depth, in the same frame."""
    pose = np.asarray(posed.body.pose, np.float64)
    for limb in limbs:
        pose = flip_depth(pose, posed.joints_rest, limb)
    return pose_body(model, replace(posed.body, pose=pose.astype(np.float32)), posed.frame)


def label(flip: Flip) -> str:
    """Where the limbs are now, in words: "Left arm forward, right leg back"."""
    joints = flip.posed.transforms[:, :3, :3] @ flip.posed.joints_rest[..., None]
    places = joints[..., 0] + flip.posed.transforms[:, :3, 3]
    words = []
    for limb in flip.limbs:
        chain = FLIP_LIMBS[limb]
        ahead = places[chain[2], 2] > places[chain[0], 2]
        words.append(f"{limb.replace('_', ' ')} {'forward' if ahead else 'back'}")
    return ", ".join(words).capitalize()
