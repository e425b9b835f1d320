"""One text for a report, on the clipboard."""

from __future__ import annotations

import sys

import bpy

from ... import __version__
from .. import findings
from ..backend import managed, report, task
from ..preferences import settings


def report_text(context: bpy.types.Context) -> str:
    """What somebody who helps wants to know; the home folder is written as ``~``."""
    now, state = settings(), context.window_manager.pamir
    facts = {
        "PaMIR": __version__,
        "Blender": f"{bpy.app.version_string} ({'background' if bpy.app.background else 'window'})",
        "Blender's Python": f"{sys.version.split()[0]}, {sys.executable}",
        "Worker's Python": now.worker_python,
        "Worker's packages": now.worker_packages,
        "Device": now.device,
        "NVIDIA driver": "seen" if managed.nvidia_driver() else "not seen",
        "Networks": now.size,
        "Weights folder": now.weights_folder or "comes with the add-on",
        "Body from": now.body_from,
        "Body model": "the user's own" if now.body_model else "open body",
        "Results folder": now.results_folder,
        "Online access": "allowed" if bpy.app.online_access else "not allowed",
    }
    lines = [("" if f.good else "! ") + f.text for f in findings.latest()]
    return report.compose(facts, lines, state.error or task.failure(), state.log)


class PAMIR_OT_copy_report(bpy.types.Operator):
    """Copy versions, device, paths and the last error as one text. Nothing is sent anywhere"""

    bl_idname = "pamir.copy_report"
    bl_label = "Copy Report"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Always."""
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Fill the clipboard."""
        context.window_manager.clipboard = report_text(context)
        self.report({"INFO"}, "The report is on the clipboard.")
        return {"FINISHED"}
