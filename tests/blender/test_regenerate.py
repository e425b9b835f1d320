"""Turn a bone, get another person: from Pose Mode to the worker and back, with the made-up backend."""

import json
import time
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import synthetic_person as person
from posing import edited, entries, found, part, points, results, step_until, turn

import pamir_blender
from pamir_blender.addon.jobs import runner
from pamir_blender.addon.operators import job_operator
from pamir_blender.addon.preferences import get_preferences, settings
from pamir_blender.addon.regeneration import RegenerateJob, regenerate_request
from pamir_blender.addon.scene import hypothesis_mesh, ownership, record
from pamir_blender.addon.scene.pose import apply_pose, read_pose
from pamir_blender.addon.scene.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pamir_blender.depth_flip import flip_depth

ELBOW = person.ORDER.index("left_elbow")


def start():
    collection = found()
    job = RegenerateJob(regenerate_request(collection, settings()), collection["pamir_character"])
    runner.start(job, settings())
    return job


def state():
    """What a failed or cancelled job must leave as it was."""
    character = found().pamir
    return (
        sorted(o.name for o in bpy.data.objects),
        sorted(m.name for m in bpy.data.meshes),
        sorted(i.name for i in bpy.data.images),
        [(e.uid, e.name) for e in character.hypotheses],
        character.current,
        read_pose(part("armature")).pose.round(6).tolist(),
        results(),
    )


def test_an_untouched_body_is_sent_to_the_last_bit(character):
    collection = character()
    assert not edited().changed
    stored = record.state_of(entries()[0])
    request = regenerate_request(collection, settings())
    assert request.body == stored and request.edited == () and request.optimise == 0
    bpy.ops.pamir.regenerate()
    first, second = (hypothesis_mesh.mesh_of(collection, e.uid) for e in entries())
    assert np.array_equal(points(first), points(second))


def test_a_turned_forearm_becomes_a_new_hypothesis_that_is_followed(character):
    collection = character()
    before = read_pose(part("armature")).pose
    turn()
    pose = read_pose(part("armature")).pose
    body = edited()
    assert body.turned == body.edited == ("left_elbow",)
    others = [i for i in range(24) if i != ELBOW]
    stored = record.state_of(entries()[0])
    assert [body.state.pose[i] for i in others] == [stored.pose[i] for i in others]
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    assert [e.name for e in entries()] == ["Estimate", "Pose"]
    assert collection.pamir.active_index == 1 and entries()[1].edited == "left_elbow"
    assert read_pose(part("armature")).pose == pytest.approx(pose, abs=1e-4)
    assert np.abs(pose - before).max() > 0.3
    assert not edited().changed
    collection.pamir.active_index = 0
    assert read_pose(part("armature")).pose == pytest.approx(before, abs=1e-4)


def test_what_was_posed_earlier_still_counts_as_posed(character):
    character()
    turn("left_elbow")
    bpy.ops.pamir.regenerate()
    turn("right_knee", 0.4)
    assert edited().turned == ("right_knee",)
    assert edited().edited == ("right_knee", "left_elbow")


def test_optimising_the_rest_holds_what_was_posed(character):
    character()
    turn()
    wanted = read_pose(part("armature")).pose[ELBOW]
    joints = {b.name: b.head_local.copy() for b in part("armature").data.bones}
    assert bpy.ops.pamir.optimise_rest() == {"FINISHED"}
    options = json.loads((results()[-1] / "options.json").read_text())
    assert options["optimise"] == 50 and options["edited"] == ["left_elbow"]
    assert read_pose(part("armature")).pose[ELBOW] == pytest.approx(wanted, abs=1e-4)
    # Its betas differ: the armature's rest joints followed.
    moved = [(b.head_local - joints[b.name]).length for b in part("armature").data.bones]
    assert max(moved) > 1e-3
    assert not edited().changed
    report = record.optimisation_of(entries()[1])
    assert "matches 90.0%, 80.0% before" in record.optimisation_text(report)
    assert "as well as before (90.0%)" in record.optimisation_text({**report, "before": report["after"]})


@pytest.mark.parametrize("size", [0.3, 2.0, 3.1, 3.1415])
def test_round_trip_through_bones_is_exact_and_then_goes_unnoticed(character, size):
    """Armature to theta to armature, in turns of up to a half turn."""
    character()
    rng = np.random.default_rng(int(size * 1000))
    armature = part("armature")
    for _ in range(20):
        pose = rng.normal(size=(24, 3))
        pose *= size / np.linalg.norm(pose, axis=1, keepdims=True)
        apply_pose(armature, pose, np.zeros(3))
        bpy.context.view_layer.update()
        for depsgraph in (None, bpy.context.evaluated_depsgraph_get()):
            once = read_pose(armature, depsgraph).pose
            between = np.swapaxes(axis_angle_to_matrix(pose), 1, 2) @ axis_angle_to_matrix(once)
            assert np.linalg.norm(matrix_to_axis_angle(between), axis=1).max() < 1e-4


def test_a_turn_too_small_to_see_is_none(character):
    character()
    turn(angle=5e-5)
    assert not edited().changed
    turn(angle=1e-3)
    assert edited().turned == ("left_elbow",)


def test_constraints_and_animation_count(character):
    character()
    constraint = part("armature").pose.bones["head"].constraints.new("LIMIT_ROTATION")
    constraint.use_limit_x = constraint.use_limit_y = constraint.use_limit_z = True
    constraint.owner_space = "LOCAL"
    bone = part("armature").pose.bones["left_elbow"]
    bone.rotation_mode = "QUATERNION"
    bone.keyframe_insert("rotation_quaternion", frame=1)
    bone.rotation_quaternion = (0.8, 0.6, 0, 0)
    bone.keyframe_insert("rotation_quaternion", frame=11)
    bpy.context.scene.frame_set(1)
    assert edited().turned == ("head",)
    assert np.abs(edited().state.pose[15]).max() < 1e-4
    bpy.context.scene.frame_set(11)
    assert edited().turned == ("head", "left_elbow")


def test_sliders_and_place_are_sent(character):
    character()
    stored = record.state_of(entries()[0])
    part("body").data.shape_keys.key_blocks["beta_3"].value += 0.25
    body = edited()
    assert body.reshaped and body.turned == () and not body.moved
    assert [b == s for b, s in zip(body.state.betas, stored.betas, strict=True)].count(False) == 1
    assert body.state.betas[3] == pytest.approx(stored.betas[3] + 0.25, abs=1e-6)
    part("armature").pose.bones["pelvis"].location.x += 0.1
    bpy.context.view_layer.update()
    moved = np.array(edited().state.translation) - stored.translation
    assert np.linalg.norm(moved) == pytest.approx(0.1 * person.FRAME_SCALE, abs=1e-6)
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    assert not edited().changed


def test_an_armature_at_rest_is_not_mistaken_for_a_pose(character):
    character()
    part("armature").data.pose_position = "REST"
    for name in ("regenerate", "optimise_rest", "suggest", "flip_depth"):
        with pytest.raises(RuntimeError, match="rest position"):
            getattr(bpy.ops.pamir, name)()


def test_suggestions_are_added_and_the_pose_stays(character):
    collection = character()
    turn("left_elbow")
    pose = read_pose(part("armature")).pose
    assert bpy.ops.pamir.suggest() == {"FINISHED"}
    assert [e.name for e in entries()] == [
        "Estimate", "Right arm behind", "Left leg behind", "Right leg behind",
    ]  # fmt: skip
    assert collection.pamir.active_index == 0 and entries()[1].flipped == "right_arm"
    assert read_pose(part("armature")).pose == pytest.approx(pose, abs=1e-6)
    shown = [hypothesis_mesh.mesh_of(collection, e.uid).hide_viewport for e in entries()]
    assert shown == [False, True, True, True]


def test_no_plausible_flip_says_why(character):
    character()
    for bone in ("left_elbow", "right_elbow", "left_knee", "right_knee"):
        turn(bone, 0.3)
    assert bpy.ops.pamir.suggest() == {"FINISHED"}
    assert len(entries()) == 1


def test_one_damaged_suggestion_takes_all_back(character):
    character(extra="later-second-damaged")
    before = state()[:6]
    with pytest.raises(RuntimeError, match="clothed_vertices_rest"):
        bpy.ops.pamir.suggest()
    assert state()[:6] == before


def test_flip_depth_is_the_mirror_solution(character):
    character()
    before = read_pose(part("armature")).pose
    joints = record.follow_of(entries()[0]).joints_rest
    bpy.ops.pamir.flip_depth(limb="left_arm")
    flipped = read_pose(part("armature")).pose
    assert flipped == pytest.approx(flip_depth(before, joints, "left_arm"), abs=1e-4)
    bpy.context.view_layer.update()
    assert set(edited().turned) <= {"left_shoulder", "left_elbow", "left_wrist", "left_hand"}
    assert edited().changed


def test_yaw_and_pitch_turn_the_root_about_the_pelvis(character):
    collection = character()
    armature = part("armature")
    before, head = read_pose(armature), None
    bpy.context.view_layer.update()
    head = armature.pose.bones["pelvis"].head.copy()
    collection.pamir.yaw = 0.5
    collection.pamir.pitch = -0.2
    bpy.context.view_layer.update()
    after = read_pose(armature)
    yaw, pitch = axis_angle_to_matrix(np.array([[0, 0.5, 0], [-0.2, 0, 0]]))
    expected = yaw @ pitch @ axis_angle_to_matrix(before.pose[:1])[0]
    assert axis_angle_to_matrix(after.pose[:1])[0] == pytest.approx(expected, abs=1e-5)
    assert after.pose[1:] == pytest.approx(before.pose[1:], abs=1e-5)
    assert (armature.pose.bones["pelvis"].head - head).length < 1e-5
    collection.pamir.yaw = collection.pamir.pitch = 0.0
    assert read_pose(armature).pose[0] == pytest.approx(before.pose[0], abs=1e-5)


def test_a_turn_by_hand_and_the_sliders_add_up(character):
    collection = character()
    turn("pelvis", 0.3)
    by_hand = read_pose(part("armature")).pose[:1]
    collection.pamir.yaw = 0.4
    (yaw,) = axis_angle_to_matrix(np.array([[0, 0.4, 0]]))
    now = axis_angle_to_matrix(read_pose(part("armature")).pose[:1])[0]
    assert now == pytest.approx(yaw @ axis_angle_to_matrix(by_hand)[0], abs=1e-5)


def test_reset_goes_back_to_the_hypothesis(character):
    collection = character()
    turn()
    collection.pamir.yaw = 0.3
    part("body").data.shape_keys.key_blocks["beta_0"].value += 1
    part("armature").pose.bones["pelvis"].location.x += 0.1
    bpy.ops.pamir.reset_pose()
    bpy.context.view_layer.update()
    assert not edited().changed and collection.pamir.yaw == 0


def test_one_undo_step_and_redo(character):
    character()
    turn()
    bpy.ops.ed.undo_push(message="turned")
    turned = read_pose(part("armature")).pose
    assert bpy.ops.pamir.regenerate("EXEC_DEFAULT", True) == {"FINISHED"}
    assert len(entries()) == 2
    bpy.ops.ed.undo()
    assert len(entries()) == 1 and read_pose(part("armature")).pose == pytest.approx(turned, abs=1e-5)
    bpy.ops.ed.redo()
    assert len(entries()) == 2 and found().pamir.active_index == 1


def test_cancel_leaves_everything_as_it_was(character):
    character(extra="later-slow")
    turn()
    before = state()
    job = start()
    step_until(lambda: bpy.context.window_manager.pamir.progress > 0.3)
    began = time.monotonic()
    runner.cancel()
    step_until(lambda: not runner.busy)
    assert time.monotonic() - began < 1.0 and job.error is not None
    assert state() == before


@pytest.mark.parametrize("story", ["damaged", "killed", "memory"])
def test_failures_leave_everything_as_it_was(character, story):
    character(extra=f"later-{story}")
    turn()
    before = state()[:6]
    with pytest.raises(RuntimeError):
        bpy.ops.pamir.regenerate()
    assert state()[:6] == before
    assert not any(".partial" in p.name for p in results())
    assert bpy.context.window_manager.pamir.error


def test_deleting_the_character_meanwhile(character):
    collection = character()
    job = start()
    ownership.remove_character(collection["pamir_character"])
    step_until(lambda: not runner.busy)
    assert "deleted" in str(job.error) and not any("pamir_role" in o for o in bpy.data.objects)


def test_undo_in_the_middle(character):
    character()
    bpy.ops.ed.undo_push(message="before")
    turn()
    bpy.ops.ed.undo_push(message="turned")
    job = start()
    bpy.ops.ed.undo()
    step_until(lambda: not runner.busy)
    assert job.error is None and [e.edited for e in entries()] == ["", "left_elbow"]


def test_unregistering_in_the_middle(character):
    character(extra="later-slow")
    objects = {o.name for o in bpy.data.objects}
    start()
    step_until(lambda: bpy.context.window_manager.pamir.progress > 0.3)
    worker = runner._client._process.popen
    pamir_blender.unregister()
    assert worker.poll() is not None and {o.name for o in bpy.data.objects} == objects
    pamir_blender.register()
    assert len(entries()) == 1


def test_loading_another_file_in_the_middle(character, tmp_path):
    character(extra="later-slow")
    path = str(tmp_path / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    start()
    step_until(lambda: bpy.context.window_manager.pamir.progress > 0.3)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert not runner.busy and len(entries()) == 1
    step_until(lambda: not runner._client.busy)
    assert not any(".partial" in p.name for p in results())


def test_nothing_is_imported_while_the_artist_drags(character, monkeypatch):
    character()
    turn()

    class Operator(job_operator.JobOperator):
        def make_job(self, context):
            return RegenerateJob(regenerate_request(found(), settings()), found()["pamir_character"])

        def report(self, *_):
            pass

    operator, dragging = Operator(), True
    monkeypatch.setattr(job_operator, "_dragging", lambda context: dragging)
    assert operator._start(bpy.context)
    event = SimpleNamespace(type="TIMER", value="NOTHING")
    for _ in range(60):
        assert operator.modal(bpy.context, event) == {"PASS_THROUGH"}
        time.sleep(0.02)
    assert len(entries()) == 1
    dragging = False
    while operator.modal(bpy.context, event) == {"PASS_THROUGH"}:
        time.sleep(0.02)
    assert len(entries()) == 2


def test_every_button_says_why_it_is_off(character):
    names = ("regenerate", "optimise_rest", "suggest", "recompute", "flip_depth", "reset_pose",
             "duplicate_hypothesis", "delete_hypothesis", "compare_hypotheses", "solo_hypothesis",
             "relink_photo")  # fmt: skip
    for name in names:
        with pytest.raises(RuntimeError, match="Select a PaMIR character first"):
            getattr(bpy.ops.pamir, name)()
    character(extra="later-slow")
    for name in ("compare_hypotheses", "solo_hypothesis", "delete_hypothesis"):
        with pytest.raises(RuntimeError, match="only"):
            getattr(bpy.ops.pamir, name)()
    start()
    for name in names[:4] + names[5:]:
        with pytest.raises(RuntimeError, match="A job is running"):
            getattr(bpy.ops.pamir, name)()
    runner.abandon()
    get_preferences().worker_python = "/nowhere/python"
    with pytest.raises(RuntimeError, match="There is no Python at"):
        bpy.ops.pamir.regenerate()
