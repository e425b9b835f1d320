"""The card that helps a new user to a backend, and what to offer after an error."""

from __future__ import annotations

import bpy

from ..errors import BackendError, DeviceMemoryError, PamirError
from ..plain_files import is_file
from .backend import managed, places, task
from .backend.bundle import mismatch, read_bundle
from .jobs import runner
from .panels_text import wrapped
from .preferences import PACKAGE, get_preferences, settings


def draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context, in_preferences: bool = False) -> None:
    """Draw the card while there is no backend; nothing otherwise. The preferences have part of it already."""
    running = task.running()
    if running is not None:
        _draw_progress(layout, context, running)
        return
    python = settings().worker_python
    if python and is_file(python):
        return
    box = layout.box()
    box.label(text="One Step Left: the Backend", icon="IMPORT")
    wrapped(box, context, "PaMIR computes in a program of its own. It is not set up yet.", faint=True)
    if python:
        wrapped(box, context, f"There is no Python at {python}. Clear or change that field.", icon="ERROR")
    _draw_ways(box, context)
    if not in_preferences:
        _draw_own_python(box, context)
    if task.failure():
        warning = box.column()
        warning.alert = True
        wrapped(warning, context, task.failure(), icon="ERROR")
    if not in_preferences:
        box.operator("pamir.copy_report", icon="COPYDOWN")


def _draw_ways(box: bpy.types.UILayout, context: bpy.types.Context) -> None:
    try:
        bundle = read_bundle(places.bundle_folder())
        reason = mismatch(bundle) if bundle is not None else ""
    except PamirError as error:
        bundle, reason = None, str(error)
    row = box.row()
    row.scale_y = 1.6
    if bundle is not None and not reason:
        wrapped(box, context, f"It came with this zip and needs {bundle.unpacked / 1e9:.1f} GB.", faint=True)
        row.operator("pamir.unpack_backend", icon="PACKAGE")
    else:
        _draw_download(box, row, context, reason)


def _draw_own_python(box: bpy.types.UILayout, context: bpy.types.Context) -> None:
    box.separator(factor=0.5)
    wrapped(box, context, "Or use a Python that has the backend:", faint=True)
    if PACKAGE in context.preferences.addons:
        box.prop(get_preferences(), "worker_python", text="")


def _draw_download(
    box: bpy.types.UILayout, row: bpy.types.UILayout, context: bpy.types.Context, reason: str
) -> None:
    row.operator("pamir.create_environment", icon="IMPORT")
    if reason:
        wrapped(box, context, reason, icon="INFO")
    choice = managed.CHOICES[managed.recommended()]
    cost = f"About {choice.download / 1e9:.1f} GB to fetch, {choice.disk / 1e9:.1f} GB on disk."
    wrapped(box, context, cost, faint=True)
    if not bpy.app.online_access:
        wrapped(box, context, "Blender's online access is off.", icon="INTERNET_OFFLINE")
        box.operator("pamir.show_network_preferences", icon="PREFERENCES")


def _draw_progress(layout: bpy.types.UILayout, context: bpy.types.Context, running: task.SetupTask) -> None:
    box = layout.box()
    box.label(text=running.title, icon="TIME")
    row = box.row()
    row.scale_y = 1.4
    row.progress(factor=running.fraction, type="BAR", text=f"{running.fraction:.0%}")
    wrapped(box, context, running.message, faint=True)
    box.operator("pamir.cancel_setup", icon="CANCEL")


def draw_error_help(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what can be done about the last job's error."""
    if isinstance(runner.last_error, DeviceMemoryError):
        # The computer's own memory can be full, too; then the processor would be no help.
        if "graphics card" in str(runner.last_error) and settings().device != "cpu":
            layout.operator("pamir.use_processor", icon="MEMORY")
    elif isinstance(runner.last_error, BackendError):
        layout.operator("pamir.check_backend", icon="CHECKMARK")
        if PACKAGE in context.preferences.addons:
            layout.operator(
                "preferences.addon_show", text="Open Preferences", icon="PREFERENCES"
            ).module = PACKAGE
    layout.operator("pamir.copy_report", icon="COPYDOWN")
