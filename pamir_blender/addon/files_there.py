"""Whether files are still there, for panels: asked of the disk now and then, never while drawing."""

from __future__ import annotations

import time

import bpy

from ..plain_files import exists

FRESH_SECONDS = 3.0
_known: dict[str, tuple[bool, float]] = {}
_asked: set[str] = set()


def is_there(path: str) -> bool:
    """Whether ``path`` exists, as far as known; one that was never looked at counts as there.

    In background mode, which draws nothing, the disk is asked at once.
    """
    if not path:
        return False
    if bpy.app.background:
        return exists(path)
    there, looked = _known.get(path, (True, 0.0))
    if time.monotonic() - looked > FRESH_SECONDS and path not in _asked:
        _asked.add(path)
        if not bpy.app.timers.is_registered(_look):
            bpy.app.timers.register(_look, first_interval=0.0)
    return there


def _look() -> None:
    changed = False
    for path in tuple(_asked):
        there = exists(path)
        changed |= _known.get(path, (True, 0.0))[0] != there
        _known[path] = (there, time.monotonic())
    _asked.clear()
    if changed:
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D":
                    area.tag_redraw()


def register() -> None:
    """Nothing is known yet."""
    _known.clear()


def unregister() -> None:
    """Forget everything and stop looking."""
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    _known.clear()
    _asked.clear()
