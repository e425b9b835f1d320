"""Live preview without a window: the same core, driven by a plain loop."""

import os
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
import synthetic_person as person

import pamir_blender
from pamir_blender.addon import jobs
from pamir_blender.addon import live as live_module
from pamir_blender.addon.jobs import runner
from pamir_blender.addon.live import PreviewJob, live
from pamir_blender.addon.preferences import get_preferences
from pamir_blender.addon.scene import hypotheses, hypothesis_mesh, ownership, preview_object, record
from pamir_blender.addon.scene.edited_body import read_edited_body


@pytest.fixture
def character(addon, photo, monkeypatch):
    # A superseded preview gets all the time that a busy computer may need to end by itself.
    monkeypatch.setattr(jobs, "YIELD_SECONDS", 3600.0)

    def make(extra=""):
        bpy.context.scene.pamir.photo_path = photo(f"fine {extra}".strip())
        assert bpy.ops.pamir.reconstruct() == {"FINISHED"}
        assert bpy.ops.pamir.live_preview() == {"FINISHED"} and live.on
        return found()

    yield make
    live.stop()


def found():
    return next(c for c in bpy.data.collections if c.get("pamir_character"))


def part(role):
    return ownership.find_object(found()["pamir_character"], role)


def turn(bone="left_elbow", angle=0.7):
    pose_bone = part("armature").pose.bones[bone]
    pose_bone.rotation_mode = "XYZ"
    pose_bone.rotation_euler.x += angle
    bpy.context.view_layer.update()  # what Blender does after each edit; calls the handler


def tick_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        live.tick()
        time.sleep(0.02)


def tick_for(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        live.tick()
        time.sleep(0.02)


def made_for():
    return preview_object.made_for(found()["pamir_character"])


def refreshed():
    """The shown preview is that of the present pose."""
    return made_for() == live._key != ""


def previews():
    return [o for o in bpy.data.objects if o.get("pamir_role") == "preview"]


def shown(obj):
    bpy.context.view_layer.update()
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    return points.reshape(-1, 3)


def expected():
    """Where the preview's points should be for the pose as it is, by skinning that is not the package's."""
    collection = found()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    body = read_edited_body(collection, hypotheses.current(collection), depsgraph).state
    arrays = person.regenerated_arrays(body)
    points = person.skin(
        arrays["clothed_vertices_rest"], arrays["clothed_weights_indices"], arrays["clothed_weights"],
        arrays["joints_rest"], arrays["pose"], arrays["body_offset"],
    )  # fmt: skip
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=-1)


def test_an_edit_is_shown_after_a_pause_in_place_of_the_hypothesis(character, monkeypatch):
    character()
    tick_for(0.5)
    assert not previews() and not live.refreshing  # nothing was edited
    with monkeypatch.context() as patch:
        patch.setattr(live_module, "PAUSE_SECONDS", 3600.0)  # however slow this computer is just now
        turn()
        live.tick()
        assert not live.refreshing  # not before the pause
    tick_until(refreshed)
    (preview,) = previews()
    assert part("clothed").hide_viewport and not preview.hide_viewport
    assert np.abs(shown(preview) - expected()).max() < 1e-4
    colors = np.empty(4 * len(preview.data.vertices), np.float32)
    preview.data.color_attributes[0].data.foreach_get("color_srgb", colors)
    assert colors.reshape(-1, 4)[0, :3] == pytest.approx(np.array([200, 80, 60]) / 255, abs=0.01)


def test_it_replaces_itself_and_never_piles_up(character):
    character()
    turn()
    tick_until(refreshed)
    counts = {kind: len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "materials", "images")}
    for _ in range(3):
        turn("right_knee", 0.2)
        tick_until(refreshed)
    assert {kind: len(getattr(bpy.data, kind)) for kind in counts} == counts
    assert len(previews()) == 1 and np.abs(shown(previews()[0]) - expected()).max() < 1e-4
    assert len(found().pamir.hypotheses) == 1
    left = Path(bpy.app.tempdir, "pamir-previews")
    assert not left.exists() or list(left.iterdir()) == []


def test_it_is_asked_for_low_resolution_and_geometry_only(character):
    character("later-slow")
    bpy.context.window_manager.pamir.live_resolution = "64"
    turn()
    tick_until(lambda: live.refreshing)
    request = runner.job.request
    assert (request.preview, request.resolution, request.optimise) == (True, 64, 0)
    assert request.edited == ("left_elbow",)


def test_sliders_are_previewed_in_their_own_shape(character):
    """Other betas have other joints; the armature still has the hypothesis'."""
    character()
    part("body").data.shape_keys.key_blocks["beta_1"].value += 1.5
    bpy.context.view_layer.update()
    tick_until(refreshed)
    assert np.abs(shown(previews()[0]) - expected()).max() < 1e-4


def test_back_at_the_hypothesis_the_hypothesis_is_shown(character):
    character()
    turn()
    tick_until(refreshed)
    bpy.ops.pamir.reset_pose()
    bpy.context.view_layer.update()
    tick_until(lambda: not previews())
    assert not part("clothed").hide_viewport and not live.refreshing


def test_a_newer_pose_supersedes_the_run_in_flight_and_keeps_the_worker(character):
    character()
    pid = runner._client.pid
    turn()
    tick_until(lambda: live.refreshing)
    first = runner.job
    turn("right_knee", 0.4)
    tick_until(lambda: runner.job is not first or refreshed())
    tick_until(refreshed)
    assert runner._client.pid == pid
    assert np.abs(shown(previews()[0]) - expected()).max() < 1e-4


def test_a_slow_run_is_stopped_for_a_newer_one(character):
    character("later-slow")
    pid = runner._client.pid
    turn()
    tick_until(lambda: live.refreshing)
    first = runner.job
    turn("right_knee", 0.4)
    tick_until(lambda: live.refreshing and runner.job is not first and runner._submitted)
    assert first.error is not None and runner._client.pid == pid and not live.error


def test_regenerate_stops_the_preview_and_takes_its_place(character):
    character()
    turn()
    tick_until(refreshed)
    turn("right_knee", 0.3)
    tick_until(lambda: live.refreshing)
    assert bpy.ops.pamir.regenerate.poll()  # a preview is nobody's reason to wait
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    assert not previews() and len(found().pamir.hypotheses) == 2
    assert not part("clothed").hide_viewport
    tick_for(0.5)
    assert not previews() and not live.refreshing and live.on


def test_regenerate_waits_for_a_worker_that_is_still_stopping(character, gate):
    """The superseded preview ends in its own time; nothing blocks meanwhile."""
    from pamir_blender.addon.preferences import settings
    from pamir_blender.addon.regeneration import RegenerateJob, regenerate_request

    character("later-gated")
    pid = runner._client.pid
    turn()
    tick_until(lambda: live.refreshing and gate.reached)
    job = RegenerateJob(regenerate_request(found(), settings()), found()["pamir_character"])
    runner.start(job, settings())  # returns while the preview cannot end
    for _ in range(5):
        runner.step()
        time.sleep(0.02)
    assert runner.job is job and runner.busy and not runner._submitted
    gate.open()
    deadline = time.monotonic() + 60
    while runner.busy:
        assert time.monotonic() < deadline
        runner.step()
        time.sleep(0.02)
    assert job.error is None and runner._client.pid == pid
    assert len(found().pamir.hypotheses) == 2


def test_switching_off_takes_the_preview_away(character):
    character()
    turn()
    tick_until(refreshed)
    bpy.ops.pamir.live_preview()
    assert not live.on and not previews() and not part("clothed").hide_viewport
    assert len(found().pamir.hypotheses) == 1


def test_switching_off_regenerates_if_the_artist_chose_so(character):
    character()
    bpy.context.window_manager.pamir.live_finish = True
    turn()
    tick_until(refreshed)
    assert bpy.ops.pamir.live_preview() == {"FINISHED"}
    assert [e.edited for e in found().pamir.hypotheses] == ["", "left_elbow"] and not previews()


def test_switching_to_another_hypothesis_takes_the_preview_away(character):
    collection = character()
    bpy.ops.pamir.duplicate_hypothesis()
    turn()
    tick_until(refreshed)
    collection.pamir.active_index = 0
    assert not previews() and not part("clothed").hide_viewport
    tick_for(0.5)
    assert not previews()


def test_refreshes_push_no_undo_steps_and_undo_still_works(character):
    character()
    bpy.ops.ed.undo_push(message="before")
    turn("left_elbow", 0.7)
    bpy.ops.ed.undo_push(message="elbow")
    tick_until(refreshed)
    turn("right_knee", 0.4)
    bpy.ops.ed.undo_push(message="knee")
    tick_until(refreshed)
    bpy.ops.ed.undo()  # one step back: the knee, not a refresh
    bones = part("armature").pose.bones
    assert bones["right_knee"].rotation_mode == "QUATERNION"
    assert bones["left_elbow"].rotation_mode == "XYZ"
    tick_until(refreshed)
    assert len(previews()) == 1 and np.abs(shown(previews()[0]) - expected()).max() < 1e-4
    bpy.ops.ed.undo()
    tick_for(0.5)
    assert not previews() and not part("clothed").hide_viewport
    bpy.ops.ed.redo()
    tick_until(refreshed)
    assert len(previews()) == 1


def test_undo_after_switching_off_brings_no_dead_preview_back(character):
    character()
    turn()
    tick_until(refreshed)
    bpy.ops.ed.undo_push(message="with a preview")
    bpy.ops.pamir.live_preview()
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.ed.undo_push(message="later")
    bpy.ops.ed.undo()
    assert not previews() and not part("clothed").hide_viewport


def test_saved_in_the_middle_it_opens_with_the_hypothesis_shown(character, tmp_path):
    character()
    turn()
    tick_until(refreshed)
    path = str(tmp_path / "during.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert not live.on and not previews() and not part("clothed").hide_viewport


def test_loading_another_file_stops_it(character, tmp_path):
    path = str(tmp_path / "other.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    character("later-slow")
    turn()
    tick_until(lambda: live.refreshing)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert not live.on and runner.job is None and not previews()


def test_unregistering_stops_it_and_ends_the_worker(character):
    character("later-slow")
    turn()
    tick_until(lambda: live.refreshing)
    worker = runner._client._process.popen
    pamir_blender.unregister()
    assert worker.poll() is not None and not live.on
    hooks = bpy.app.handlers.depsgraph_update_post
    assert live_module._after_depsgraph not in hooks
    pamir_blender.register()


def test_a_failing_preview_is_said_once_and_not_tried_for_ever(character):
    character("later-memory")
    turn()
    tick_until(lambda: live.error)
    assert "memory" in live.error and not previews()
    job = runner.job
    tick_for(0.6)
    assert runner.job is job is None
    # The panel's own errors are about what the artist asked for.
    assert bpy.context.window_manager.pamir.error == ""
    assert bpy.ops.pamir.regenerate.poll()


def test_a_killed_worker_is_started_anew_for_the_next_pose(character):
    character("later-slow")
    turn()
    tick_until(lambda: live.refreshing and runner._submitted)
    os.kill(runner._client.pid, 9)
    tick_until(lambda: live.error)
    turn("right_knee")
    tick_until(lambda: live.refreshing and runner._submitted)
    assert not live.error


def test_a_deleted_character_stops_it(character):
    collection = character()
    ownership.remove_character(collection["pamir_character"])
    live.tick()
    assert not live.on


def test_it_keeps_nothing_of_blenders(character):
    character("later-slow")
    turn()
    tick_until(lambda: live.refreshing)
    for holder in (live, runner.job):
        assert not [n for n, v in vars(holder).items() if isinstance(v, bpy.types.bpy_struct)]


def test_with_a_window_a_timer_drives_it_and_goes_with_it(addon, monkeypatch):
    assert live_module._tick_by_timer() is None  # off: Blender drops the timer
    monkeypatch.setattr(live, "character", "abc")
    monkeypatch.setattr(live, "tick", lambda: None)
    assert live_module._tick_by_timer() == live_module.TICK_SECONDS


def test_foreground_jobs_are_not_disturbed(character):
    character("later-slow")
    turn()
    from pamir_blender.addon.preferences import settings
    from pamir_blender.addon.regeneration import RegenerateJob, regenerate_request

    job = RegenerateJob(regenerate_request(found(), settings()), found()["pamir_character"])
    runner.start(job, settings())
    tick_for(0.6)
    assert runner.job is job and not isinstance(runner.job, PreviewJob)
    runner.abandon()
    assert record.state_of(found().pamir.hypotheses[0])
    assert get_preferences().results_folder and hypothesis_mesh.mesh_of(
        found(), found().pamir.hypotheses[0].uid
    )
