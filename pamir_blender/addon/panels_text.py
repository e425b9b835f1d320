"""Sentences in panels, broken to the panel's width."""

from __future__ import annotations

import textwrap

import bpy

_MARGIN, _CHARACTER = 60, 6.6
"""Pixels at interface scale 1: the panel's borders with an icon, and the mean width of a character."""


def wrapped(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", faint: bool = False
) -> None:
    """Draw ``text`` over as many lines as it needs, the icon before the first."""
    scale = context.preferences.system.ui_scale or 1.0  # 0 before the first window
    width = context.region.width if context.region is not None else 300
    characters = max(16, int((width / scale - _MARGIN) / _CHARACTER))
    column = layout.column(align=True)
    column.active = not faint
    column.scale_y = 0.85
    for i, line in enumerate(textwrap.wrap(text, characters) or [""]):
        if icon == "NONE":
            column.label(text=line)
        else:
            column.label(text=line, icon=icon if i == 0 else "BLANK1")
