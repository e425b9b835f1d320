"""Live preview: while the artist turns bones, PaMIR runs again at low resolution and shows what comes of it.

Nothing here trusts events to say what changed. The pose itself is compared: with what it last was (has it
come to rest?), with what the shown preview was made for, and with the hypothesis. So undo, another hypothesis
or a deleted preview need no special care. With a window, Blender's timers drive :meth:`Live.tick`; without
one, a plain loop does.

A refresh pushes no undo step. A preview that undo brings back or takes away is noticed like any other.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path

import bpy

from ..errors import PamirError
from ..worker import protocol
from .jobs import Job, runner
from .preferences import settings
from .regeneration import preview_request
from .results_folder import sweep
from .scene import hypotheses, ownership, preview_object, record
from .scene.edited_body import EditedBody, read_edited_body
from .scene.read_result import read_result

PAUSE_SECONDS = 0.3
"""A pose that has not changed for this long is worth a look."""
TICK_SECONDS = 0.1


class PreviewJob(Job):
    """One refresh of the preview."""

    yields = True

    def __init__(self, request: protocol.Regenerate, character: str, key: str) -> None:
        super().__init__(request)
        self.character, self.key = character, key

    def on_event(self, event: protocol.Event) -> None:
        """Show the result in place of the preview before it."""
        if not isinstance(event, protocol.Done):
            return
        try:
            result = read_result(Path(event.folder))
        finally:
            shutil.rmtree(event.folder, ignore_errors=True)
        collection = ownership.find_collection(self.character)
        entry = hypotheses.current(collection) if collection is not None else None
        if entry is not None:
            preview_object.show(collection, result, record.follow_of(entry), self.key)
            hypotheses.arrange(collection)

    def roll_back(self) -> None:
        """Leave nothing on the disk; a preview shown before stays."""
        out = Path(self.request.out)
        shutil.rmtree(out, ignore_errors=True)
        sweep(out)


class Live:
    """Watches one character and keeps its preview up to date. Holds ids and numbers, nothing of Blender's."""

    def __init__(self) -> None:
        self.character = ""
        """The watched character's id; empty while live preview is off."""
        self.error = ""
        self._body: EditedBody | None = None
        self._key = ""
        self._still_since = 0.0
        self._failed = ""

    @property
    def on(self) -> bool:
        """Whether it is switched on."""
        return bool(self.character)

    @property
    def refreshing(self) -> bool:
        """Whether a preview is being computed."""
        return isinstance(runner.job, PreviewJob)

    def start(self, character: str) -> None:
        """Watch the character."""
        self.stop()
        self.character = character
        self.look(bpy.context.evaluated_depsgraph_get())
        if not bpy.app.background:
            bpy.app.timers.register(_tick_by_timer, first_interval=TICK_SECONDS)

    def stop(self) -> None:
        """Watch nothing, and take the preview away."""
        if self.refreshing:
            runner.abandon()
        if bpy.app.timers.is_registered(_tick_by_timer):
            bpy.app.timers.unregister(_tick_by_timer)
        if self.character and preview_object.remove(self.character):
            collection = ownership.find_collection(self.character)
            if collection is not None:
                hypotheses.arrange(collection)
        self.character = self.error = ""
        self.forget()

    def forget(self) -> None:
        """Look at the pose anew at the next occasion: Blender's data was exchanged."""
        self._body, self._key, self._failed = None, "", ""

    def look(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Read the pose, and note the time if it is another one than before."""
        collection = ownership.find_collection(self.character)
        entry = hypotheses.current(collection) if collection is not None else None
        if entry is None:
            self._body, self._key = None, ""
            return
        try:
            body = read_edited_body(collection, entry, depsgraph)
        except PamirError as error:
            self._body, self._key, self.error = None, "", str(error)
            return
        key = _key_of(body)
        if key != self._key:
            self._body, self._key, self._still_since = body, key, time.monotonic()
            self.error = ""

    def tick(self) -> None:
        """Drive the running refresh; start one if the pose has come to rest at something not yet shown."""
        if self.refreshing:
            self._step()
        if not self.on or runner.busy:
            return
        if ownership.find_collection(self.character) is None:
            self.stop()
            return
        if self._body is None:
            self.look(bpy.context.evaluated_depsgraph_get())
        if self._body is None:
            return
        if not self._body.changed:
            self._show_hypothesis()
        elif self._wants_refresh():
            # Once more, for what no depsgraph update has told of yet.
            key = self._key
            self.look(bpy.context.evaluated_depsgraph_get())
            if self._key == key:
                self._refresh(self._body, key)

    def _step(self) -> None:
        job = runner.job
        runner.step()
        if runner.job is not job and job.error is not None:
            self.error, self._failed = str(job.error), job.key

    def _show_hypothesis(self) -> None:
        if self.refreshing:
            runner.abandon()
        if preview_object.remove(self.character):
            hypotheses.arrange(ownership.find_collection(self.character))

    def _wants_refresh(self) -> bool:
        if time.monotonic() - self._still_since < PAUSE_SECONDS:
            return False
        under_way = runner.job.key if self.refreshing else ""
        return self._key not in (under_way, self._failed, preview_object.made_for(self.character))

    def _refresh(self, body: EditedBody, key: str) -> None:
        collection = ownership.find_collection(self.character)
        place = replace(settings(), results_folder=Path(bpy.app.tempdir) / "pamir-previews")
        try:
            resolution = int(bpy.context.window_manager.pamir.live_resolution)
            request = preview_request(collection, place, body, resolution)
            runner.start(PreviewJob(request, self.character, key), settings())
            self.error = ""
        except PamirError as error:
            self.error, self._failed = str(error), key


def _key_of(body: EditedBody) -> str:
    return hashlib.sha256(repr(body.state).encode()).hexdigest()


live = Live()
"""Blender has one worker, so one live preview."""


def _tick_by_timer() -> float | None:
    live.tick()
    return TICK_SECONDS if live.on else None


@bpy.app.handlers.persistent
def _after_depsgraph(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if not live.on:
        return
    # Bones are of the armature object, sliders of a Key; nothing else can change what is sent.
    if any(depsgraph.id_type_updated(kind) for kind in ("OBJECT", "ARMATURE", "KEY")):
        live.look(depsgraph)


@bpy.app.handlers.persistent
def _after_undo(*_: object) -> None:
    live.forget()
    _tidy()


@bpy.app.handlers.persistent
def _before_load(*_: object) -> None:
    live.stop()


@bpy.app.handlers.persistent
def _after_load(*_: object) -> None:
    _tidy()


def _tidy() -> None:
    """Take away previews that nobody keeps up to date: undo or a file saved meanwhile brought them back."""
    for collection in bpy.data.collections:
        character = ownership.character_of(collection)
        if character and character != live.character and preview_object.remove(character):
            hypotheses.arrange(collection)


def _handlers() -> tuple[tuple[list, object], ...]:
    on = bpy.app.handlers
    return (
        (on.depsgraph_update_post, _after_depsgraph),
        (on.undo_post, _after_undo),
        (on.redo_post, _after_undo),
        (on.load_pre, _before_load),
        (on.load_post, _after_load),
    )


def register() -> None:
    """Hang the handlers on Blender."""
    for hook, function in _handlers():
        hook.append(function)


def unregister() -> None:
    """Stop, and take the handlers off again."""
    live.stop()
    for hook, function in _handlers():
        hook.remove(function)
