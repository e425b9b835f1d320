"""Add the bodies that the product finds: ``python -m pamir_blender.training.found_bodies data/train``.

Every picture of a data set is given to the photo front end and the landmark fit, as a user's photo is, and
the body they find joins the view's estimated bodies. A perturbed true body errs at random; this one errs as
the product does. Bodies that stand apart from the true one in the picture's plane, or far in depth (front and
back taken for each other, say), are left out: nothing could be learned from points that follow them.
Finished subjects are skipped when the command is run again.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..body.model import BodyModel
from ..errors import PhotoError
from ..pamir.voxelise import voxelise_occupancy
from .body_parameters import parameters_of
from .box_change import BoxChange
from .command_line import exit_status
from .jobs import pinned_body
from .make_data import write_index
from .parallel import each_in_processes, end_with_parent
from .photo_body import PhotoBodies
from .storage import (
    BOX_STEP,
    METRES_STEP,
    from_counts,
    pack_volume,
    read_arrays,
    read_json,
    to_counts,
    write_arrays,
    write_json,
)
from .subset_body import SubsetBody

LARGEST_PLANE, LARGEST_DEPTH = 0.05, 0.12
"""Metres: mean distances of the vertices in the picture's plane and in depth; beyond, a body is refused."""


@dataclass
class _Finder:
    """What one process keeps: the body model, all of its vertices for skinning, and the front end."""

    model: BodyModel
    body: SubsetBody
    photos: PhotoBodies


_finder: _Finder | None = None


def _start(folder: Path) -> None:
    global _finder
    end_with_parent()
    torch.set_num_threads(1)
    _finder = make_finder(folder)


def make_finder(folder: Path) -> _Finder:
    """What :func:`find_body` needs for the data in ``folder``."""
    model = pinned_body(folder)
    return _Finder(model, SubsetBody(model), PhotoBodies(model))


def find_body(finder: _Finder, picture: Path) -> tuple[np.ndarray, np.ndarray]:
    """The body in a stored picture: vertices (V, 3) in the picture's box, and its parameters (86,).

    Raises :class:`PhotoError` where the front end finds nobody.
    """
    photo, posed = finder.photos.find(picture)
    body, change = posed.body, BoxChange(photo.window, photo.image.shape[0])
    vertices = change.points_back(posed.vertices)
    rotations = Rotation.from_rotvec(body.pose).as_matrix()
    scale = body.placement.scale / change.factor
    return vertices, parameters_of(finder.body, body.betas, rotations, scale, vertices)


def add_to_view(finder: _Finder, folder: Path, view: dict, true_body: np.ndarray) -> dict:
    """Find one view's body and store it; returns the view's changed entry.

    ``true_body`` (V, 3) in subject metres. ``found`` in the entry says whether a body was found and taken.
    """
    path = folder / "views" / f"{view['name']}.npz"
    stored, taken = read_arrays(path), len(view["severity"])
    try:
        vertices, row = find_body(finder, path.with_suffix(".png"))
    except PhotoError:
        return {**view, "found": False}
    scale = float(stored["scale"])
    truth = true_body @ (stored["rotation"] * scale).T + stored["translation"]
    # A picture in weak perspective does not show how far away the person is.
    push = float((truth - vertices)[:, 2].mean())
    vertices[:, 2] += push
    row[-1] += push
    apart = np.abs(vertices - truth) / scale
    plane, depth = float(np.hypot(apart[:, 0], apart[:, 1]).mean()), float(apart[:, 2].mean())
    if plane > LARGEST_PLANE or depth > LARGEST_DEPTH:
        return {**view, "found": False}
    volume = voxelise_occupancy(torch.from_numpy(vertices)[None].float(), finder.model.faces)[0, 0].numpy()
    # The arrays go first: an interrupted run finds the view again and replaces them.
    stored["estimates"] = np.concatenate([stored["estimates"][:taken], to_counts(vertices, BOX_STEP)[None]])
    stored["parameters"] = np.concatenate([stored["parameters"][: taken + 1], row[None]])
    stored[f"volume{taken + 1}"] = pack_volume(volume)
    write_arrays(path, stored)
    return {**view, "found": True, "found_plane_m": plane, "found_depth_m": depth}


def _add_to_subject(note: Path) -> None:
    """All views of one subject, whose note is rewritten."""
    if _finder is None:
        raise RuntimeError("_add_to_subject runs in a worker process")
    content, folder = read_json(note), note.parent.parent
    subject = read_arrays(note.with_suffix(".npz"), ("body",))
    true_body = from_counts(subject["body"], METRES_STEP)
    content["views"] = [add_to_view(_finder, folder, view, true_body) for view in content["views"]]
    write_json(note, content)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender.training.found_bodies", description=__doc__
    )
    parser.add_argument("data", type=Path, help="a folder written by make_data, e.g. data/train")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    return exit_status("found_bodies", _run, options)


def _run(options: argparse.Namespace) -> None:
    split = read_json(options.data / "data.json")["split"]
    notes = sorted((options.data / "subjects").glob("*.json"))
    waiting = [note for note in notes if any("found" not in v for v in read_json(note)["views"])]
    print(f"{len(notes)} posed subjects, {len(notes) - len(waiting)} already done", flush=True)
    start = time.monotonic()
    found = each_in_processes(_add_to_subject, waiting, options.workers, _start, (options.data,))
    for done, _ in enumerate(found, 1):
        if done % 20 == 0 or done == len(waiting):
            write_index(options.data, split)
            print(f"{done}/{len(waiting)}  {(time.monotonic() - start) / 60:.1f} min", flush=True)
    write_index(options.data, split)  # also where an earlier run ended before it could
    views = read_json(options.data / "data.json")["views"]
    print(_summary(views))


def _summary(views: list[dict]) -> str:
    found = [view for view in views if view["found"]]
    if not found:
        return f"none of {len(views)} bodies found"
    plane, depth = (100 * np.mean([view[f"found_{name}_m"] for view in found]) for name in ("plane", "depth"))
    apart = f"off by {plane:.1f} cm in the picture's plane and {depth:.1f} cm in depth"
    return f"{len(found)} of {len(views)} bodies found, {apart}"


if __name__ == "__main__":
    sys.exit(main())
