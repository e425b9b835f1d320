"""The main job: a photo goes out, a body comes back early, the clothed character at the end."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import bpy

from ..errors import Cancelled, RequestError, ResultError
from ..plain_files import is_file
from ..worker import protocol
from .jobs import Job
from .preferences import Settings
from .results_folder import sweep, sweep_stale
from .scene import ownership
from .scene.import_result import import_character, import_early_body, select_character
from .scene.read_result import read_early_body, read_result

OPTIMISE_ITERATIONS = 50
"""Of body reference optimisation (PaMIR section 4.3)."""


class ReconstructionJob(Job):
    """Reconstructs the photo of ``scene`` into a new character in it."""

    def __init__(self, scene: bpy.types.Scene, settings: Settings) -> None:
        super().__init__(build_request(scene.pamir, settings))
        self.character = self.request.job
        """The id that marks everything this job puts into Blender."""
        self._scene = scene.session_uid
        self.warnings: tuple[str, ...] = ()

    def on_event(self, event: protocol.Event) -> None:
        """Import the early body, then the whole result."""
        if isinstance(event, protocol.BodyReady):
            self._show_early_body(Path(event.folder))
        elif isinstance(event, protocol.Done):
            result = read_result(Path(event.folder))
            import_character(result, self._find_scene(), self.character)
            select_character(self.character, bpy.context)
            self.warnings = (*result.info.warnings, *self._lost_photo())

    def roll_back(self) -> None:
        """Remove the half-imported character and what a killed worker left on disk."""
        ownership.remove_character(self.character)
        out = Path(self.request.out)
        sweep(out)
        if isinstance(self.error, Cancelled):
            # It was whole before the worker heard of the cancelling; nobody would ever be shown it.
            shutil.rmtree(out, ignore_errors=True)

    def _show_early_body(self, folder: Path) -> None:
        try:
            early = read_early_body(folder)
        except ResultError:
            # Blender was late: the worker has gone on to save, or is gone. What comes next will tell.
            if all((folder / name).is_file() for name in ("result.json", "scene.npz")):
                raise
            return
        import_early_body(early, self._find_scene(), self.character)

    def _lost_photo(self) -> tuple[str, ...]:
        photo = Path(self.request.photo)
        if is_file(photo):
            return ()
        return (
            f"{photo.name} was deleted or moved meanwhile: the camera shows no photo behind the character.",
        )

    def _find_scene(self) -> bpy.types.Scene:
        """The scene it was started from, unless that was deleted meanwhile."""
        scenes = (scene for scene in bpy.data.scenes if scene.session_uid == self._scene)
        return next(scenes, bpy.context.scene)


def build_request(options: bpy.types.PropertyGroup, settings: Settings) -> protocol.Reconstruct:
    """The request for a scene's options. Raises :class:`RequestError` for files that are not there."""
    photo = _existing_file(options.photo_path, "photo")
    if photo is None:
        raise RequestError("No photo is chosen. Choose a photo of one whole person first.")
    job = protocol.new_job()
    return protocol.Reconstruct(
        photo=photo,
        out=str(new_folder(settings.results_folder, photo, job)),
        mask=_existing_file(options.mask_path, "mask"),
        person=options.person or None,
        resolution=int(options.resolution),
        device=settings.device,
        size=settings.size,
        body_model=settings.body_model,
        weights=settings.weights_folder,
        seed=options.seed,
        texture=options.use_texture,
        optimise=OPTIMISE_ITERATIONS if options.use_optimise else 0,
        estimator=settings.body_from,
        job=job,
    )


def _existing_file(path: str, what: str) -> str | None:
    if not path:
        return None
    absolute = Path(bpy.path.abspath(path)).absolute()
    try:
        if absolute.is_file():
            return str(absolute)
        reason = "is a folder" if absolute.is_dir() else "does not exist"
        if reason != "is a folder" and absolute.exists():
            reason = "is not a file but a pipe or a device"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise RequestError(f"The {what} {absolute} {reason}. Choose another one.")


def new_folder(results: Path, photo: str, job: str) -> Path:
    """A folder that does not exist yet, named so that a person finds it again; its parent is made."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        sweep_stale(results)
    except OSError as error:
        raise ResultError(
            f"The results folder {results} cannot be made ({error.strerror}). "
            "Choose another in the preferences."
        ) from error
    stem = re.sub(r"[^\w-]+", "_", Path(photo).stem)[:48].strip("_") or "photo"
    return results / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{job[:6]}"
