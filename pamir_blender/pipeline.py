"""From a photo to a character, in the order in which it happens.

:class:`Backend` keeps the models warm between jobs; :meth:`Backend.reconstruct` is the one job.
It needs torch and never Blender.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from . import __version__
from .body.estimator import BodyEstimator, LandmarkEstimator
from .body.load import load_body_model
from .body.model import BodyModel
from .body.posed import pose_body
from .character import Character, build_character, paint
from .check import check_backend, versions
from .contracts import Photo, PosedBody, Surface
from .errors import Cancelled, DeviceMemoryError
from .options import ReconstructOptions, RegenerateOptions, SuggestOptions
from .pamir.devices import choose_device
from .pamir.networks import FieldNetworks, load_networks
from .photo.frontend import prepare_photo
from .result import whole_folder, write_json
from .save import save_body_stage, save_character

__all__ = ["Backend", "ReconstructOptions", "RegenerateOptions", "SuggestOptions", "check_backend"]

OnProgress = Callable[[str, float, str], None]
"""Called with ``(stage, fraction of the whole job, sentence for the artist)``."""

STAGES: dict[str, tuple[float, str]] = {
    "photo": (0.08, "Finding the person"),
    "body": (0.27, "Fitting the body"),
    "features": (0.10, "Reading the picture"),
    "surface": (0.20, "Finding the surface"),
    "rig": (0.15, "Rigging"),
    "texture": (0.15, "Painting"),
    "save": (0.05, "Saving"),
}
"""Each stage's share of the whole job, which add up to 1, and its sentence."""


class _Job:
    """Progress, timing and cancellation of one job."""

    def __init__(self, on_progress: OnProgress, cancelled: Callable[[], bool]) -> None:
        self._on_progress = on_progress
        self.cancelled = cancelled
        self.timings: dict[str, float] = {}
        self._stage, self._start = "", 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """One stage; yields ``progress(fraction of this stage)``, which raises :class:`Cancelled`."""
        names = list(STAGES)
        start = sum(STAGES[n][0] for n in names[: names.index(name)])
        share, sentence = STAGES[name]

        def progress(fraction: float) -> None:
            self.check()
            self._on_progress(name, start + share * min(max(fraction, 0.0), 1.0), sentence)

        progress(0.0)
        began = time.perf_counter()
        yield progress
        self.timings[name] = round(time.perf_counter() - began, 4)
        progress(1.0)

    def check(self) -> None:
        """Raise :class:`Cancelled` if the user asked to stop."""
        if self.cancelled():
            raise Cancelled("cancelled")


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn the several ways of running out of memory into one error the artist can act on."""
    advice = "Choose a lower resolution, close other programs, or set the device to CPU."
    try:
        yield
    except MemoryError as error:
        raise DeviceMemoryError(f"The computer ran out of memory. {advice}") from error
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(f"The graphics card ran out of memory. {advice}") from error
    except RuntimeError as error:
        if "allocate memory" in str(error) or "out of memory" in str(error):
            raise DeviceMemoryError(f"The computer ran out of memory. {advice}") from error
        raise


class Backend:
    """The models, kept warm between jobs.

    ``device`` is "auto" (CUDA if there is one), "cpu" or "cuda". ``estimator`` finds the body in a photo.
    """

    def __init__(self, device: str = "auto", estimator: BodyEstimator | None = None) -> None:
        self.device = choose_device(device)
        self.estimator = estimator or LandmarkEstimator()
        self._bodies: dict[str | None, BodyModel] = {}
        self._networks: dict[tuple[str, str | None], FieldNetworks] = {}

    def body_model(self, path: str | None) -> BodyModel:
        """The body model from a file, or the open one; loaded once."""
        if path not in self._bodies:
            self._bodies[path] = load_body_model(Path(path) if path else None)
        return self._bodies[path]

    def networks(self, size: str, folder: str | None = None, *, texture: bool = True) -> FieldNetworks:
        """Geometry and texture networks of a size, from ``folder`` or the shipped ones; loaded once."""
        known = self._networks.get((size, folder))
        if known is None or (texture and known.texture is None):
            known = load_networks(size, Path(folder) if folder else None, self.device, texture=texture)
            self._networks[size, folder] = known
        return known

    def use_networks(self, size: str, networks: FieldNetworks, folder: str | None = None) -> None:
        """Work with these networks from now on, e.g. untrained ones for timing."""
        self._networks[size, folder] = networks

    def reconstruct(
        self,
        options: ReconstructOptions,
        out: Path,
        *,
        on_progress: OnProgress = lambda stage, fraction, message: None,
        on_body: Callable[[Path], None] = lambda folder: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Reconstruct one photo into the folder ``out``, which appears whole or not at all.

        ``on_body`` is called with a folder that holds the body alone, as soon as it is known; that folder
        lives until the job ends. Raises the errors of :mod:`pamir_blender.errors`.
        """
        job = _Job(on_progress, cancelled)
        torch.manual_seed(options.seed)
        with _memory_errors(), whole_folder(out) as folder:
            with job.stage("photo") as progress:
                photo = prepare_photo(
                    Path(options.photo),
                    mask_path=Path(options.mask) if options.mask else None,
                    person=options.person,
                    box=options.box,
                    progress=progress,
                    cancelled=job.cancelled,
                )
            posed = self._body(job, photo, options)
            save_body_stage(folder / "body", photo, posed)
            on_body(folder / "body")
            networks = self.networks(options.size, options.weights, texture=options.texture)
            surface, found, character = self._clothe(job, photo, posed, options, networks)
            with job.stage("save") as progress:
                shutil.rmtree(folder / "body")
                content = save_character(folder, photo, character, surface, progress)
            write_json(
                folder,
                {
                    "version": __version__,
                    **content,
                    "surface": found,
                    "options": asdict(options),
                    "weights": networks.digests,
                    "device": str(self.device),
                    "versions": versions(),
                    "timings": job.timings,
                },
            )
        return Path(out)

    def _body(self, job: _Job, photo: Photo, options: ReconstructOptions) -> PosedBody:
        with job.stage("body") as progress:
            model = self.body_model(options.body_model)
            body = self.estimator.estimate(
                photo, model, progress=progress, cancelled=job.cancelled, seed=options.seed
            )
            return pose_body(model, body)

    def _clothe(
        self,
        job: _Job,
        photo: Photo,
        posed: PosedBody,
        options: ReconstructOptions,
        networks: FieldNetworks,
    ) -> tuple[Surface, dict[str, Any], Character]:
        with job.stage("features"):
            features = networks.encode(photo, posed, texture=options.texture)
        with job.stage("surface") as progress:
            extraction = networks.surface(
                features, posed, options.resolution, progress=progress, cancelled=job.cancelled
            )
            surface = extraction.surface
        with job.stage("rig") as progress:
            character = build_character(
                surface, posed, faces=options.faces, texture_size=options.texture_size, progress=progress
            )
        if options.texture:
            with job.stage("texture") as progress:
                surface, character = paint(
                    surface,
                    character,
                    photo,
                    networks.colour(features),
                    texture_size=options.texture_size,
                    device=self.device,
                    progress=progress,
                    cancelled=job.cancelled,
                )
        found = {
            "resolution": options.resolution,
            "vertices": len(surface.vertices),
            "faces": len(surface.faces),
            "points_evaluated": extraction.points_evaluated,
            "components": extraction.components,
            "dropped_fraction": round(extraction.dropped_fraction, 5),
        }
        return surface, found, character
