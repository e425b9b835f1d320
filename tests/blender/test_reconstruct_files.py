"""What else an artist does while a job runs: undo, other files, switching the add-on off."""

import bpy
from posing import step_until
from reconstructing import ALL_ROLES, roles, start, works_again

import pamir_blender
from pamir_blender.addon.jobs import runner


def test_loading_another_file_abandons_the_job(addon, photo, tmp_path):
    saved = str(tmp_path / "other.blend")
    bpy.ops.wm.save_as_mainfile(filepath=saved)
    start(photo("slow"))
    step_until(lambda: roles())
    bpy.ops.wm.open_mainfile(filepath=saved)
    assert not runner.busy and roles() == []
    state = bpy.context.window_manager.pamir
    assert not state.running and state.message == ""
    works_again(photo)


def test_a_file_saved_during_a_job_opens_without_a_running_job(addon, photo, tmp_path):
    start(photo("slow"))
    step_until(lambda: roles())
    saved = str(tmp_path / "during.blend")
    bpy.ops.wm.save_as_mainfile(filepath=saved)
    runner.abandon()
    bpy.ops.wm.open_mainfile(filepath=saved)
    assert not bpy.context.window_manager.pamir.running and not runner.busy


def test_unregistering_in_the_middle_of_a_job(addon, photo, snapshot):
    before = snapshot()
    start(photo("slow"))
    step_until(lambda: roles())
    worker = runner._client._process.popen
    pamir_blender.unregister()
    assert worker.poll() is not None
    after = snapshot()
    assert after == before and not runner.busy
    pamir_blender.register()
    works_again(photo)


def test_undo_in_the_middle_of_a_job(addon, photo, gate):
    """The artist's undo takes the early body away: nothing crashes, and the result still comes whole."""
    bpy.context.scene.pamir.photo_path = photo("gated")
    bpy.ops.ed.undo_push(message="before")
    job = start(photo("gated"))
    step_until(lambda: roles())
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.ed.undo_push(message="the artist's own step")
    bpy.ops.ed.undo()
    assert roles() == [] and runner.busy
    gate.open()
    step_until(lambda: not runner.busy)
    assert job.error is None and roles() == ALL_ROLES


def test_cancel_after_an_undo(addon, photo):
    bpy.ops.ed.undo_push(message="before")
    objects = {o.name for o in bpy.data.objects}
    start(photo("slow"))
    step_until(lambda: roles())
    bpy.ops.ed.undo_push(message="the artist's own step")
    bpy.ops.ed.undo()
    runner.cancel()
    step_until(lambda: not runner.busy)
    assert {o.name for o in bpy.data.objects} == objects
    works_again(photo)


def test_one_undo_step(addon, photo):
    bpy.context.scene.pamir.photo_path = photo("fine")
    bpy.ops.ed.undo_push(message="before")
    objects = {o.name for o in bpy.data.objects}
    assert bpy.ops.pamir.reconstruct("EXEC_DEFAULT", True) == {"FINISHED"}
    assert roles() == ALL_ROLES
    bpy.ops.ed.undo()
    assert {o.name for o in bpy.data.objects} == objects
    assert not any(c.name.startswith("PaMIR") for c in bpy.data.collections)
    bpy.ops.ed.redo()
    assert roles() == ALL_ROLES
