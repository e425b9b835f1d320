"""How the error grows with the error of the body: the noisy-body curve.

The true body of a view is disturbed in one of three ways, by growing amounts:

``pose``   every joint but the root turned about a random axis; the level is the mean angle in degrees
``shape``  betas; the level is the standard deviation of each
``depth``  the whole body moved along the viewing direction; the level is the distance in centimetres
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ...body.model import BodyModel
from ...body.posed import pose_body
from ...contracts import Body
from ...errors import SurfaceError
from .cache import RowCache
from .case import BodyShape, Case
from .contender import Contender
from .data_set import DataViews
from .measures import scores_of
from .measuring import Say, Settings

LEVELS: dict[str, tuple[float, ...]] = {
    "pose": (0.0, 4.0, 8.0, 12.0, 16.0),
    "shape": (0.0, 0.5, 1.0, 1.5, 2.0),
    "depth": (0.0, 1.0, 2.0, 4.0, 6.0),
}
UNITS = {"pose": "degrees a joint", "shape": "standard deviation of the betas", "depth": "cm"}


def disturbed(body: Body, model: BodyModel, kind: str, level: float, seed: int) -> Body:
    """``body`` disturbed by ``level``; the same seed gives the same direction at every level.

    The pelvis joint stays where it was, but for ``depth``.
    """
    rng = np.random.default_rng(seed)
    if kind == "depth":
        x, y, z = body.placement.translation
        moved = z + rng.choice([-1.0, 1.0]) * level / 100.0 * body.placement.scale
        return replace(body, placement=replace(body.placement, translation=(x, y, moved)))
    if kind == "shape":
        changed = replace(body, betas=(body.betas + rng.normal(0, 1, 10) * level).astype(np.float32))
        shift = body.placement.scale * (_pelvis(model, body.betas) - _pelvis(model, changed.betas))
        moved = tuple(float(v) for v in np.asarray(body.placement.translation) + shift)
        return replace(changed, placement=replace(body.placement, translation=moved))
    if kind != "pose":
        raise ValueError(f"no such noise: {kind}")
    axes = rng.normal(size=(23, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    # The absolute value of a normal variable has the mean sqrt(2 / pi).
    angles = np.abs(rng.normal(0, np.radians(level) * np.sqrt(np.pi / 2), (23, 1)))
    pose = body.pose.copy()
    turned = Rotation.from_rotvec(body.pose[1:]) * Rotation.from_rotvec(axes * angles)
    pose[1:] = turned.as_rotvec().astype(np.float32)
    return replace(body, pose=pose)


def _pelvis(model: BodyModel, betas: np.ndarray) -> np.ndarray:
    return model.rest_joints(torch.as_tensor(np.asarray(betas, np.float32))[None])[0, 0].numpy()


def noise_rows(
    views: DataViews,
    names: Sequence[str],
    contenders: Sequence[Contender],
    cache: RowCache,
    settings: Settings,
    say: Say,
) -> list[dict[str, Any]]:
    """Scores of the views ``names`` for every kind and level of noise; weights None is the body alone."""
    rows = []
    for number, name in enumerate(names, 1):
        case, digest = views.open(name, "true"), views.digest(name)
        true = case.body.known_parameters()
        seed = int(hashlib.sha256(f"{settings.seed} {name}".encode()).hexdigest()[:8], 16)
        for kind, levels in LEVELS.items():
            for level in levels:
                body = disturbed(true, views.model, kind, level, seed)
                shape = BodyShape.of(pose_body(views.model, body))
                for contender in (None, *(c for c in contenders if c.reads_body)):
                    # Without noise all kinds are the same.
                    key = _key(digest, contender, kind if level else "none", level, settings)
                    scores = cache.get(key)
                    if scores is None:
                        scores = _scores(replace(case, body=shape), contender, views.model, settings)
                        cache.put(key, scores)
                    row = {"view": name, "weights": contender.name if contender else None}
                    rows.append({**row, "kind": kind, "level": level, "scores": scores})
        say(f"noise {number}/{len(names)} {name}")
    return rows


def _key(digest: str, contender: Contender | None, kind: str, level: float, settings: Settings) -> str:
    return RowCache.key(
        noise=kind,
        level=level,
        view=digest,
        weights=contender.digest if contender else None,
        plain=contender.plain if contender else None,
        resolution=settings.resolution if contender else None,
        samples=settings.samples,
        seed=settings.seed,
    )


def _scores(
    case: Case, contender: Contender | None, model: BodyModel, settings: Settings
) -> dict[str, float | None]:
    mesh = (case.body.vertices, case.body.faces)
    if contender is not None:
        try:
            mesh = contender.mesh(case.photo, case.body, settings.resolution)
        except SurfaceError:
            return {}
    return scores_of(case, mesh, case.body.vertices, model, samples=settings.samples, seed=settings.seed)


def noise_means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean of each score over the views that gave a surface, per network, kind and level."""
    groups: dict[tuple[Any, str, float], list[dict[str, float | None]]] = {}
    for row in rows:
        groups.setdefault((row["weights"], row["kind"], row["level"]), []).append(row["scores"])
    means = []
    for (weights, kind, level), scores in groups.items():
        entry: dict[str, Any] = {"weights": weights, "kind": kind, "level": level}
        for key in ("point_to_surface", "chamfer", "mpjpe"):
            values = [one[key] for one in scores if one.get(key) is not None]
            entry[key] = float(np.mean(values)) if values else None
        means.append(
            {**entry, "views": sum(bool(one) for one in scores), "failed": sum(not s for s in scores)}
        )
    return means
