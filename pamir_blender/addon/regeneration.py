"""Jobs that run PaMIR again for a character that exists: regenerate, suggest, recompute, preview."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy

from ..errors import RequestError, ResultError
from ..plain_files import is_file
from ..worker import protocol
from .jobs import Job
from .preferences import Settings
from .reconstruction import OPTIMISE_ITERATIONS, new_folder
from .results_folder import sweep
from .scene import hypotheses, ownership, record
from .scene.edited_body import EditedBody, read_edited_body
from .scene.read_result import read_result
from .scene.result_info import read_json, text

SUGGESTIONS = 3


class CharacterJob(Job):
    """A job on a character that exists; it keeps the character's id and nothing of Blender's."""

    def __init__(self, request: protocol.Regenerate | protocol.Suggest, character: str) -> None:
        super().__init__(request)
        self.character = character
        self.message = ""
        """What to tell the artist when it ended well."""

    def collection(self) -> bpy.types.Collection:
        """The character's collection; the artist may have deleted it, or undone its making, meanwhile."""
        found = ownership.find_collection(self.character)
        if found is None:
            raise ResultError(
                "The character was deleted while PaMIR worked on it. "
                f"The result is in {self.request.out}: Import Result brings it back."
            )
        return found

    def roll_back(self) -> None:
        """Remove what a killed worker left on disk; imports are whole or nothing by themselves."""
        sweep(Path(self.request.out))


class RegenerateJob(CharacterJob):
    """Adds a hypothesis for the pose that the bones are in."""

    def on_event(self, event: protocol.Event) -> None:
        """Import the result as a new hypothesis and let the armature follow it."""
        if isinstance(event, protocol.Done):
            result = read_result(Path(event.folder))
            hypotheses.add(self.collection(), result, self.request.job)
            self.message = record.optimisation_text(result.info.optimisation) or "Added a hypothesis."


class RecomputeJob(CharacterJob):
    """Makes the files, and if need be the mesh, of a hypothesis anew."""

    def __init__(self, request: protocol.Regenerate, character: str, uid: str) -> None:
        super().__init__(request, character)
        self._uid = uid

    def on_event(self, event: protocol.Event) -> None:
        """Point the hypothesis at its new folder."""
        if isinstance(event, protocol.Done):
            result = read_result(Path(event.folder))
            hypotheses.renew(self.collection(), result, self._uid)
            self.message = f"The files are in {event.folder} now."


class SuggestJob(CharacterJob):
    """Adds the most plausible depth flips as hypotheses; the armature stays with the present one."""

    def on_event(self, event: protocol.Event) -> None:
        """Import every suggestion."""
        if not isinstance(event, protocol.Done):
            return
        folder = Path(event.folder)
        listed = read_json(folder / "suggestions.json")
        made = [(label, read_result(place)) for label, place in _suggestions(folder, listed)]
        collection = self.collection()
        known = [entry.uid for entry in collection.pamir.hypotheses]
        try:
            for label, result in made:
                hypotheses.add(collection, result, protocol.new_job(), label, active=False)
        except Exception:
            hypotheses.keep_only(collection, known)
            raise
        if made:
            self.message = f"Added {len(made)} suggestions. Compare them side by side."
            if failed := len(listed.get("failed") or ()):
                self.message += f" {failed} more gave no surface."
        else:
            self.message = text(listed.get("reason")) or "No limb has a second plausible pose in this photo."


def regenerate_request(
    collection: bpy.types.Collection, settings: Settings, *, optimise: bool = False
) -> protocol.Regenerate:
    """Regenerate the followed hypothesis with the bones and sliders as they are now."""
    entry = _followed(collection)
    body = read_edited_body(collection, entry, bpy.context.evaluated_depsgraph_get())
    iterations = OPTIMISE_ITERATIONS if optimise else 0
    return _request(
        "Regenerate", collection, entry, settings, body=body, edited=body.edited, optimise=iterations
    )


def preview_request(
    collection: bpy.types.Collection, settings: Settings, body: EditedBody, resolution: int
) -> protocol.Regenerate:
    """A quick look at ``body``, geometry alone."""
    return _request(
        "Regenerate", collection, _followed(collection), settings,
        body=body, edited=body.edited, preview=True, resolution=resolution,
    )  # fmt: skip


def recompute_request(
    collection: bpy.types.Collection, entry: bpy.types.PropertyGroup, settings: Settings
) -> protocol.Regenerate:
    """The very hypothesis again, whatever the bones are doing."""
    edited = record.edited_of(entry)
    body = EditedBody(record.state_of(entry), (), edited, False, False)
    return _request("Regenerate", collection, entry, settings, body=body, edited=edited)


def suggest_request(collection: bpy.types.Collection, settings: Settings) -> protocol.Suggest:
    """Depth flips of the body as it stands; limbs that the artist posed are left alone."""
    entry = _followed(collection)
    body = read_edited_body(collection, entry, bpy.context.evaluated_depsgraph_get())
    return _request("Suggest", collection, entry, settings, body=body, edited=body.edited, count=SUGGESTIONS)


def _followed(collection: bpy.types.Collection) -> bpy.types.PropertyGroup:
    entry = hypotheses.current(collection)
    if entry is None:
        raise RequestError(f"{collection.name} has no hypothesis to start from. Reconstruct the photo again.")
    return entry


def _request(
    kind: str,
    collection: bpy.types.Collection,
    entry: bpy.types.PropertyGroup,
    settings: Settings,
    *,
    body: EditedBody,
    **more: Any,
) -> Any:
    """A request from what the .blend remembers; it passes the same checks as one from a wire."""
    options = {**record.options_of(entry), **more}
    photo = options.get("photo") or record.info_of(entry).photo
    if not photo:
        raise RequestError(f"{entry.name} does not tell its photo. Choose the photo again.")
    for what in ("photo", "mask"):
        path = photo if what == "photo" else options.get("mask")
        if path and not is_file(str(path)):
            raise RequestError(f"The {what} {path} is not there. Choose the {what} again in the panel.")
    job = protocol.new_job()
    message = {
        "protocol": protocol.PROTOCOL,
        "type": kind,
        **options,
        "photo": photo,
        "body": asdict(body.state),
        "device": settings.device,
        "out": str(new_folder(settings.results_folder, photo, job)),
        "job": job,
    }
    return protocol.decode_request(json.dumps(message).encode())


def _suggestions(folder: Path, listed: dict[str, Any]) -> list[tuple[str, Path]]:
    found = listed.get("suggestions")
    if not isinstance(found, list) or len(found) > protocol.MOST_SUGGESTIONS:
        raise ResultError(f"{folder / 'suggestions.json'} is not a list of suggestions. Ask for them again.")
    places = []
    for entry in found:
        name = text(entry.get("folder")) if isinstance(entry, dict) else ""
        if not name.isdecimal():  # never a path that leads out of the folder
            raise ResultError(f"{folder / 'suggestions.json'} names no folder. Ask for suggestions again.")
        places.append((text(entry.get("label"))[:60], folder / name))
    return places
