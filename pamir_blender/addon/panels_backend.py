"""What the last backend check found, on the preferences page."""

from __future__ import annotations

import bpy

from . import findings
from .jobs import runner
from .panels_text import wrapped


def draw_findings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the check's progress, its findings or its error."""
    state = context.window_manager.pamir
    if runner.busy:
        layout.label(text=state.message or "Working", icon="TIME")
        return
    found = findings.latest()
    if not found and not state.error:
        return
    box = layout.box()
    if state.error:
        wrapped(box, context, state.error, icon="ERROR")
    for finding in (finding for finding in found if not finding.good):
        wrapped(box, context, finding.text, icon="ERROR")
    grid = box.grid_flow(columns=2, even_columns=True)
    for finding in (finding for finding in found if finding.good):
        grid.label(text=finding.text, icon="CHECKMARK")
