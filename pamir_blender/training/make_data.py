"""Make the training data: ``python -m pamir_blender.training.make_data --assets DIR --out data/train``.

Every (subject, pose) is one job with its own seed. Finished jobs are skipped when the command is run again,
and data.json is rewritten as jobs finish, so that a data set can be opened while it grows.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..body.load import OPEN_BODY, load_body_model
from ..body.model import BodyModel
from ..errors import AssetsError, PamirError
from .avatars import ClothedSubject, avatar_list, load_avatar
from .garments import add_garments
from .patterns import recolored
from .poses import sample_pose
from .registration import RegisteredBody, register
from .rendering import Renderer
from .samples import SampleOptions, random_view, write_points, write_view
from .sampling import Sight
from .storage import read_arrays, read_json, write_arrays, write_json
from .subjects import pose_subject, reshaped
from .subset_body import SubsetBody

VERSION = 1
BODY_FILE = "body.npz"
FITTED_STRIDE = 3
"""Every how manieth body vertex the pose of a posed body is fitted on."""


@dataclass(frozen=True)
class Job:
    """One posed subject to make: ``entry`` of the avatars' manifest, ``pose`` number, ``seed``."""

    entry: dict
    pose: int
    seed: int
    out: str
    options: SampleOptions
    reshape: float
    garments: float = 0.0
    recolor: float = 0.0

    @property
    def key(self) -> str:
        """Name of the files this job writes."""
        return f"{self.entry['name']}_{self.pose:02d}"


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except PamirError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pamir_blender.training.make_data", description=__doc__)
    parser.add_argument(
        "--assets", type=Path, default=os.environ.get("PAMIR_ASSETS"), help="folder with valid/"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of this data set, e.g. data/train")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--poses", type=int, default=6, help="poses per subject")
    parser.add_argument(
        "--first-pose", type=int, default=0, help="number of the first pose, to add more later"
    )
    parser.add_argument("--yaws", type=int, default=8, help="views per posed subject")
    parser.add_argument("--estimates", type=int, default=2, help="perturbed bodies per view")
    parser.add_argument("--reshape", type=float, default=1.0, help="spread of the random change of betas")
    parser.add_argument(
        "--garments", type=float, default=0.0, help="share of subjects given new clothes or hair"
    )
    parser.add_argument(
        "--recolor", type=float, default=0.0, help="share of subjects with recoloured clothes"
    )
    parser.add_argument("--subjects", type=int, default=0, help="only the first N subjects (0 = all)")
    parser.add_argument("--meshes", action="store_true", help="also store the posed meshes, for measuring")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _run(options: argparse.Namespace) -> int:
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
        )
        for pose in numbers
        for i in order
    ]
    waiting = [job for job in jobs if not _note(job).exists()]
    print(f"{len(jobs)} posed subjects, {len(jobs) - len(waiting)} already made", flush=True)
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.workers, initializer=_start_worker, initargs=(options.out,)) as pool:
        for done, _ in enumerate(pool.imap_unordered(make_sample, waiting), 1):
            if done % 20 == 0 or done == len(waiting):
                write_index(options.out, options.split)
                minutes = (time.monotonic() - start) / 60
                left = minutes / done * (len(waiting) - done)
                print(f"{done}/{len(waiting)}  {minutes:.1f} min, {left:.1f} min left", flush=True)
    count = write_index(options.out, options.split)
    print(f"{count} views in {options.out}, {(time.monotonic() - start) / 60:.1f} min", flush=True)
    return 0


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


def pinned_body(out: Path) -> BodyModel:
    """The body model that the data in ``out`` was made with."""
    return load_body_model(out / BODY_FILE)


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


def read_registered(path: Path) -> RegisteredBody:
    """Read a cached registration."""
    stored = read_arrays(path)
    names, values = stored.pop("residual_names"), stored.pop("residual_values")
    return RegisteredBody(
        betas=stored["betas"],
        rotations=stored["rotations"],
        scale=float(stored["scale"]),
        translation=stored["translation"],
        vertices=stored["vertices"],
        carriers=stored["carriers"],
        residual=dict(zip(names.tolist(), values.tolist(), strict=True)),
    )


@dataclass
class _Worker:
    """What one process keeps between jobs."""

    renderer: Renderer
    body: SubsetBody
    fitting: SubsetBody
    faces: torch.Tensor


_worker: _Worker | None = None


def _start_worker(out: Path) -> None:
    global _worker
    torch.set_num_threads(1)
    model = pinned_body(out)
    fitting = SubsetBody(model, np.arange(0, len(model.template), FITTED_STRIDE))
    _worker = _Worker(Renderer(), SubsetBody(model), fitting, model.faces)


def _note(job: Job) -> Path:
    return Path(job.out) / "subjects" / f"{job.key}.json"


def make_sample(job: Job) -> str:
    """Make one posed subject with all its views; returns its key."""
    worker = _worker
    if worker is None:
        raise RuntimeError("make_sample runs in a worker process")
    out = Path(job.out)
    digest = hashlib.sha256(f"{job.seed} {job.key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    subject = load_avatar(job.entry)
    registered = read_registered(out / "registered" / f"{job.entry['name']}.npz")
    if job.reshape > 0:
        change = np.clip(rng.normal(0, job.reshape, 10), -2, 2) * (0.3 if rng.random() < 0.3 else 1.0)
        betas = np.clip(registered.betas + change, -3.5, 3.5)
        subject, registered = reshaped(subject, registered, worker.body, betas)
    if rng.random() < job.recolor:
        subject = recolored(rng, subject)
    return _write(job, worker, subject, registered, rng)


def _write(
    job: Job, worker: _Worker, subject: ClothedSubject, registered: RegisteredBody, rng: np.random.Generator
) -> str:
    out = Path(job.out)
    pose = sample_pose(rng, subject.joints)
    posed = pose_subject(subject, registered, pose, worker.body, worker.fitting)
    added = "none"
    if rng.random() < job.garments:
        posed, added = add_garments(rng, posed)
        subject = posed.subject
    surface, occupied = write_points(out / "subjects" / f"{job.key}.npz", posed, rng, job.options)
    if job.options.meshes:
        write_arrays(out / "meshes" / f"{job.key}.npz", {"vertices": posed.vertices, "faces": subject.faces})
    worker.renderer.load(posed.vertices, posed.normals, subject.uv, subject.faces)
    worker.renderer.load_texture(subject.texture)
    sight = Sight(posed.vertices, subject.faces)
    views = []
    for number in range(job.options.yaws):
        view, angles = random_view(rng, posed, number, job.options.yaws)
        visible = sight.visible(surface.points, surface.normals, view.rotation[2])
        name = f"{job.key}_{number:02d}"
        written = write_view(
            out / "views" / name,
            posed,
            view,
            visible,
            worker.renderer,
            worker.body,
            worker.faces,
            rng,
            job.options,
        )
        views.append(
            {
                "name": name,
                "subject": job.key,
                "identity": job.entry["identity"],
                "outfit": job.entry["outfit"],
                "pose_mode": posed.mode,
                "added": added,
                **angles,
                **written,
            }
        )
    write_json(
        _note(job),
        {
            "views": views,
            "follow_error_m": posed.follow_error,
            "occupied": occupied,
            "betas": posed.betas.tolist(),
        },
    )
    return job.key


if __name__ == "__main__":
    sys.exit(main())
