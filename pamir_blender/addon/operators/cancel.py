"""Stopping the running job."""

from __future__ import annotations

import bpy

from ..jobs import runner


class PAMIR_OT_cancel(bpy.types.Operator):
    """Stop the running job. Nothing of it is kept"""

    bl_idname = "pamir.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while a job runs."""
        if not runner.busy:
            cls.poll_message_set("No job is running")
        return runner.busy

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the worker to stop; the job's own operator ends within a second."""
        runner.cancel()
        return {"FINISHED"}
