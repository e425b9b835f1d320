"""What can befall a job from outside while Blender runs it: killed, hung, deleted, full, locked, shared.

After each the message says what to do, Blender's data is as it was, and the next job works.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import private_mount
from private_mount import needs_mounts
from test_reconstruct import ALL_ROLES, reconstruct, roles, start, step_until, works_again

from pamir_blender.addon import reconstruction
from pamir_blender.addon.jobs import runner
from pamir_blender.addon.preferences import get_preferences
from pamir_blender.errors import BackendError, Cancelled

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).with_name("fake_backend.py")
posix = pytest.mark.skipif(os.name != "posix", reason="signals and scripts of POSIX systems")


REGISTER = """
import subprocess
import sys
from pathlib import Path
root, fake, results, *photos = sys.argv[1:]
sys.path.insert(0, root)
import bpy
import pamir_blender
from pamir_blender.addon import preferences
from pamir_blender.addon.jobs import runner
pamir_blender.register()
preferences.get_preferences().worker_python = sys.executable
preferences.get_preferences().results_folder = results
runner.arguments = [fake]
def reconstruct(photo):
    bpy.context.scene.pamir.photo_path = photo
    return bpy.ops.pamir.reconstruct()
"""

END = """
runner.shutdown()
sys.stdout.flush()
__import__("os")._exit(0)  # Blender as a module may hang when the interpreter ends
"""


def results():
    return list(Path(get_preferences().results_folder).iterdir())


def without_a_look_at_the_worker(gate):
    """Wait until it has told of the body and holds at the gate; Blender hears of nothing yet."""
    while not gate.reached:
        assert runner._client.running
        time.sleep(0.01)


# --- the worker -----------------------------------------------------------------------------------------


@posix
def test_worker_killed_while_the_early_body_is_imported(addon, photo, snapshot, monkeypatch):
    before = snapshot()
    original = reconstruction.import_early_body

    def killed_in_between(*arguments):
        worker = runner._client._process.popen
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        original(*arguments)

    monkeypatch.setattr(reconstruction, "import_early_body", killed_in_between)
    with pytest.raises(RuntimeError, match="The system ended the worker, most likely out of memory"):
        reconstruct(photo("gated"))
    monkeypatch.undo()
    assert snapshot() == before and results() == []
    works_again(photo)


@posix
def test_worker_killed_before_the_early_body_is_read(addon, photo, snapshot, gate):
    """Blender was busy: it hears of the body and of the worker's end at once."""
    before = snapshot()
    job = start(photo("gated"))
    without_a_look_at_the_worker(gate)
    worker = runner._client._process
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(20)
    step_until(lambda: not runner.busy)
    assert "ended the worker" in str(job.error)
    assert snapshot() == before and results() == []
    works_again(photo)


@posix
def test_a_worker_that_hangs_is_ended_and_the_next_job_works(addon, photo, snapshot):
    before = snapshot()
    job = start(photo("gated"))
    step_until(lambda: roles())
    runner._client._silence_seconds = 0.5
    os.kill(runner._client.pid, signal.SIGSTOP)
    step_until(lambda: not runner.busy)
    assert "no sign of life" in bpy.context.window_manager.pamir.error
    assert isinstance(job.error, BackendError) and snapshot() == before and results() == []
    runner._client._silence_seconds = 60.0
    works_again(photo)


@posix
def test_a_worker_that_hangs_can_be_cancelled(addon, photo, snapshot):
    before = snapshot()
    job = start(photo("gated"))
    step_until(lambda: roles())
    os.kill(runner._client.pid, signal.SIGSTOP)
    runner.cancel()
    step_until(lambda: not runner.busy)
    assert isinstance(job.error, Cancelled) and snapshot() == before and results() == []
    works_again(photo)


@posix
@pytest.mark.parametrize("when", ["between two jobs", "during a job"])
def test_backend_folder_deleted(addon, photo, gate, snapshot, tmp_path, when):
    """A job that runs has all it needs; the next one is told what is missing, and its return is enough."""
    python = tmp_path / "backend" / "bin" / "python"

    def put_back():
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)

    put_back()
    get_preferences().worker_python = str(python)
    job = start(photo("gated"))
    step_until(lambda: roles())
    if when == "during a job":
        shutil.rmtree(tmp_path / "backend")
    gate.open()
    step_until(lambda: not runner.busy)
    assert job.error is None and roles() == ALL_ROLES
    shutil.rmtree(tmp_path / "backend", ignore_errors=True)
    path = photo("fine")
    bpy.context.scene.pamir.photo_path = path
    before = snapshot()
    with pytest.raises(RuntimeError, match=r"There is no Python at .*backend.bin.python"):
        reconstruct(path)
    assert snapshot() == before
    put_back()
    assert reconstruct(path) == {"FINISHED"} and roles() == sorted(ALL_ROLES * 2)


# --- files that go, disks that are full -----------------------------------------------------------------


@pytest.mark.parametrize("when", ["before the body is shown", "after the body is shown"])
def test_photo_deleted_during_its_job(addon, photo, gate, when):
    """It was read whole at the beginning: the character comes, and the artist is told."""
    path = Path(photo("gated"))
    job = start(str(path))
    without_a_look_at_the_worker(gate)
    if when == "after the body is shown":
        step_until(lambda: roles())
    path.unlink()
    gate.open()
    step_until(lambda: not runner.busy)
    assert job.error is None and roles() == ALL_ROLES
    assert any("gated.png was deleted or moved meanwhile" in warning for warning in job.warnings)
    with pytest.raises(RuntimeError, match=r"gated\.png does not exist\. Choose another one"):
        reconstruct(str(path))
    assert reconstruct(photo("fine")) == {"FINISHED"} and roles() == sorted(ALL_ROLES * 2)


@needs_mounts
@pytest.mark.parametrize("disk", ["full", "read-only"])
def test_results_folder_that_cannot_be_written(addon, photo, snapshot, tmp_path, disk):
    """The worker's view of the disk is a real one of 64 kB, or a locked one."""
    folder = tmp_path / "results"
    folder.mkdir()
    mounts = {"tiny": [folder], "size": "64k"} if disk == "full" else {"read_only": [folder]}
    python = private_mount.shell_wrapper(tmp_path / "python", sys.executable, **mounts)
    get_preferences().worker_python = str(python)
    before = snapshot()
    says = {"full": r"disk of .*results.* is full\. Make room", "read-only": r"Cannot write to .*results"}
    with pytest.raises(RuntimeError, match=says[disk]):
        reconstruct(photo("fine"))
    assert snapshot() == before and results() == []
    get_preferences().worker_python = sys.executable
    works_again(photo)


def test_results_folder_that_is_a_file(addon, photo, snapshot, tmp_path):
    before = snapshot()
    (tmp_path / "results").write_text("mine")
    with pytest.raises(RuntimeError, match=r"results folder .* cannot be made .*Choose another"):
        reconstruct(photo("fine"))
    assert snapshot() == before and (tmp_path / "results").read_text() == "mine"
    (tmp_path / "results").unlink()
    works_again(photo)


LOCKED = """
before = sorted(o.name for o in bpy.data.objects)
for folder in ("", results):
    preferences.get_preferences().results_folder = folder
    try:
        reconstruct(photos[0])
    except RuntimeError as error:
        print("got", str(error).strip())
    print("got", before == sorted(o.name for o in bpy.data.objects), preferences.user_folder().exists())
subprocess.run(["mount", "-o", "remount,bind,rw", photos[1]], check=True)
print("got", reconstruct(photos[0]))
print("got", len(list((preferences.user_folder() / "logs").iterdir())))
"""


@needs_mounts
def test_user_folder_that_cannot_be_written(photo, tmp_path):
    """Neither results nor the worker's log have a place; each is said, and nothing else happens."""
    user = tmp_path / "user"
    user.mkdir()
    done = private_mount.run(
        REGISTER + LOCKED + END, ROOT, FAKE, tmp_path / "results", photo("fine"), user,
        read_only=[user], env={**os.environ, "BLENDER_USER_RESOURCES": str(user)},
    )  # fmt: skip
    told = [line.removeprefix("got ") for line in done.stdout.splitlines() if line.startswith("got ")]
    assert len(told) == 6, done.stdout + done.stderr
    assert told[0].startswith(f"Error: The results folder {user}") and "Choose another" in told[0]
    assert told[2].startswith(f"Error: The worker's log folder {user}") and "make it writable" in told[2]
    assert told[1] == told[3] == "True False" and told[4:] == ["{'FINISHED'}", "1"]


# --- two Blenders, odd places ---------------------------------------------------------------------------

ANOTHER = """
for photo in photos:
    print(reconstruct(photo))
"""


def blender(script, *arguments, **options):
    """Another Blender, running ``script``; it has this one's user files unless the environment says other."""
    command = [sys.executable, "-c", REGISTER + script + END, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120, **options
    )


def test_two_blenders_share_a_results_folder(addon, photo, gate):
    """The other one comes, sweeps, works and goes while a job of this one is half done."""
    job = start(photo("gated"))
    step_until(lambda: roles() and gate.reached)
    path = photo("fine")
    done = blender(ANOTHER, ROOT, FAKE, get_preferences().results_folder, path, path)
    assert done.stdout.count("{'FINISHED'}") == 2, done.stdout + done.stderr
    gate.open()
    step_until(lambda: not runner.busy)
    assert job.error is None and roles() == ALL_ROLES
    assert sorted(p.name.split("-")[0] for p in results()) == ["fine", "fine", "gated"]


ODD = """
print("got", reconstruct(photos[0]), bpy.ops.pamir.regenerate())
print("got", bpy.ops.pamir.export_glb(filepath=results + "/Für Unity.glb"))
blend = results + "/Datei ñ.blend"
bpy.ops.wm.save_as_mainfile(filepath=blend)
bpy.ops.wm.open_mainfile(filepath=blend)
(shown,) = bpy.data.objects["fine Фото ñ camera"].data.background_images
user = preferences.user_folder()
print("got", Path(results, "Für Unity.glb").is_file(), Path(bpy.path.abspath(shown.image.filepath)).is_file())
print("got", user.is_relative_to(root), len(list((user / "logs").iterdir())))
"""


def test_no_path_is_plain_ascii(photo, tmp_path):
    """Photo, home, temporary, results, user and add-on folder: spaces and letters from everywhere."""
    odd = tmp_path / "Künstlerin 人物 'add on' 🙂 %20"
    fake = odd / "tests" / "blender" / "fake_backend.py"
    fake.parent.mkdir(parents=True)
    for name in ("fake_backend.py", "synthetic_person.py"):
        shutil.copy(Path(__file__).with_name(name), fake.parent)
    package = Path(reconstruction.__file__).resolve().parents[1]
    shutil.copytree(package, odd / "pamir_blender", ignore=shutil.ignore_patterns("__pycache__", "training"))
    home, folder, user = odd / "zu Hause", odd / "résultats", odd / "Benutzer ß"
    for place in (home, user):
        place.mkdir()
    path = shutil.move(photo("fine"), odd / "fine Фото ñ.png")
    environment = {
        **os.environ, "HOME": str(home), "USERPROFILE": str(home), "TMPDIR": str(home),
        "BLENDER_USER_RESOURCES": str(user), "LC_ALL": "C", "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip
    done = blender(ODD, odd, fake, folder, path, env=environment)
    told = [line for line in done.stdout.splitlines() if line.startswith("got ")]
    finished = "{'FINISHED'}"
    wanted = [f"got {finished} {finished}", f"got {finished}", "got True True", "got True 1"]
    assert told == wanted, done.stdout + done.stderr
