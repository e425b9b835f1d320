"""The models, kept warm between jobs, and the three jobs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path

import torch

from ..body.confidence import body_confidence
from ..body.estimator import BodyEstimator
from ..body.landmarks import LandmarkModel, load_landmark_model
from ..body.load import load_body_model
from ..body.model import BodyModel
from ..body.posed import pose_body
from ..camera import CharacterFrame
from ..contracts import Photo, PosedBody
from ..errors import RequestError
from ..options import PhotoOptions, ReconstructOptions, RegenerateOptions, SuggestOptions
from ..pamir.body_optimisation import optimise_body
from ..pamir.devices import choose_device
from ..pamir.networks import FieldNetworks, FieldOfPhoto, ImageMaps, load_networks
from ..result import passing_folder, whole_folder
from ..save import save_body_stage
from .caches import Photos, Recent, photo_key
from .clothe import Hypothesis, clothe, show, with_body
from .estimators import Estimators
from .held_limbs import hold_limbs
from .job import HOLD_STAGES, STAGES, Job, OnProgress, memory_errors
from .states import body_of, frame_of
from .suggest import SUGGEST_SENTENCES, SUGGEST_SHARES, SUGGEST_STAGES, write_suggestions

_SCALE_TOLERANCE = 1e-6


class Backend:
    """The models, kept warm between jobs, and what was found in the last photos.

    ``device`` is "auto" (CUDA if there is one), "cpu" or "cuda". ``estimator`` finds the body in a photo
    unless the options name another one than landmarks.
    Every job writes its folder ``out`` whole or not at all, and raises the errors of
    :mod:`pamir_blender.errors`. ``on_body`` is called with a folder that holds the body alone, as soon as it
    is known; that folder lives until the job ends.
    """

    def __init__(self, device: str = "auto", estimator: BodyEstimator | None = None) -> None:
        self.device = choose_device(device)
        self.estimators = Estimators(estimator, self.device)
        self._bodies: dict[str | None, BodyModel] = {}
        self._landmarks: dict[str | None, LandmarkModel] = {}
        self._networks: dict[tuple[str, str | None], FieldNetworks] = {}
        self._photos = Photos()
        self._maps: Recent[ImageMaps] = Recent(2)
        self._shown: Recent[PosedBody] = Recent(2)
        self._shown_fields: Recent[FieldOfPhoto] = Recent(2)

    def body_model(self, path: str | None) -> BodyModel:
        """The body model from a file, or the open one; loaded once."""
        if path not in self._bodies:
            self._bodies[path] = load_body_model(Path(path) if path else None)
        return self._bodies[path]

    def landmark_model(self, path: str | None) -> LandmarkModel:
        """Where the detector's landmarks are on that body model; loaded once."""
        if path not in self._landmarks:
            self._landmarks[path] = load_landmark_model(self.body_model(path))
        return self._landmarks[path]

    def networks(self, size: str, folder: str | None = None, *, texture: bool = True) -> FieldNetworks:
        """Geometry and texture networks of a size, from ``folder`` or the shipped ones; loaded once."""
        known = self._networks.get((size, folder))
        if known is None or (texture and known.texture is None):
            known = load_networks(size, Path(folder) if folder else None, self.device, texture=texture)
            self.use_networks(size, known, folder)
        return known

    def use_networks(self, size: str, networks: FieldNetworks, folder: str | None = None) -> None:
        """Work with these networks from now on, e.g. untrained ones for timing.

        Image features of earlier networks are forgotten: the files may have been replaced in between.
        """
        self._networks[size, folder] = networks
        self._maps.clear()
        self._shown_fields.clear()

    def forget_photos(self) -> None:
        """Let go of all that was found in earlier photos; the models stay."""
        self._photos.clear()
        self._maps.clear()
        self._shown.clear()
        self._shown_fields.clear()

    def reconstruct(
        self,
        options: ReconstructOptions,
        out: Path,
        *,
        on_progress: OnProgress = lambda stage, fraction, message: None,
        on_body: Callable[[Path], None] = lambda folder: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Reconstruct one photo."""
        job = Job(_stages(optimise=options.optimise > 0, texture=options.texture), on_progress, cancelled)
        torch.manual_seed(options.seed)
        with memory_errors(), whole_folder(out) as folder, passing_folder(out) as early:
            key, photo = self._photo(job, options)
            model = self.body_model(options.body_model)
            with job.stage("body") as progress:
                body = self.estimators.find(options).estimate(
                    photo, model, progress=progress, cancelled=job.cancelled, seed=options.seed
                )
                posed = pose_body(model, body)
            _show_body(early / "estimate", photo, posed, on_body)
            networks = self.networks(options.size, options.weights, texture=options.texture)
            features = self._features(job, key, photo, posed, options, networks, texture=options.texture)
            made = Hypothesis(
                photo,
                posed,
                networks,
                features,
                kind="estimate",
                body_from=options.estimator,
                body_weights=self.estimators.digests(options),
            )
            if options.optimise:
                made = self._optimise(job, made, options, options.optimise)
                if made.posed is not posed:
                    _show_body(early / "optimised", photo, made.posed, on_body)
            clothe(job, made, options, folder)
        return Path(out)

    def regenerate(
        self,
        options: RegenerateOptions,
        out: Path,
        *,
        on_progress: OnProgress = lambda stage, fraction, message: None,
        on_body: Callable[[Path], None] = lambda folder: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Reconstruct a photo again, for a body that is given; the photo itself is paid for once."""
        texture = options.texture and not options.preview
        names = _stages(body=False, optimise=options.optimise > 0, texture=texture)
        if options.edited:
            at = names.index("surface")
            names[at:at] = HOLD_STAGES
        job = Job(names, on_progress, cancelled)
        torch.manual_seed(options.seed)
        with memory_errors(), whole_folder(out) as folder:
            key, photo = self._photo(job, options)
            posed = self.posed(photo, options)
            painted = options.texture or options.preview
            networks = self.networks(options.size, options.weights, texture=painted)
            # A preview is coarse and must be there at once; optimising still asks as the result will be.
            mirror = not options.preview or options.optimise > 0
            features = self._features(
                job, key, photo, posed, options, networks, texture=painted, mirror=mirror
            )
            made = Hypothesis(photo, posed, networks, features, kind="regenerated", edited=options.edited)
            if options.optimise:
                made = self._optimise(job, made, options, options.optimise, frame=posed.frame)
            made = self._held(job, key, made, options)
            (show if options.preview else clothe)(job, made, options, folder)
        return Path(out)

    def suggest(
        self,
        options: SuggestOptions,
        out: Path,
        *,
        on_progress: OnProgress = lambda stage, fraction, message: None,
        on_body: Callable[[Path], None] = lambda folder: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path:
        """The most plausible depth flips of a given body, each reconstructed into a folder of its own."""
        job = Job(SUGGEST_STAGES, on_progress, cancelled, shares=SUGGEST_SHARES, sentences=SUGGEST_SENTENCES)
        torch.manual_seed(options.seed)
        with memory_errors(), whole_folder(out) as folder:
            key, photo = self._photo(job, options)
            posed = self.posed(photo, options)
            networks = self.networks(options.size, options.weights, texture=options.texture)
            features = self._features(job, key, photo, posed, options, networks, texture=options.texture)
            made = Hypothesis(photo, posed, networks, features, kind="suggested", edited=options.edited)
            model = self.body_model(options.body_model)
            landmarks = self.landmark_model(options.body_model)

            def hold(part: Job, one: Hypothesis) -> Hypothesis:
                return self._held(part, key, one, options)

            write_suggestions(job, made, model, landmarks, options, folder, hold)
        return Path(out)

    def posed(self, photo: Photo, options: RegenerateOptions | SuggestOptions) -> PosedBody:
        """The body that ``options`` give, exactly, in the frame of the character's first result."""
        state = options.body
        if abs(state.scale / state.frame_scale - 1) > _SCALE_TOLERANCE:
            raise RequestError(
                "The body's scale differs from the character's. Undo the change of scale and try again."
            )
        model = self.body_model(options.body_model)
        body = body_of(state, model.name)
        confidence = body_confidence(photo.landmarks, model, self.landmark_model(options.body_model), body)
        return pose_body(model, replace(body, confidence=confidence), frame_of(state))

    def _held(
        self, job: Job, key: Hashable, made: Hypothesis, options: RegenerateOptions | SuggestOptions
    ) -> Hypothesis:
        """``made`` with the edited limbs held that the photo shows nothing of (stage "hold")."""
        if not options.edited:
            return made
        with job.stage("hold") as progress:

            def shown() -> PosedBody:
                place = (key, options.body_model)
                known = self._shown.get(place)
                if known is None:
                    model = self.body_model(options.body_model)
                    found = self.estimators.landmarks.estimate(
                        made.photo, model, progress=progress, cancelled=job.cancelled
                    )
                    known = self._shown.put(place, pose_body(model, found))
                return known

            held = hold_limbs(
                made.photo,
                made.posed,
                shown,
                options.edited,
                made.networks.occupancy(made.features),
                device=made.networks.device,
            )
            if held is None or made.features.texture is None:
                return replace(made, held=held)
            place = (key, options.body_model, options.size, options.weights)
            field = self._shown_fields.get(place)
            if field is None:
                maps = made.features.image_maps
                field = made.networks.encode(made.photo, held.shown, maps=maps, mirror=False)
                self._shown_fields.put(place, field)
            return replace(made, held=held, shown_features=field)

    def _optimise(
        self,
        job: Job,
        made: Hypothesis,
        options: PhotoOptions,
        iterations: int,
        frame: CharacterFrame | None = None,
    ) -> Hypothesis:
        """``made`` with its body improved (stage "optimise"), and the report on it."""
        model = self.body_model(options.body_model)
        with job.stage("optimise") as progress:
            found = optimise_body(
                made.networks,
                made.features,
                model,
                made.posed.body,
                photo=made.photo,
                landmarks=self.landmark_model(options.body_model),
                held=made.edited,
                iterations=iterations,
                progress=progress,
                cancelled=job.cancelled,
            )
            made = replace(made, optimisation=found.report(iterations))
            if not found.kept:
                return made
            return with_body(made, pose_body(model, found.body, frame))

    def _photo(self, job: Job, options: PhotoOptions) -> tuple[Hashable, Photo]:
        with job.stage("photo") as progress:
            key = photo_key(options)
            return key, self._photos.find(key, options, progress, job.cancelled)

    def _features(
        self,
        job: Job,
        key: Hashable,
        photo: Photo,
        posed: PosedBody,
        options: PhotoOptions,
        networks: FieldNetworks,
        *,
        texture: bool,
        mirror: bool = True,
    ) -> FieldOfPhoto:
        with job.stage("features"):
            place = (key, options.size, options.weights)
            known = self._maps.get(place)
            features = networks.encode(photo, posed, texture=texture, maps=known, mirror=mirror)
            self._maps.put(place, features.image_maps.and_those_of(known))
            return features


def _stages(*, body: bool = True, optimise: bool, texture: bool) -> list[str]:
    left_out = {"body": not body, "optimise": not optimise, "texture": not texture}
    return [name for name in STAGES if not left_out.get(name, False)]


def _show_body(folder: Path, photo: Photo, posed: PosedBody, on_body: Callable[[Path], None]) -> None:
    save_body_stage(folder, photo, posed)
    on_body(folder)
