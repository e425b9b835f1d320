"""The main operator with a made-up backend: success, cancel, crash, missing backend, bad photo.

After each, Blender's data is as it was and the next job works.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from posing import step_until
from reconstructing import ALL_ROLES, reconstruct, roles, start, works_again

from pamir_blender.addon import findings, jobs
from pamir_blender.addon.jobs import runner
from pamir_blender.addon.operators import job_operator
from pamir_blender.addon.preferences import get_preferences, settings
from pamir_blender.addon.reconstruction import build_request
from pamir_blender.errors import Cancelled, RequestError


def test_success_imports_one_selected_character_and_leaves_the_rest_alone(addon, photo):
    before = {o.name for o in bpy.data.objects}
    assert reconstruct(photo("fine")) == {"FINISHED"}
    assert roles() == ALL_ROLES
    assert before <= {o.name for o in bpy.data.objects}
    assert bpy.context.active_object["pamir_role"] == "armature"
    assert [o["pamir_role"] for o in bpy.context.selected_objects] == ["armature"]
    state = bpy.context.window_manager.pamir
    assert not state.running and state.error == ""


def test_options_reach_the_worker(addon, photo, tmp_path):
    options = bpy.context.scene.pamir
    options.photo_path, options.mask_path = photo("fine"), photo("mask")
    options.person, options.resolution, options.seed, options.use_texture = 2, "128", 7, False
    preferences = get_preferences()
    preferences.device, preferences.weights_folder = "cpu", str(tmp_path)
    preferences.body_from = "both"
    request = build_request(options, settings())
    assert (request.person, request.resolution, request.seed, request.texture) == (2, 128, 7, False)
    assert (request.device, request.weights, request.mask) == ("cpu", str(tmp_path), photo("mask"))
    assert request.estimator == "both"
    assert Path(request.out).parent == tmp_path / "results"
    bpy.ops.pamir.reconstruct()
    (written,) = (tmp_path / "results").glob("fine-*/options.txt")
    assert "('resolution', 128)" in written.read_text()


def test_the_body_comes_first_and_the_clothes_follow(addon, photo, gate):
    job = start(photo("gated"))
    step_until(lambda: roles())
    assert roles() == ["armature", "body", "camera"]
    assert bpy.context.window_manager.pamir.running
    gate.open()
    step_until(lambda: not runner.busy)
    assert job.error is None and roles() == ALL_ROLES


def test_progress_is_told(addon, photo):
    start(photo("slow"))
    state = bpy.context.window_manager.pamir
    step_until(lambda: state.progress >= 0.4)
    assert (state.stage, state.message) == ("surface", "Finding the surface")
    runner.abandon()


def test_cancel_takes_the_early_body_back_within_a_second(addon, photo, snapshot):
    before = snapshot()
    job = start(photo("slow"))
    step_until(lambda: roles())
    began = time.monotonic()
    assert bpy.ops.pamir.cancel() == {"FINISHED"}
    step_until(lambda: not runner.busy)
    assert time.monotonic() - began < 1.0
    assert isinstance(job.error, Cancelled)
    bpy.context.scene.pamir.photo_path = ""
    assert snapshot() == before
    assert list(Path(get_preferences().results_folder).iterdir()) == []
    works_again(photo)


def test_cancel_of_a_worker_that_does_not_listen(addon, photo, snapshot):
    before = snapshot()
    start(photo("deaf"))
    step_until(lambda: roles())
    began = time.monotonic()
    runner.cancel()
    step_until(lambda: not runner.busy)
    assert time.monotonic() - began < 1.5
    assert snapshot() == before
    # What the killed worker left behind is swept away.
    assert list(Path(get_preferences().results_folder).iterdir()) == []
    works_again(photo)


def test_cancel_while_the_operator_blocks(addon, photo, snapshot, monkeypatch):
    before = snapshot()

    def sleep(seconds):
        if roles():
            runner.cancel()
        time.sleep(seconds)

    monkeypatch.setattr(job_operator, "time", SimpleNamespace(sleep=sleep))
    assert reconstruct(photo("slow")) == {"CANCELLED"}
    monkeypatch.undo()
    assert snapshot() == before
    works_again(photo)


def test_worker_killed_in_the_middle_of_a_job(addon, photo, snapshot):
    before = snapshot()
    with pytest.raises(RuntimeError, match="worker"):
        reconstruct(photo("killed"))
    assert snapshot() == before
    state = bpy.context.window_manager.pamir
    assert "ended with code 9" in state.error and Path(state.log).is_file()
    works_again(photo)
    assert state.error == ""


def test_worker_killed_from_outside(addon, photo, snapshot):
    before = snapshot()
    job = start(photo("slow"))
    step_until(lambda: roles())
    runner._client._process.popen.kill()
    step_until(lambda: not runner.busy)
    assert job.error is not None and snapshot() == before
    works_again(photo)


def test_out_of_memory_says_what_to_do(addon, photo, snapshot):
    before = snapshot()
    with pytest.raises(RuntimeError, match=r"(?i)resolution"):
        reconstruct(photo("memory"))
    assert snapshot() == before
    works_again(photo)


def test_backend_missing(addon, photo, snapshot, tmp_path):
    get_preferences().worker_python = str(tmp_path / "no" / "python")
    before = snapshot()
    with pytest.raises(RuntimeError, match="There is no Python at"):
        reconstruct(photo("fine"))
    assert snapshot() == before
    assert "There is no Python at" in bpy.context.window_manager.pamir.error
    get_preferences().worker_python = sys.executable
    works_again(photo)


def test_backend_that_is_no_worker(addon, photo, snapshot, tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("import a_package_nobody_has")
    runner.arguments = [str(script)]
    before = snapshot()
    with pytest.raises(RuntimeError, match="a_package_nobody_has"):
        reconstruct(photo("fine"))
    assert snapshot() == before


def test_a_photo_without_a_person(addon, photo, snapshot):
    before = snapshot()
    with pytest.raises(RuntimeError, match="Nobody was found"):
        reconstruct(photo("nobody"))
    assert snapshot() == before
    works_again(photo)


def test_a_photo_that_does_not_exist(addon, photo, snapshot):
    before = snapshot()
    with pytest.raises(RuntimeError, match="does not exist"):
        reconstruct("/nowhere/x.png")
    assert snapshot() == before
    works_again(photo)


def test_a_damaged_result_takes_the_early_body_back(addon, photo, snapshot):
    before = snapshot()
    with pytest.raises(RuntimeError, match="clothed_vertices_rest"):
        reconstruct(photo("damaged"))
    assert snapshot() == before
    works_again(photo)


def test_a_bug_in_the_import_is_contained(addon, photo, snapshot, monkeypatch, capsys):
    from pamir_blender.addon.scene import import_result

    def broken(*_):
        raise ZeroDivisionError("a bug")

    before = snapshot()
    monkeypatch.setattr(import_result, "create_camera", broken)
    with pytest.raises(RuntimeError, match="Unexpected ZeroDivisionError"):
        reconstruct(photo("fine"))
    assert "a bug" in capsys.readouterr().err
    monkeypatch.undo()
    assert snapshot() == before
    works_again(photo)


def test_the_worker_stays_warm(addon, photo):
    reconstruct(photo("fine"))
    first = runner._client.pid
    reconstruct(photo("fine"))
    assert runner._client.pid == first


def test_every_disabled_button_says_why(addon, photo):
    operators = bpy.ops.pamir
    assert not operators.reconstruct.poll() and not operators.cancel.poll()
    for name in ("reconstruct", "cancel", "view_photo", "export_glb", "open_result_folder", "toggle_part"):
        with pytest.raises(RuntimeError, match=r"poll\(\) (?!failed, context is incorrect)\w+ \w+"):
            getattr(operators, name)()
    bpy.context.scene.pamir.photo_path = photo("slow")
    assert operators.reconstruct.poll()
    start(photo("slow"))
    with pytest.raises(RuntimeError, match="A job is running"):
        operators.reconstruct()
    with pytest.raises(RuntimeError, match="A job is running"):
        operators.check_backend()
    assert operators.cancel.poll()
    with pytest.raises(RequestError, match="running already"):
        start(photo("fine"))
    runner.abandon()


def test_check_backend_finds_and_names_what_is_missing(addon, photo):
    assert bpy.ops.pamir.check_backend() == {"FINISHED"}
    texts = {f.text: f.good for f in findings.latest()}
    assert texts["Device: processor (made up)"]
    assert texts["torch 2.13.0"]
    assert texts["skimage is missing in the worker's Python"] is False
    assert texts["geometry: found, abc"]
    assert texts["texture: missing (t)"] is False
    works_again(photo)


def test_check_backend_without_a_python(addon):
    get_preferences().worker_python = "/nowhere/python"
    with pytest.raises(RuntimeError, match="There is no Python at"):
        bpy.ops.pamir.check_backend()
    assert findings.latest() == []


def test_command_line_reconstructs_by_the_worker(addon, photo, tmp_path, capfd):
    from pamir_blender.addon import command

    out = tmp_path / "by command"
    assert command.run(["reconstruct", photo("fine"), "--out", str(out), "--resolution", "128"]) == 0
    assert (out / "result.json").is_file() and str(out) in capfd.readouterr().out
    assert command.run(["reconstruct", photo("nobody"), "--out", str(tmp_path / "none")]) == 2
    assert "Nobody was found" in capfd.readouterr().err
    assert not (tmp_path / "none").exists()
    assert roles() == []


def test_the_runner_never_keeps_blenders_own_objects(addon, photo):
    """Undo or another file would leave them dangling."""
    job = start(photo("slow"))
    step_until(lambda: roles())
    for holder in (job, runner):
        for name, value in vars(holder).items():
            assert not isinstance(value, bpy.types.bpy_struct), name
    runner.abandon()


def test_state_survives_jobs_module_being_asked_when_idle(addon):
    runner.step()
    runner.cancel()
    runner.abandon()
    assert not jobs.runner.busy
