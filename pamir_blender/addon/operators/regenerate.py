"""Running PaMIR again for the pose that the bones are in."""

from __future__ import annotations

import bpy

from ..active import active_character, active_collection
from ..jobs import Job
from ..preferences import settings
from ..ready import Explained, why_no_run
from ..regeneration import (
    CharacterJob,
    RecomputeJob,
    RegenerateJob,
    SuggestJob,
    recompute_request,
    regenerate_request,
    suggest_request,
)
from ..scene import hypotheses
from .job_operator import JobOperator


class _CharacterOperator(Explained, JobOperator):
    """What the operators that run a :class:`CharacterJob` share."""

    why_not = staticmethod(why_no_run)

    def report_success(self, job: CharacterJob) -> None:
        """What the job says of itself."""
        self.report({"INFO"}, job.message)


class PAMIR_OT_regenerate(_CharacterOperator, bpy.types.Operator):
    """Make the person again for the pose of the bones, as a new hypothesis. Esc cancels"""

    bl_idname = "pamir.regenerate"
    bl_label = "Regenerate"
    bl_options = {"UNDO"}

    def make_job(self, context: bpy.types.Context) -> Job:
        """The regeneration of the active character."""
        request = regenerate_request(active_collection(context), settings())
        return RegenerateJob(request, active_character(context))


class PAMIR_OT_optimise_rest(_CharacterOperator, bpy.types.Operator):
    """Hold the bones you posed, improve all others and the shape, and regenerate. Esc cancels"""

    bl_idname = "pamir.optimise_rest"
    bl_label = "Optimise the Rest"
    bl_options = {"UNDO"}

    def make_job(self, context: bpy.types.Context) -> Job:
        """The optimised regeneration of the active character."""
        request = regenerate_request(active_collection(context), settings(), optimise=True)
        return RegenerateJob(request, active_character(context))


class PAMIR_OT_suggest(_CharacterOperator, bpy.types.Operator):
    """Make the likeliest other poses of limbs that point to the camera or away. Esc cancels"""

    bl_idname = "pamir.suggest"
    bl_label = "Suggest Hypotheses"
    bl_options = {"UNDO"}

    def make_job(self, context: bpy.types.Context) -> Job:
        """The suggestions for the active character."""
        request = suggest_request(active_collection(context), settings())
        return SuggestJob(request, active_character(context))


class PAMIR_OT_recompute(_CharacterOperator, bpy.types.Operator):
    """Make the selected hypothesis' result folder again, and its mesh if that was deleted. Esc cancels"""

    bl_idname = "pamir.recompute"
    bl_label = "Recompute Files"
    bl_options = {"UNDO"}

    def make_job(self, context: bpy.types.Context) -> Job:
        """The hypothesis itself again."""
        collection = active_collection(context)
        entry = hypotheses.current(collection)
        request = recompute_request(collection, entry, settings())
        return RecomputeJob(request, active_character(context), entry.uid)
