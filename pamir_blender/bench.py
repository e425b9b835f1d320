"""Stage times of the whole job, warm, as a table. ``python -m pamir_blender bench``.

Untrained ``paper`` networks compute everything that trained ones would; but their field has no surface, so
its values are replaced by the body's own volume *after* they were computed. Times are real, pictures are not.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional

from .bench_iteration import measure_iterations
from .contracts import PosedBody
from .errors import WeightsError
from .pamir.config import VolumeEncoderConfig
from .pamir.networks import FieldNetworks, FieldOfPhoto, body_volume, untrained_networks
from .pamir.surface import Extraction, extract
from .paths import package_root
from .pipeline import STAGES, Backend, ReconstructOptions, RegenerateOptions
from .saved import read_saved

SIZES = ("lite", "paper")
PREVIEW_RESOLUTION = 96


class _BodyShapedField(FieldNetworks):
    """Untrained networks whose field takes the body's values once the network's have been computed."""

    def surface(
        self, features: FieldOfPhoto, posed: PosedBody, resolution: int, **options: Any
    ) -> Extraction:
        options.pop("mask", None)
        volume = body_volume(posed, VolumeEncoderConfig(channels=1), self.device)
        volume = functional.avg_pool3d(volume, 3, 1, 1)
        computed = self.occupancy(features)

        def query(points: Tensor) -> Tensor:
            idle = computed(points)
            body = functional.grid_sample(volume, (points * 2)[None, None, None], align_corners=False)
            return body.view(-1) + 0 * idle

        return extract(query, resolution, hint=posed.vertices, device=self.device, **options)


def _measure(size: str, options: ReconstructOptions, runs: int, device: str) -> dict:
    backend = Backend(device)
    trained = True
    try:
        backend.networks(size)
    except WeightsError:
        trained = False
        networks = untrained_networks(size, backend.device)
        backend.use_networks(
            size, _BodyShapedField(networks.geometry, networks.texture, backend.device, networks.digests)
        )
    timings: list[dict[str, float]] = []
    again: list[float] = []
    shown: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):
            backend.forget_photos()  # what a new photo costs, not the same one again
            out = backend.reconstruct(replace(options, size=size), Path(folder) / f"run{run}")
            report = json.loads((out / "result.json").read_text(encoding="utf-8"))
            saved = read_saved(out)
            given = {"body": saved.turned(1.0 + run, 0.0).body, **saved.options}
            regenerated = _seconds(
                lambda given=given, run=run: backend.regenerate(
                    RegenerateOptions(**given), Path(folder) / f"again{run}"
                )
            )
            quick = {**given, "resolution": PREVIEW_RESOLUTION, "preview": True}
            preview = _seconds(
                lambda quick=quick, run=run: backend.regenerate(
                    RegenerateOptions(**quick), Path(folder) / f"preview{run}"
                )
            )
            if run:  # the first one warms up
                timings.append(report["timings"])
                again.append(regenerated)
                shown.append(preview)
        ours, naive = measure_iterations(backend, out, size, runs)
        fresh = [_fresh(options, size, device, Path(folder) / f"fresh{run}") for run in range(trained * runs)]
    stages = {name: statistics.median(t.get(name, 0.0) for t in timings) for name in STAGES}
    return {
        "size": size,
        "trained": trained,
        "device": str(backend.device),
        "stages": stages,
        "total": statistics.median(sum(t.values()) for t in timings),
        "points": report["surface"]["points_evaluated"],
        "fresh": statistics.median(fresh) if fresh else None,
        "regenerate": statistics.median(again),
        "preview": statistics.median(shown),
        "iteration": ours,
        "iteration_encoding": naive,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def _fresh(options: ReconstructOptions, size: str, device: str, out: Path) -> float:
    """Seconds from starting a process to its first result, as for the first photo after Blender starts."""
    command = [sys.executable, "-m", __package__, "reconstruct", options.photo, "--out", str(out)]
    command += ["--size", size, "--resolution", str(options.resolution), "--device", device]
    return _seconds(
        lambda: subprocess.run(command, check=True, cwd=package_root(), stdout=subprocess.DEVNULL)
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def table(results: list[dict], runs: int) -> str:
    """Markdown table, a column per network size; seconds are medians over the warm runs."""
    heads = [f"{r['size']}{'' if r['trained'] else ' (untrained)'}, {r['device']}" for r in results]
    lines = [f"| seconds, median of {runs} warm runs | " + " | ".join(heads) + " |"]
    lines.append("|---|" + "---|" * len(results))
    lines += [
        f"| {name} | " + " | ".join(f"{r['stages'][name]:.2f}" for r in results) + " |" for name in STAGES
    ]
    lines.append("| **whole job** | " + " | ".join(f"**{r['total']:.2f}**" for r in results) + " |")
    fresh = ("-" if r["fresh"] is None else f"{r['fresh']:.2f}" for r in results)
    lines.append("| first job of a fresh process | " + " | ".join(fresh) + " |")
    lines.append("| regenerate | " + " | ".join(f"{r['regenerate']:.2f}" for r in results) + " |")
    shares = (f"{r['regenerate'] / r['total']:.0%}" for r in results)
    lines.append("| regenerate / whole job | " + " | ".join(shares) + " |")
    shares = ("-" if r["fresh"] is None else f"{r['regenerate'] / r['fresh']:.0%}" for r in results)
    lines.append("| regenerate / first job | " + " | ".join(shares) + " |")
    lines.append(
        f"| live preview, {PREVIEW_RESOLUTION}^3 | "
        + " | ".join(f"{r['preview']:.2f}" for r in results)
        + " |"
    )
    lines.append(
        "| one optimisation iteration | " + " | ".join(f"{r['iteration']:.3f}" for r in results) + " |"
    )
    encoding = (f"{r['iteration_encoding']:.3f}" for r in results)
    lines.append("| the same, photo encoded every time | " + " | ".join(encoding) + " |")
    ratios = (f"{r['iteration_encoding'] / r['iteration']:.1f}" for r in results)
    lines.append("| times as fast | " + " | ".join(ratios) + " |")
    lines.append("| field queries | " + " | ".join(f"{r['points']:,}" for r in results) + " |")
    lines.append("| peak memory, GB | " + " | ".join(f"{r['peak_gb']:.2f}" for r in results) + " |")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--photo", type=Path, default=package_root() / "examples" / "person.png")
    parser.add_argument("--size", choices=(*SIZES, "both"), default="both")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="figures for programs instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Measure each size in a process of its own, so that each peak of memory is its own."""
    if arguments.size != "both":
        options = ReconstructOptions(photo=str(arguments.photo), resolution=arguments.resolution)
        results = [_measure(arguments.size, options, arguments.runs, arguments.device)]
    else:
        results = []
        for size in SIZES:
            command = [sys.executable, "-m", __package__, "bench", "--json", "--size", size]
            for name in ("photo", "resolution", "runs", "device"):
                command += [f"--{name}", str(getattr(arguments, name))]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=package_root(), check=False)
            if done.returncode:
                return done.returncode
            results += json.loads(done.stdout)
    print(json.dumps(results) if arguments.json else table(results, arguments.runs))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of the command line's ``bench``."""
    parser = argparse.ArgumentParser(prog="pamir_blender bench", description=__doc__.splitlines()[0])
    add_arguments(parser)
    return run(parser.parse_args(argv))
