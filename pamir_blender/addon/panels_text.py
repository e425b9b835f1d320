"""Sentences in panels, broken to the panel's width."""

from __future__ import annotations

from functools import lru_cache

import blf
import bpy

_MARGIN, _ICON = 62, 20
"""Pixels at interface scale 1: the sidebar's tabs and borders with a box in it, and an icon."""
_SLACK = 1.05
"""Blender draws labels up to this much wider than its font module measures them."""


def wrapped(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", faint: bool = False
) -> None:
    """Draw ``text`` over as many lines as it needs, the icon before the first."""
    scale = context.preferences.system.ui_scale or 1.0  # 0 before the first window
    width = context.region.width / scale if context.region is not None else 300
    points = context.preferences.ui_styles[0].widget.points
    room = width - _MARGIN - (0 if icon == "NONE" else _ICON)
    column = layout.column(align=True)
    column.active = not faint
    column.scale_y = 0.85
    for i, line in enumerate(broken(text, max(100, int(room / _SLACK)), points)):
        if icon == "NONE":
            column.label(text=line)
        else:
            column.label(text=line, icon=icon if i == 0 else "BLANK1")


@lru_cache(maxsize=256)
def broken(text: str, width: int, points: float) -> tuple[str, ...]:
    """``text`` in lines of at most ``width`` pixels in Blender's interface font of this size.

    Lines end between words; a word that alone is too long, such as a path, is cut where the line ends.
    """
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if _pixels(longer, points) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and _pixels(word, points) > width:
            fits = next((n for n in range(len(word) - 1, 1, -1) if _pixels(word[:n], points) <= width), 1)
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return (*lines, line)


def _pixels(text: str, points: float) -> float:
    blf.size(0, points)
    return blf.dimensions(0, text)[0]
