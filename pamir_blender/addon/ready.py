"""Why a button about the active character cannot act now: one sentence, or none."""

from __future__ import annotations

import bpy

from .active import active_character, active_collection
from .jobs import runner
from .preferences import settings
from .scene import hypotheses, ownership
from .scene.edited_body import why_unreadable


def why_no_hypothesis(context: bpy.types.Context) -> str:
    """For buttons about the list."""
    collection = active_collection(context)
    if collection is None:
        return "Select a PaMIR character first"
    if hypotheses.current(collection) is None:
        return "This character has no hypotheses. Reconstruct the photo again"
    return ""


def why_no_change(context: bpy.types.Context) -> str:
    """For buttons that change the list."""
    if runner.busy:
        return "A job is running. Wait for it or cancel it"
    reason = why_no_hypothesis(context)
    if reason:
        return reason
    armature = ownership.find_object(active_character(context), "armature")
    if armature is None:
        return "The armature was deleted. Undo that first"
    return "Leave the armature's Edit Mode first" if armature.mode == "EDIT" else ""


def why_no_pose(context: bpy.types.Context) -> str:
    """For buttons that read or change the pose."""
    reason = why_no_hypothesis(context)
    if reason:
        return reason
    reason = why_unreadable(ownership.find_object(active_character(context), "armature"))
    if not reason and not hypotheses.current(active_collection(context)).state:
        reason = "An older version made this character. Reconstruct the photo again to edit its pose"
    return reason


def why_no_run(context: bpy.types.Context) -> str:
    """For buttons that run PaMIR again."""
    if runner.busy:
        return "A job is running. Wait for it or cancel it"
    if not settings().worker_python:
        return "Choose the worker's Python in the add-on's preferences first"
    return why_no_pose(context)


class Explained:
    """Mixin for operators: ``why_not`` says why the button is off."""

    @staticmethod
    def why_not(context: bpy.types.Context) -> str:
        """One sentence, or an empty string when it can act."""
        raise NotImplementedError

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Off with a reason."""
        reason = cls.why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason
