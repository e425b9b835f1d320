"""Setting up the backend from inside Blender, with wheels of a few bytes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "addon"))
from test_panels import drawn
from tiny_wheels import write_bundle, write_wheel

from pamir_blender.addon import panels, preferences
from pamir_blender.addon.backend import managed, places, task
from pamir_blender.addon.backend.bundle import read_bundle
from pamir_blender.addon.backend.unpack import partial_folder
from pamir_blender.addon.jobs import runner
from pamir_blender.addon.operators import copy_report, setup_backend
from pamir_blender.errors import BackendError, Cancelled, DeviceMemoryError
from pamir_blender.worker.client import worker_command


@pytest.fixture
def user(addon, tmp_path, monkeypatch):
    """No backend anywhere, and an empty user folder."""
    folder = tmp_path / "user files"
    preferences.get_preferences().worker_python = ""
    monkeypatch.setattr(places, "package_root", lambda: tmp_path / "nowhere")
    monkeypatch.setattr(places, "bundle_folder", lambda: tmp_path / "zip")
    for module in (preferences, setup_backend):
        monkeypatch.setattr(module, "user_folder", lambda: folder)
    read_bundle.cache_clear()
    task.forget()
    yield folder
    read_bundle.cache_clear()
    task.forget()


@pytest.fixture
def bundle(user, tmp_path, monkeypatch):
    """A zip that carries two wheels; the check imports one in the worker's kind of Python."""

    def check(python, packages, cancelled):
        code = f"import sys; sys.path.insert(0, {str(packages)!r}); import one, two; print(two.y)"
        done = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BackendError(done.stderr)
        return {"device": "cpu", "versions": {"two": done.stdout.strip()}}

    monkeypatch.setattr(setup_backend, "check_backend", check)
    wheels = [
        write_wheel(tmp_path / "zip", "one", {"one/__init__.py": "x = 1"}),
        write_wheel(tmp_path / "zip", "two", {"two.py": "y = 2"}),
    ]
    write_bundle(tmp_path / "zip", wheels)
    return read_bundle(tmp_path / "zip")


def test_the_card_offers_to_unpack_what_the_zip_brought(bundle):
    assert preferences.settings().worker_python == ""
    texts = drawn(panels.PAMIR_PT_photo)
    assert "Unpack Backend" in texts and "Download Backend..." not in texts
    assert "needs 0.0 GB" in " ".join(texts)


def test_unpacking_makes_a_backend_of_blenders_own_python(bundle, user):
    assert bpy.ops.pamir.unpack_backend() == {"FINISHED"}
    now = preferences.settings()
    assert now.worker_python == str(places.blender_python())
    assert now.worker_packages == places.unpacked_folder(user, bundle)
    assert (now.worker_packages / "one" / "__init__.py").is_file()
    assert not any("Backend" in text for text in drawn(panels.PAMIR_PT_photo))
    assert "one" not in sys.modules, "nothing of it reaches Blender"


def test_an_interrupted_unpacking_goes_on(bundle, user, monkeypatch):
    target = places.unpacked_folder(user, bundle)
    mark = partial_folder(target) / "done" / bundle.wheels[0].file
    with monkeypatch.context() as patch:
        patch.setattr(task.SetupTask, "cancelled", lambda self: mark.exists())
        with pytest.raises(RuntimeError, match="kept for the next try"):
            bpy.ops.pamir.unpack_backend()
    assert preferences.settings().worker_python == "" and isinstance(task.latest().error, Cancelled)
    (partial_folder(target) / "packages" / "one" / "__init__.py").write_text("x = 'kept'")
    assert bpy.ops.pamir.unpack_backend() == {"FINISHED"}
    assert (target / "one" / "__init__.py").read_text() == "x = 'kept'"
    assert (target / "two.py").read_text() == "y = 2"


def test_a_damaged_wheel_is_said_in_the_card(bundle, tmp_path):
    (tmp_path / "zip" / bundle.wheels[1].file).write_bytes(b"truncated")
    with pytest.raises(RuntimeError, match="is damaged"):
        bpy.ops.pamir.unpack_backend()
    assert any("damaged" in text for text in drawn(panels.PAMIR_PT_photo))


def test_an_older_versions_unpacked_wheels_go_when_the_new_ones_are_there(bundle, user):
    old = user / "bundled" / "0123456789abcdef"
    old.mkdir(parents=True)
    assert bpy.ops.pamir.unpack_backend() == {"FINISHED"}
    assert [p.name for p in (user / "bundled").iterdir()] == [bundle.digest[:16]]


def test_a_zip_for_another_python_says_so_and_offers_the_download(user, tmp_path):
    write_bundle(tmp_path / "zip", [write_wheel(tmp_path / "zip", "one", {"one.py": ""})], python="3.99")
    texts = " ".join(drawn(panels.PAMIR_PT_photo))
    assert "Python 3.99" in texts and "Download Backend..." in texts
    assert not bpy.ops.pamir.unpack_backend.poll()


def test_without_a_bundle_there_is_nothing_to_unpack(user):
    assert not bpy.ops.pamir.unpack_backend.poll()


def test_no_download_without_online_access(user, monkeypatch):
    monkeypatch.setattr(setup_backend, "online_access", lambda: False)
    assert not bpy.ops.pamir.create_environment.poll()
    monkeypatch.setattr(setup_backend, "online_access", lambda: True)
    assert bpy.ops.pamir.create_environment.poll()


def test_a_download_makes_an_environment(user, tmp_path, monkeypatch):
    index = tmp_path / "index"
    write_wheel(index, "torch", {"torch.py": ""})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setattr(setup_backend, "online_access", lambda: True)
    monkeypatch.setattr(managed, "requirements", lambda: ["torch==1.0"])
    monkeypatch.setitem(managed.CHOICES, "cpu", managed.Choice("Processor", 1, 1))
    monkeypatch.setattr(setup_backend, "check_backend", lambda python, packages, cancelled: {"device": "cpu"})
    assert bpy.ops.pamir.create_environment(backend="cpu") == {"FINISHED"}
    now = preferences.settings()
    assert now.worker_python == str(places.python_of(user / "backend")) and now.worker_packages is None
    code = "import sys, torch; print(sys.prefix)"
    done = subprocess.run([now.worker_python, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == user / "backend"


def test_while_it_is_set_up_the_bar_shows_it_and_everything_else_waits(user):
    def work(setup):
        setup.progress(0.42, "Unpacking torch")
        while not setup.cancelled():
            time.sleep(0.01)
        raise Cancelled("stopped")

    running = task.start(task.SetupTask("Unpacking the backend", work))
    while running.fraction == 0:
        time.sleep(0.01)
    texts = drawn(panels.PAMIR_PT_photo)
    assert {"Unpacking torch", "42%", "Cancel"} <= set(texts)
    assert not bpy.ops.pamir.create_environment.poll()
    assert bpy.ops.pamir.cancel_setup() == {"FINISHED"}
    running.join(5)
    assert task.failure() == "" and not bpy.ops.pamir.cancel_setup.poll()


def test_disabling_the_add_on_stops_the_set_up(user):
    import pamir_blender

    running = task.start(
        task.SetupTask("x", lambda setup: [time.sleep(0.01) for _ in iter(setup.cancelled, True)])
    )
    pamir_blender.unregister()
    assert not running.running


def test_the_worker_sees_its_packages_and_nothing_else(tmp_path):
    """Blender's Python has a NumPy of its own in site-packages; the worker of a bundle must not find it."""
    command = [sys.executable, *worker_command(tmp_path), "--check"]

    def numpy_of_the_worker():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout)["versions"]["numpy"]

    assert numpy_of_the_worker() is None
    info = tmp_path / "numpy-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9\n")
    assert numpy_of_the_worker() == "9.9"


def test_a_full_graphics_memory_offers_the_processor(addon):
    runner.last_error = DeviceMemoryError("The graphics card ran out of memory.")
    bpy.context.window_manager.pamir.error = str(runner.last_error)
    assert "Use the Processor" in drawn(panels.PAMIR_PT_photo)
    assert bpy.ops.pamir.use_processor() == {"FINISHED"}
    assert preferences.settings().device == "cpu"
    assert not any("memory" in text for text in drawn(panels.PAMIR_PT_photo))
    runner.last_error = None


def test_the_report_tells_versions_paths_and_the_last_error(addon, monkeypatch):
    monkeypatch.setenv("HOME", "/home/erika")
    preferences.get_preferences().worker_python = "/home/erika/venv/bin/python"
    bpy.context.window_manager.pamir.error = "Nobody was found in beach.jpg."
    text = copy_report.report_text(bpy.context)
    assert f"Blender: {bpy.app.version_string}" in text and "Nobody was found in beach.jpg." in text
    assert "Worker's Python: ~/venv/bin/python" in text and "erika" not in text
    assert bpy.ops.pamir.copy_report() == {"FINISHED"}


def test_a_chosen_python_that_is_gone_brings_the_card_back(user):
    preferences.get_preferences().worker_python = "/gone/bin/python"
    text = " ".join(drawn(panels.PAMIR_PT_photo))
    assert "There is no Python at /gone/bin/python" in text and "Download Backend..." in text


def test_a_backend_that_fails_can_be_checked_from_the_panel(addon):
    runner.last_error = BackendError("The worker crashed.")
    bpy.context.window_manager.pamir.error = str(runner.last_error)
    texts = drawn(panels.PAMIR_PT_photo)
    assert "Check Backend" in texts and "Copy Report" in texts
    runner.last_error = None
