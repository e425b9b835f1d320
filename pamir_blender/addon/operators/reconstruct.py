"""The big button: a photo becomes a rigged, clothed character."""

from __future__ import annotations

import bpy

from ..jobs import Job, runner
from ..preferences import settings
from ..reconstruction import ReconstructionJob
from .job_operator import JobOperator


class PAMIR_OT_reconstruct(JobOperator, bpy.types.Operator):
    """Make a rigged, textured, clothed person from the chosen photo. Esc cancels"""

    bl_idname = "pamir.reconstruct"
    bl_label = "Reconstruct from Image"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only when idle, with a photo and with a Python for the worker."""
        if runner.busy:
            cls.poll_message_set("A job is running. Wait for it or cancel it")
        elif not context.scene.pamir.photo_path:
            cls.poll_message_set("Choose a photo first")
        elif not settings().worker_python:
            cls.poll_message_set("Set up the backend first: the panel offers the ways")
        else:
            return True
        return False

    def make_job(self, context: bpy.types.Context) -> Job:
        """The reconstruction of the scene's photo."""
        return ReconstructionJob(context.scene, settings())

    def report_success(self, job: ReconstructionJob) -> None:
        """One line, and the photo's warnings if there are any."""
        if job.warnings:
            self.report({"WARNING"}, "Reconstructed, with doubts: " + " ".join(job.warnings))
        else:
            self.report({"INFO"}, "Reconstructed. The character is in a collection of its own.")
