"""Every condition of every view: what is measured already is read, the rest is made and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import PamirError
from .cache import RowCache
from .case import Case, Condition, ViewSet
from .contender import Contender
from .measures import scores_of
from .optimised import optimise_case
from .pictures import strip, write_picture

Row = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How finely: ``resolution`` cells a side, ``samples`` points on each surface, ``seed`` of their draw."""

    resolution: int = 256
    samples: int = 10_000
    seed: int = 0


def conditions(
    contenders: Sequence[Contender], kinds: Sequence[str], *, optimise: bool = False
) -> list[Condition]:
    """The table's lines: every body alone, then every network with every kind of body.

    A network that reads no body is measured once in the whole picture and once in the front end's crop.
    With ``optimise`` every body that is not the true one is measured optimised as well.
    """
    lines = [Condition(None, kind) for kind in kinds]
    for contender in contenders:
        picture = [kind for kind in kinds if kind != "photo"][:1]
        own = kinds if contender.reads_body else [*picture, *(kind for kind in kinds if kind == "photo")]
        lines += [Condition(contender.name, kind) for kind in own]
        if optimise and contender.reads_body:
            lines += [Condition(contender.name, kind, True) for kind in kinds if kind != "true"]
    return lines


def measure(
    views: ViewSet,
    contenders: Sequence[Contender],
    lines: Sequence[Condition],
    cache: RowCache,
    settings: Settings,
    say: Say,
) -> list[Row]:
    """One row per view and condition, in the order of ``views``; refused and failed ones say why."""
    by_name = {contender.name: contender for contender in contenders}
    names, rows, began, made = views.names(), [], time.monotonic(), 0
    for number, name in enumerate(names, 1):
        digest = views.digest(name)
        keys = {line: _key(digest, line, by_name, settings) for line in lines}
        known = {line: cache.get(key) for line, key in keys.items()}
        for kind in dict.fromkeys(line.body for line in lines):
            waiting = [line for line in lines if line.body == kind and known[line] is None]
            if waiting:
                made += 1
                for line, row in _measure_kind(views, name, kind, waiting, by_name, settings, cache, keys):
                    cache.put(keys[line], row)
                    known[line] = row
        rows += [{"view": name, **asdict(line), **known[line], "key": keys[line]} for line in lines]
        elapsed = time.monotonic() - began
        left = elapsed / number * (len(names) - number) if made else 0.0
        say(f"{number}/{len(names)} {name}: {_brief(lines, known)}  ({elapsed:.0f} s, {left:.0f} s left)")
    return rows


def _measure_kind(
    views: ViewSet,
    name: str,
    kind: str,
    lines: Sequence[Condition],
    contenders: dict[str, Contender],
    settings: Settings,
    cache: RowCache,
    keys: dict[Condition, str],
) -> list[tuple[Condition, Row]]:
    try:
        case = views.open(name, kind)
    except PamirError as error:
        if error.kind not in REFUSALS:
            raise
        return [(line, _row(reason=str(error))) for line in lines]
    found = []
    for line in lines:
        began = time.monotonic()
        try:
            row = _measure_line(case, line, contenders, views, settings, cache, keys[line])
        except PamirError as error:
            if error.kind != "surface":
                raise
            row = _row(reason=str(error))
        found.append((line, {**row, "seconds": round(time.monotonic() - began, 3)}))
    return found


REFUSALS = ("photo", "no_person", "person_cropped", "person_too_small", "request")
"""What the front end says of a picture that it will not work with; all other errors stop the evaluation."""


def _measure_line(
    case: Case,
    line: Condition,
    contenders: dict[str, Contender],
    views: ViewSet,
    settings: Settings,
    cache: RowCache,
    key: str,
) -> Row:
    contender = contenders[line.weights] if line.weights is not None else None
    told = None
    if contender is not None and line.optimised:
        case, told = optimise_case(case, contender, views.model)
    if contender is None:
        mesh = (case.body.vertices, case.body.faces)
    else:
        mesh = contender.mesh(case.photo, case.body, settings.resolution)
    reads_body = contender is None or contender.reads_body
    vertices = case.body.vertices if reads_body else None
    scores = scores_of(case, mesh, vertices, views.model, samples=settings.samples, seed=settings.seed)
    if contender is not None:
        shift = (scores["depth_shift"] or 0.0) / 100.0 * case.scale
        write_picture(cache.picture(key), strip(case, mesh, shift))
    row = _row(scores=scores)
    return row if told is None else {**row, "optimisation": told}


def _row(*, scores: dict[str, float | None] | None = None, reason: str = "") -> Row:
    """What is kept of one line of one view; the names that the command gives networks are not part of it."""
    return {
        "ok": scores is not None,
        "reason": " ".join(reason.split()),
        "scores": scores or {},
    }


def _key(digest: str, line: Condition, contenders: dict[str, Contender], settings: Settings) -> str:
    contender = contenders.get(line.weights) if line.weights is not None else None
    return RowCache.key(
        view=digest,
        weights=contender.digest if contender else None,
        variant=contender.variant if contender else None,
        plain=contender.plain if contender else None,
        body=line.body,
        optimised=line.optimised,
        resolution=settings.resolution if contender else None,
        samples=settings.samples,
        seed=settings.seed,
    )


def _brief(lines: Sequence[Condition], known: dict[Condition, Row]) -> str:
    parts = []
    for line in lines:
        row, head = known[line], f"{line.weights or 'body'}/{line.body}{'+' if line.optimised else ''}"
        value = row["scores"].get("point_to_surface")
        parts.append(f"{head} {value:.2f}" if value is not None else f"{head} -")
    return ", ".join(parts)
