"""Running a worker's job from an operator: by a timer with a window, by waiting without one."""

from __future__ import annotations

import time

import bpy

from ...errors import Cancelled, PamirError
from ..jobs import Job, runner
from ..preferences import settings

POLL_SECONDS = 0.1


class JobOperator:
    """Mixin for operators that run one job; a subclass makes the job and says how it ended."""

    _timer: bpy.types.Timer | None = None
    _job: Job

    def make_job(self, context: bpy.types.Context) -> Job:
        """The job to run. May raise :class:`PamirError`."""
        raise NotImplementedError

    def report_success(self, job: Job) -> None:
        """Tell the artist that the job ended well."""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Start the job and come back to it ten times a second; in background mode, wait for it."""
        if bpy.app.background:
            return self.execute(context)
        if not self._start(context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(POLL_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        _redraw(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """One look at the worker; Esc cancels, everything else goes on to Blender."""
        if event.type == "ESC" and event.value == "PRESS" and runner.job is self._job:
            runner.cancel()
            _redraw(context)
            return {"RUNNING_MODAL"}
        if event.type != "TIMER" or _dragging(context):
            return {"PASS_THROUGH"}
        if runner.job is self._job:
            runner.step()
            _redraw(context)
        if runner.job is self._job:
            return {"PASS_THROUGH"}
        self._remove_timer(context)
        return self._end()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the job and wait for its end."""
        if not self._start(context):
            return {"CANCELLED"}
        try:
            while runner.job is self._job:
                runner.step()
                time.sleep(POLL_SECONDS / 2)
        except KeyboardInterrupt:
            runner.abandon()
            raise
        return self._end()

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender takes the operator away (its window closes, another file loads): stop the job now."""
        if runner.job is self._job:
            runner.abandon()
        self._remove_timer(context)

    def _start(self, context: bpy.types.Context) -> bool:
        try:
            self._job = self.make_job(context)
            runner.start(self._job, settings())
        except PamirError as error:
            context.window_manager.pamir.error = str(error)
            self.report({"ERROR"}, str(error))
            return False
        return True

    def _end(self) -> set[str]:
        error = self._job.error
        if error is None:
            self.report_success(self._job)
            return {"FINISHED"}
        if isinstance(error, Cancelled):
            self.report({"INFO"}, "Cancelled. Nothing was changed.")
        else:
            self.report({"ERROR"}, str(error))
        return {"CANCELLED"}

    def _remove_timer(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None


def _dragging(context: bpy.types.Context) -> bool:
    """Whether the artist is moving something right now: what that holds on to must not change under it."""
    return any(
        operator.bl_idname.startswith("TRANSFORM_OT_")
        for window in context.window_manager.windows
        for operator in window.modal_operators
    )


def _redraw(context: bpy.types.Context) -> None:
    """Redraw the panels that show progress: the 3D views' sidebars and the preferences."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "PREFERENCES"}:
                area.tag_redraw()
