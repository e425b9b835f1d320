"""How well bodies are found in pictures: ``python -m pamir_blender.training.evaluation.body_report DIR``.

Finds the person in every picture of a data set as the product does, estimates the body from the landmarks,
with --graphcmr also by GraphCMR and by both together, and prints the mean joint errors beside each other.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ...body.estimator import BodyEstimator, LandmarkEstimator
from ...body.graphcmr import GraphCmrEstimator
from ...body.posed import pose_body
from ...errors import PhotoError
from ...pamir.weights import load_graphcmr
from ...photo.frontend import prepare_photo
from ..box_change import BoxChange
from ..command_line import exit_status
from .data_set import DataViews
from .measures import aligned_error, joint_error, regressed_joints

Errors = dict[str, list[tuple[float, float, float]]]


def measure(views: DataViews, estimators: dict[str, BodyEstimator]) -> tuple[Errors, list[str]]:
    """Per estimator and view: MPJPE, its part in depth, and PA-MPJPE in centimetres; and what was refused.

    Pelvises are put at one depth, which a picture in weak perspective does not show.
    """
    errors: Errors = {name: [] for name in estimators}
    refused = []
    for name in views.names():
        path = views.folder / "views" / f"{name}.png"
        try:
            photo = prepare_photo(path)
        except PhotoError as error:
            refused.append(f"{name}: {' '.join(str(error).split())}")
            continue
        change = BoxChange(photo.window, photo.image.shape[0])
        true = change.points(regressed_joints(views.model, views.body(name, 0).vertices))
        scale = views.scale(name) * change.factor
        for key, estimator in estimators.items():
            body = pose_body(views.model, estimator.estimate(photo, views.model))
            found = regressed_joints(views.model, body.vertices)
            apart = (found - found[:1])[:, 2] - (true - true[:1])[:, 2]
            errors[key].append(
                (
                    joint_error(found, true, scale, depth_free=True),
                    float(np.abs(apart).mean() / scale * 100),
                    aligned_error(found, true) / scale * 100,
                )
            )
    return errors, refused


def table(errors: Errors, refused: list[str]) -> str:
    """The means as Markdown."""
    count = len(next(iter(errors.values())))
    lines = [
        f"{count} pictures; centimetres",
        "",
        "| body from | MPJPE | its part in depth | PA-MPJPE | MPJPE lower than from landmarks |",
        "|---|---|---|---|---|",
    ]
    first = np.array(errors["landmarks"])
    for name, rows in errors.items():
        values = np.array(rows)
        better = "" if name == "landmarks" else f"{100 * (values[:, 0] < first[:, 0]).mean():.0f} %"
        means = " | ".join(f"{value:.2f}" for value in values.mean(axis=0))
        lines.append(f"| {name} | {means} | {better} |")
    return "\n".join([*lines, *(f"\nrefused {line}" for line in refused)])


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender.training.evaluation.body_report", description=__doc__
    )
    parser.add_argument("data", type=Path, help="a folder written by make_data, e.g. data/val")
    parser.add_argument("--graphcmr", type=Path, metavar="FILE", help="GraphCMR weights to measure as well")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="N views, evenly spread (all)")
    options = parser.parse_args(arguments)
    return exit_status("body_report", _run, options)


def _run(options: argparse.Namespace) -> None:
    estimators: dict[str, BodyEstimator] = {"landmarks": LandmarkEstimator()}
    if options.graphcmr:
        graphcmr = GraphCmrEstimator(load_graphcmr(options.graphcmr))
        estimators |= {"graphcmr": graphcmr, "both": LandmarkEstimator(prior=graphcmr)}
    errors, refused = measure(DataViews(options.data, options.limit), estimators)
    if not errors["landmarks"]:
        raise PhotoError(f"No person was found in any picture of {options.data}.")
    print(table(errors, refused))


if __name__ == "__main__":
    sys.exit(main())
