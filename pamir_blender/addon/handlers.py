"""Loading another .blend while a job runs must be safe."""

from __future__ import annotations

import bpy

from .jobs import runner


@bpy.app.handlers.persistent
def _before_load(*_: object) -> None:
    runner.abandon()


@bpy.app.handlers.persistent
def _after_load(*_: object) -> None:
    # The window manager, and what the last job said there, comes with the file in some cases.
    if not runner.busy:
        bpy.context.window_manager.pamir.clear()


def register() -> None:
    """Hang the handlers on Blender."""
    bpy.app.handlers.load_pre.append(_before_load)
    bpy.app.handlers.load_post.append(_after_load)


def unregister() -> None:
    """Take the handlers off again."""
    bpy.app.handlers.load_pre.remove(_before_load)
    bpy.app.handlers.load_post.remove(_after_load)
