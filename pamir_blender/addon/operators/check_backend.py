"""Asking the worker what it can do, before the first photo."""

from __future__ import annotations

import bpy

from ...worker import protocol
from .. import findings
from ..jobs import Job, runner
from ..preferences import settings
from .job_operator import JobOperator


class CheckJob(Job):
    """Asks for the backend's report and keeps it for the preferences page."""

    def on_event(self, event: protocol.Event) -> None:
        """Keep the report."""
        if isinstance(event, protocol.Checked):
            findings.keep(event.report)

    def roll_back(self) -> None:
        """It changes nothing in Blender."""


class PAMIR_OT_check_backend(JobOperator, bpy.types.Operator):
    """Start the worker and show its device, the versions it runs and the models it finds"""

    bl_idname = "pamir.check_backend"
    bl_label = "Check Backend"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only when idle and with a Python for the worker."""
        if runner.busy:
            cls.poll_message_set("A job is running. Wait for it or cancel it")
        elif not settings().worker_python:
            cls.poll_message_set("Choose the worker's Python first")
        else:
            return True
        return False

    def make_job(self, context: bpy.types.Context) -> Job:
        """The question to the worker."""
        findings.forget()
        return CheckJob(protocol.CheckBackend(device=settings().device))

    def report_success(self, job: Job) -> None:
        """The report in one line; the preferences page shows all of it."""
        found = findings.latest()
        bad = [f.text for f in found if not f.good]
        text = "; ".join(bad) if bad else "The backend works: " + "; ".join(f.text for f in found[:3])
        self.report({"WARNING" if bad else "INFO"}, text)
