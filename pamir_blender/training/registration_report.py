"""How well the body fits the avatars: ``python -m pamir_blender.training.registration_report DIR``.

Reads the registrations that ``make_data`` keeps in DIR/registered and prints, per region of the body, the
mean and the worst subject's distance to the surface, and how much of the body sticks out of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ..errors import AssetsError
from .command_line import exit_status
from .jobs import read_registered

REGIONS = ("head", "hands", "arms", "torso", "legs", "feet")


def report(folder: Path) -> str:
    """The table as Markdown; raises :class:`AssetsError` where ``folder`` holds no registrations."""
    files = sorted((folder / "registered").glob("*.npz"))
    if not files:
        raise AssetsError(f"{folder} holds no registered subjects. Run make_data with --out {folder} first.")
    residuals = {path.stem: read_registered(path).residual for path in files}
    lines = [
        f"{len(files)} subjects",
        "",
        "| region | mean mm | worst mm | worst subject | outside by over 5 mm, % |",
        "|---|---|---|---|---|",
    ]
    for region in REGIONS:
        worst = max(residuals, key=lambda name: residuals[name][region])
        mean = np.mean([row[region] for row in residuals.values()]) * 1000
        outside = np.mean([row[f"{region}_outside"] for row in residuals.values()]) * 100
        lines.append(
            f"| {region} | {mean:.1f} | {residuals[worst][region] * 1000:.1f} | {worst} | {outside:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender.training.registration_report", description=__doc__
    )
    parser.add_argument("data", type=Path, help="a folder written by make_data, e.g. data/train")
    return exit_status(
        "registration_report", lambda given: print(report(given.data)), parser.parse_args(arguments)
    )


if __name__ == "__main__":
    sys.exit(main())
