"""The main operator as Blender drives it with a window: timer, Escape, being taken away."""

import time
from types import SimpleNamespace

import bpy
import pytest
from posing import step_until
from reconstructing import ALL_ROLES, roles, works_again

from pamir_blender.addon.jobs import runner
from pamir_blender.addon.operators import job_operator
from pamir_blender.addon.preferences import get_preferences, settings
from pamir_blender.addon.reconstruction import ReconstructionJob


class ModalOperator(job_operator.JobOperator):
    """The operator as Blender drives it with a window, which the module has none of."""

    def __init__(self):
        self.reports = []

    def make_job(self, context):
        return ReconstructionJob(context.scene, settings())

    def report_success(self, job):
        self.reports.append("done")

    def report(self, kind, text):
        self.reports.append(text)


def _event(kind, value="NOTHING"):
    return SimpleNamespace(type=kind, value=value)


def _drive(operator, *, escape_when=lambda: False):
    for _ in range(400):
        if escape_when():
            assert operator.modal(bpy.context, _event("ESC", "PRESS")) == {"RUNNING_MODAL"}
        assert operator.modal(bpy.context, _event("MOUSEMOVE")) == {"PASS_THROUGH"}
        ending = operator.modal(bpy.context, _event("TIMER"))
        if ending != {"PASS_THROUGH"}:
            return ending
        time.sleep(0.02)
    raise AssertionError("never ended")


def test_modal_steps_to_success(addon, photo):
    bpy.context.scene.pamir.photo_path = photo("fine")
    operator = ModalOperator()
    assert operator._start(bpy.context)
    assert _drive(operator) == {"FINISHED"}
    assert operator.reports == ["done"] and roles() == ALL_ROLES


def test_modal_escape_cancels(addon, photo, snapshot):
    bpy.context.scene.pamir.photo_path = photo("slow")
    before = snapshot()
    operator = ModalOperator()
    operator._start(bpy.context)
    assert _drive(operator, escape_when=lambda: bool(roles())) == {"CANCELLED"}
    assert snapshot() == before
    assert operator.reports == ["Cancelled. Nothing was changed."]


def test_modal_taken_away_by_blender(addon, photo, snapshot):
    bpy.context.scene.pamir.photo_path = photo("slow")
    before = snapshot()
    operator = ModalOperator()
    operator._start(bpy.context)
    step_until(lambda: roles())
    operator.cancel(bpy.context)
    assert snapshot() == before and not runner.busy
    # A new job started at once must not be hit by the old one's ending.
    works_again(photo)


class WindowContext:
    """What an operator sees in a context with a window, as far as it starts timers and draws."""

    def __init__(self):
        self.scene, self.window = bpy.context.scene, "window"
        self.timers, self.handlers, self.windows = [], [], []
        self.window_manager, self.pamir = self, bpy.context.window_manager.pamir

    def event_timer_add(self, step, *, window):
        self.timers.append(step)
        return step

    def event_timer_remove(self, timer):
        self.timers.remove(timer)

    def modal_handler_add(self, operator):
        self.handlers.append(operator)


@pytest.mark.parametrize("ending", ["done", "taken away", "never started"])
def test_with_a_window_the_timer_goes_with_the_job(addon, photo, monkeypatch, ending):
    monkeypatch.setattr(job_operator, "bpy", SimpleNamespace(app=SimpleNamespace(background=False)))
    story = {"done": "fine", "taken away": "slow", "never started": "fine"}[ending]
    bpy.context.scene.pamir.photo_path = photo(story)
    if ending == "never started":
        get_preferences().worker_python = "/nowhere/python"
    context, operator = WindowContext(), ModalOperator()
    started = operator.invoke(context, _event("LEFTMOUSE", "PRESS"))
    if ending == "never started":
        assert started == {"CANCELLED"} and not context.handlers and not context.timers
        assert "no Python at" in operator.reports[0]
        return
    assert started == {"RUNNING_MODAL"} and context.handlers == [operator] and context.timers == [0.1]
    if ending == "done":
        while operator.modal(context, _event("TIMER")) == {"PASS_THROUGH"}:
            time.sleep(0.05)
        assert operator.reports == ["done"]
    else:
        operator.cancel(context)
    assert context.timers == [] and not runner.busy
