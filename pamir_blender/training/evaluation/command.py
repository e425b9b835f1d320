"""``python -m pamir_blender evaluate``: measure networks on a data set, on any meshes, or look at photos."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import RequestError
from ...options import RESOLUTIONS
from ...pamir.devices import choose_device
from ..validation import spread
from .cache import RowCache
from .case import ViewSet
from .contender import load_contender, parse_weights
from .data_set import DataViews
from .measuring import Settings, conditions, measure
from .noise import noise_means, noise_rows
from .report import write_json, write_report

QUICK_VIEWS, QUICK_RESOLUTION, QUICK_SAMPLES = 6, 128, 4000


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender evaluate",
        description="Measure reconstructions: tables, plots and contact sheets, worst first.",
    )
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, metavar="DIR", help="a data set of make_data with --meshes")
    what.add_argument("--subjects", type=Path, metavar="DIR", help="meshes of people: GLB, OBJ, PLY")
    what.add_argument(
        "--photos", type=Path, metavar="DIR", help="photos: results to look at, and silhouettes"
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results; run again to go on")
    add(
        "--weights",
        action="append",
        metavar="NAME=DIR",
        help="a network under test: a folder of weights, of a training, or a file; repeatable (the shipped)",
    )
    add("--size", choices=("lite", "paper"), default="lite", help="size of the networks in a folder (lite)")
    add("--bodies", nargs="+", metavar="KIND", help="bodies: true, estimated, photo (all that there are)")
    add("--limit", type=int, default=0, metavar="N", help="N views, evenly spread; N meshes or photos (all)")
    add("--resolution", type=int, choices=RESOLUTIONS, metavar="R", help="cells along the box (256)")
    add("--samples", type=int, metavar="N", help="points drawn on each surface (10000)")
    add("--noise-views", type=int, default=8, metavar="N", help="views of the noisy-body curve (8)")
    add("--no-noise", action="store_true", help="leave the noisy-body curve out")
    add("--yaws", type=float, nargs="+", default=[0, 30, -45], metavar="DEG", help="views of each mesh")
    add("--up", choices=("y", "z"), default="y", help="the meshes' upward axis (y)")
    add("--height", type=float, metavar="M", help="height of every mesh in metres (from the file's unit)")
    add("--no-optimise", dest="optimise", action="store_false", help="leave optimised bodies out")
    add(
        "--plain",
        action="store_true",
        help="the field as published: no mirror, no mending, no fitted outline (not for --photos)",
    )
    add("--quick", action="store_true", help="a few views, coarse: to see that everything works")
    add("--fresh", action="store_true", help="measure again what was measured before")
    add("--seed", type=int, default=0)
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (auto)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; raises PamirError for what cannot be done."""
    argv = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(argv)
    _check(options)
    out = _output(options.out, fresh=options.fresh)
    text = (_photos if options.photos else _measured)(options, argv, out)
    print(text)
    print(f"results in {out}", file=sys.stderr)
    return 0


def _check(options: argparse.Namespace) -> None:
    for name, least in (("limit", 0), ("noise_views", 1), ("samples", 100)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise RequestError(f"--{name.replace('_', '-')} must be at least {least}, not {value}")
    if options.height is not None and not 0.3 <= options.height <= 3.0:
        raise RequestError(f"--height is in metres, 0.3 to 3, not {options.height:g}")
    if options.photos and options.plain:
        raise RequestError("--plain is for measuring; --photos shows what users get")
    if any(not abs(yaw) <= 360 for yaw in options.yaws):
        raise RequestError("--yaws are degrees between -360 and 360")


def _output(out: Path, *, fresh: bool) -> Path:
    """The folder, made if need be; a folder with other things in it is refused."""
    if out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file. Choose a folder with --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / "cache").is_dir():
        raise RequestError(f"{out} holds other files. Choose a new or empty folder with --out.")
    if fresh:
        shutil.rmtree(out / "cache", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "cache").mkdir(exist_ok=True)
    return out


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _settings(options: argparse.Namespace) -> Settings:
    quick = options.quick
    return Settings(
        options.resolution or (QUICK_RESOLUTION if quick else 256),
        options.samples or (QUICK_SAMPLES if quick else 10_000),
        options.seed,
    )


def _views(options: argparse.Namespace, out: Path, say: Callable[[str], None]) -> ViewSet:
    limit = options.limit or (QUICK_VIEWS if options.quick else 0)
    if options.data:
        return DataViews(options.data, limit)
    from .subjects import SubjectOptions, SubjectViews  # drawing needs OpenGL, which --data does not

    yaws = tuple(options.yaws[:1] if options.quick else options.yaws)
    subject_options = SubjectOptions(yaws, options.up, options.height, options.seed)
    return SubjectViews(options.subjects, out / "views", subject_options, limit, say)


def _kinds(options: argparse.Namespace, views: ViewSet) -> list[str]:
    if not options.bodies:
        return list(views.kinds)
    unknown = [kind for kind in options.bodies if kind not in views.kinds]
    if unknown:
        raise RequestError(f"there is no {unknown[0]!r} body here; choose from {', '.join(views.kinds)}")
    return [kind for kind in views.kinds if kind in options.bodies]


def _measured(options: argparse.Namespace, argv: list[str], out: Path) -> str:
    device, settings, cache = choose_device(options.device), _settings(options), RowCache(out / "cache")
    places = parse_weights(options.weights)
    contenders = [
        load_contender(name, place, options.size, device, plain=options.plain)
        for name, place in places.items()
    ]
    views = _views(options, out, _say)
    lines = conditions(contenders, _kinds(options, views), optimise=options.optimise)
    rows = measure(views, contenders, lines, cache, settings, _say)
    noise: list[dict[str, Any]] = []
    if isinstance(views, DataViews) and not options.no_noise:
        names = views.names()
        wanted = min(options.noise_views, 2 if options.quick else options.noise_views)
        chosen = [names[i] for i in spread(wanted, len(names))]
        noise = noise_means(noise_rows(views, chosen, contenders, cache, settings, _say))
    return write_report(out, argv, views, contenders, lines, rows, noise, settings, cache)


def _photos(options: argparse.Namespace, argv: list[str], out: Path) -> str:
    from ...check import versions
    from ...pipeline import Backend
    from .photos import photo_paths, photos_sheet, photos_table, reconstruct_photos
    from .pictures import write_picture

    places = parse_weights(options.weights)
    if len(places) > 1:
        raise RequestError("--photos takes one --weights at a time; run it again for the other.")
    ((name, place),) = places.items()
    chosen = {"size": options.size, "seed": options.seed, "weights": str(place) if place else None}
    if options.resolution or options.quick:
        chosen["resolution"] = options.resolution or QUICK_RESOLUTION
    if not options.optimise:
        chosen["optimise"] = 0
    paths = photo_paths(options.photos, options.limit or (QUICK_VIEWS if options.quick else 0))
    backend = Backend(options.device)
    rows = reconstruct_photos(paths, out / "results", RowCache(out / "cache"), backend, chosen, _say)
    text = f"# Photos\n\n`python -m pamir_blender evaluate {' '.join(argv)}`\n\n{photos_table(rows)}"
    (out / "photos.md").write_text(text, encoding="utf-8")
    command = ["python", "-m", "pamir_blender", "evaluate", *argv]
    content = {"format": 1, "command": command, "versions": versions(), "weights": name, "options": chosen}
    write_json(out / "photos.json", {**content, "rows": rows})
    if any(row["ok"] for row in rows):
        write_picture(out / "photos.png", photos_sheet(rows, out / "results"))
    return text
