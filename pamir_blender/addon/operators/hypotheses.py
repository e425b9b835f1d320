"""The list of hypotheses: solo, compare, duplicate, delete."""

from __future__ import annotations

import bpy

from ...errors import PamirError
from ...worker.protocol import new_job
from ..active import active_collection
from ..ready import Explained, why_no_change
from ..scene import hypotheses


class _ListOperator(Explained):
    """An operator on the active character's list."""

    why_not = staticmethod(why_no_change)

    def act(self, collection: bpy.types.Collection) -> None:
        """Change the list. May raise :class:`PamirError`."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Change the list, or say why not."""
        try:
            self.act(active_collection(context))
        except PamirError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def _why_no_other(context: bpy.types.Context) -> str:
    reason = why_no_change(context)
    if not reason and len(active_collection(context).pamir.hypotheses) < 2:
        reason = "There is only one hypothesis. Turn a bone and regenerate first"
    return reason


class PAMIR_OT_solo_hypothesis(_ListOperator, bpy.types.Operator):
    """Show the selected hypothesis alone"""

    bl_idname = "pamir.solo_hypothesis"
    bl_label = "Solo"
    bl_options = {"REGISTER", "UNDO"}

    why_not = staticmethod(_why_no_other)

    def act(self, collection: bpy.types.Collection) -> None:
        """Hide all others."""
        hypotheses.solo(collection, collection.pamir.active_index)


class PAMIR_OT_compare_hypotheses(_ListOperator, bpy.types.Operator):
    """Show all hypotheses side by side, each in its own pose; the active one keeps its place"""

    bl_idname = "pamir.compare_hypotheses"
    bl_label = "Compare Side by Side"
    bl_options = {"REGISTER", "UNDO"}

    why_not = staticmethod(_why_no_other)

    def act(self, collection: bpy.types.Collection) -> None:
        """Switch it on or off."""
        collection.pamir.compare = not collection.pamir.compare
        hypotheses.arrange(collection)


class PAMIR_OT_duplicate_hypothesis(_ListOperator, bpy.types.Operator):
    """Add a copy of the selected hypothesis, with a mesh of its own"""

    bl_idname = "pamir.duplicate_hypothesis"
    bl_label = "Duplicate"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, collection: bpy.types.Collection) -> None:
        """Copy and follow the copy."""
        hypotheses.duplicate(collection, collection.pamir.active_index, new_job())


class PAMIR_OT_delete_hypothesis(_ListOperator, bpy.types.Operator):
    """Delete the selected hypothesis from this file. Its result folder stays on the disk"""

    bl_idname = "pamir.delete_hypothesis"
    bl_label = "Delete"
    bl_options = {"REGISTER", "UNDO"}

    @staticmethod
    def why_not(context: bpy.types.Context) -> str:
        """The last one stays."""
        reason = why_no_change(context)
        if not reason and len(active_collection(context).pamir.hypotheses) < 2:
            reason = "This is the only hypothesis. Delete the character's collection instead"
        return reason

    def act(self, collection: bpy.types.Collection) -> None:
        """Delete it and follow its neighbour."""
        hypotheses.delete(collection, collection.pamir.active_index)
