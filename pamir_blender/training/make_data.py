"""Make the data for training and measuring: ``python -m pamir_blender.training.make_data --assets DIR``.

This writes data/train and data/val; their identities never mix. ``--split`` makes one of them alone. Every
(subject, pose) is one job with its own seed. Finished jobs are skipped when the command is run again, and
data.json is rewritten as jobs finish, so that a data set can be opened while it grows.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..body.load import OPEN_BODY
from ..body.model import BodyModel
from ..errors import AssetsError
from .avatars import avatar_list, load_avatar
from .bvh_poses import read_poses
from .command_line import exit_status
from .jobs import BODY_FILE, Job, make_sample, note_path, pinned_body, start_worker
from .parallel import each_in_processes
from .registration import register
from .samples import SampleOptions
from .storage import read_json, write_arrays, write_json

VERSION = 1


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return exit_status("make_data", _make_sets, _parser().parse_args(arguments))


def _make_sets(options: argparse.Namespace) -> None:
    for split, out in _parts(options):
        _run(_with_defaults(options, split, out))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pamir_blender.training.make_data", description=__doc__)
    parser.add_argument(
        "--assets", type=Path, default=os.environ.get("PAMIR_ASSETS"), help="folder with valid/"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data"),
        help="folder to make; with one --split that set's own folder",
    )
    parser.add_argument("--split", choices=("both", "train", "val"), default="both")
    parser.add_argument("--poses", type=int, help="poses per subject (8; 2 for val)")
    parser.add_argument(
        "--first-pose", type=int, default=0, help="number of the first pose, to add more later"
    )
    parser.add_argument("--yaws", type=int, help="views per posed subject (6; 2 for val)")
    parser.add_argument("--estimates", type=int, default=2, help="perturbed bodies per view")
    parser.add_argument("--reshape", type=float, default=1.0, help="spread of the random change of betas")
    parser.add_argument(
        "--garments", type=float, default=0.5, help="share of subjects given new clothes or hair"
    )
    parser.add_argument(
        "--recolor", type=float, default=0.6, help="share of subjects with recoloured clothes"
    )
    parser.add_argument("--bvh", type=float, default=0.15, help="share of poses from MakeHuman's BVH files")
    parser.add_argument("--subjects", type=int, default=0, help="only the first N of each set (0 = all)")
    parser.add_argument(
        "--meshes", action="store_true", help="store the posed meshes of train, too (val always has them)"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _parts(options: argparse.Namespace) -> list[tuple[str, Path]]:
    """The sets to make and their folders; the small one first, so that a training can begin early."""
    if options.split == "both":
        return [("val", options.out / "val"), ("train", options.out / "train")]
    return [(options.split, options.out)]


def _with_defaults(options: argparse.Namespace, split: str, out: Path) -> argparse.Namespace:
    """``options`` for one set: val has fewer pictures, another seed for clothes, and meshes."""
    held_out = split == "val"
    changes = {
        "split": split,
        "out": out,
        "poses": options.poses or (2 if held_out else 8),
        "yaws": options.yaws or (2 if held_out else 6),
        "meshes": options.meshes or held_out,
        # Poses, clothes and hair are drawn from this: val's loose clothes are never those of train.
        "seed": options.seed + 1_000_003 * held_out,
    }
    return argparse.Namespace(**{**vars(options), **changes})


def _run(options: argparse.Namespace) -> None:
    if options.assets is None:
        raise AssetsError("Say where the assets are: --assets DIR, or set PAMIR_ASSETS.")
    entries = [entry for entry in avatar_list(options.assets) if entry["split"] == options.split]
    if options.subjects:
        entries = entries[: options.subjects]
    for folder in ("subjects", "views", "meshes"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    _pin_body(options.out)
    registered_folder = options.out / "registered"
    registered_folder.mkdir(exist_ok=True)
    start = time.monotonic()
    _register_all(entries, registered_folder, pinned_body(options.out))
    samples = SampleOptions(yaws=options.yaws, estimates=options.estimates, meshes=options.meshes)
    numbers = range(options.first_pose, options.first_pose + options.poses)
    order = np.random.default_rng(options.seed).permutation(len(entries))
    jobs = [
        Job(
            entries[i],
            pose,
            options.seed,
            str(options.out),
            samples,
            options.reshape,
            options.garments,
            options.recolor,
            options.bvh,
        )
        for pose in numbers
        for i in order
    ]
    waiting = [job for job in jobs if not note_path(job).exists()]
    print(f"{len(jobs)} posed subjects, {len(jobs) - len(waiting)} already made", flush=True)
    library = read_poses(options.assets / "makehuman" / "base" / "poses")
    if not library and options.bvh > 0:
        print("no makehuman/base/poses/*.bvh in the assets: all poses come from the pose sampler", flush=True)
    made = each_in_processes(make_sample, waiting, options.workers, start_worker, (options.out, library))
    for done, _ in enumerate(made, 1):
        if done % 20 == 0 or done == len(waiting):
            write_index(options.out, options.split)
            minutes = (time.monotonic() - start) / 60
            left = minutes / done * (len(waiting) - done)
            print(f"{done}/{len(waiting)}  {minutes:.1f} min, {left:.1f} min left", flush=True)
    count = write_index(options.out, options.split)
    print(f"{count} views in {options.out}, {(time.monotonic() - start) / 60:.1f} min", flush=True)


def write_index(out: Path, split: str) -> int:
    """(Re)write data.json from the finished jobs' notes; returns the number of views."""
    views = [view for note in sorted((out / "subjects").glob("*.json")) for view in read_json(note)["views"]]
    model = pinned_body(out)
    write_json(
        out / "data.json",
        {
            "version": VERSION,
            "split": split,
            "body_model": model.name,
            "body_digest": body_digest(model),
            "command": " ".join(sys.argv[1:]),
            "views": views,
        },
    )
    return len(views)


def body_digest(model: BodyModel) -> str:
    """SHA-256 of the body model's template and faces: what the stored vertices belong to."""
    content = model.template.numpy().astype("<f4").tobytes() + model.faces.numpy().astype("<i4").tobytes()
    return hashlib.sha256(content).hexdigest()


def _pin_body(out: Path) -> None:
    """Keep the body model beside the data: vertices and fits on disk belong to this very file."""
    if not (out / BODY_FILE).exists():
        partial = out / (BODY_FILE + ".part")
        shutil.copyfile(OPEN_BODY, partial)
        partial.replace(out / BODY_FILE)


def _register_all(entries: list[dict], folder: Path, model: BodyModel, batch: int = 12) -> None:
    missing = [entry for entry in entries if not (folder / f"{entry['name']}.npz").exists()]
    if not missing:
        return
    for first in range(0, len(missing), batch):
        group = missing[first : first + batch]
        found = register([load_avatar(entry) for entry in group], model)
        for entry, body in zip(group, found, strict=True):
            arrays = asdict(body)
            residual = arrays.pop("residual")
            arrays["residual_names"] = np.array(list(residual))
            arrays["residual_values"] = np.array(list(residual.values()), np.float32)
            write_arrays(folder / f"{entry['name']}.npz", {k: np.asarray(v) for k, v in arrays.items()})
        mean = np.mean(
            [[body.residual[name] for name in ("head", "hands", "feet")] for body in found], axis=0
        )
        print(
            f"registered {first + len(group)}/{len(missing)}; "
            f"head, hands, feet to the surface {np.round(mean * 1000, 1)} mm",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
