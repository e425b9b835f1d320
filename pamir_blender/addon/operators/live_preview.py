"""The live preview's switch."""

from __future__ import annotations

import bpy

from ..active import active_character
from ..live import live
from ..ready import Explained, why_no_run
from ..scene import hypotheses, ownership
from ..scene.edited_body import read_edited_body


class PAMIR_OT_live_preview(Explained, bpy.types.Operator):
    """While you turn bones or move the body's sliders, show at low resolution what comes of it"""

    bl_idname = "pamir.live_preview"
    bl_label = "Live Preview"
    bl_options = {"INTERNAL"}  # looking is no change: there is nothing to undo

    @staticmethod
    def why_not(context: bpy.types.Context) -> str:
        """It can always be switched off."""
        return "" if live.on else why_no_run(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Switch it on for the active character, or off, and then regenerate if the artist chose so."""
        if not live.on:
            live.start(active_character(context))
            return {"FINISHED"}
        character = live.character
        live.stop()
        if context.window_manager.pamir.live_finish and _changed(character):
            return bpy.ops.pamir.regenerate("INVOKE_DEFAULT")
        return {"FINISHED"}


def _changed(character: str) -> bool:
    """Whether there is something to regenerate for the character, which must be the active one."""
    collection = ownership.find_collection(character)
    entry = hypotheses.current(collection) if collection is not None else None
    if entry is None or not bpy.ops.pamir.regenerate.poll() or active_character(bpy.context) != character:
        return False
    return read_edited_body(collection, entry, bpy.context.evaluated_depsgraph_get()).changed
