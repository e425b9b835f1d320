"""One job of the data maker: a subject in one pose, made in a worker process and written to disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..body.load import load_body_model
from ..body.model import BodyModel
from .avatars import ClothedSubject, load_avatar
from .bvh_poses import BvhPose, sample_library
from .garments import add_garments
from .parallel import end_with_parent
from .patterns import recolored
from .poses import sample_pose
from .registration import RegisteredBody
from .rendering import Renderer
from .samples import SampleOptions, random_view, write_points, write_view
from .sampling import Sight
from .storage import read_arrays, write_arrays, write_json
from .subjects import pose_subject, reshaped
from .subset_body import SubsetBody

BODY_FILE = "body.npz"
"""The body model's copy beside the data."""
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
    bvh: float = 0.0

    @property
    def key(self) -> str:
        """Name of the files this job writes."""
        return f"{self.entry['name']}_{self.pose:02d}"


def pinned_body(out: Path) -> BodyModel:
    """The body model that the data in ``out`` was made with."""
    return load_body_model(out / BODY_FILE)


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
    library: list[BvhPose]


_worker: _Worker | None = None


def start_worker(out: Path, library: list[BvhPose]) -> None:
    """Prepare this process for :func:`make_sample` on the data folder ``out``; ``library`` of BVH poses."""
    global _worker
    end_with_parent()
    torch.set_num_threads(1)
    model = pinned_body(out)
    fitting = SubsetBody(model, np.arange(0, len(model.template), FITTED_STRIDE))
    _worker = _Worker(Renderer(), SubsetBody(model), fitting, model.faces, library)


def note_path(job: Job) -> Path:
    """The file that says a job is done, and lists its views."""
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
    pose = None
    if worker.library and rng.random() < job.bvh:
        pose = sample_library(rng, subject.joints, worker.library)
    pose = pose or sample_pose(rng, subject.joints)
    posed = pose_subject(subject, registered, pose, worker.body, worker.fitting)
    added = "none"
    if rng.random() < job.garments:
        posed, added = add_garments(rng, posed)
        subject = posed.subject
    surface, occupied, outside = write_points(out / "subjects" / f"{job.key}.npz", posed, rng, job.options)
    if job.options.meshes:
        write_arrays(out / "meshes" / f"{job.key}.npz", {"vertices": posed.vertices, "faces": outside})
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
        note_path(job),
        {
            "views": views,
            "follow_error_m": posed.follow_error,
            "occupied": occupied,
            "betas": posed.betas.tolist(),
        },
    )
    return job.key
