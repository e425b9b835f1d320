"""Unpacking the backend on disks that are full or locked, beside another Blender, and after being killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import private_mount
import pytest
from private_mount import needs_mounts
from tiny_wheels import write_bundle, write_wheel

from pamir_blender.addon.backend.bundle import read_bundle
from pamir_blender.addon.backend.unpack import partial_folder, remove_others, unpack
from pamir_blender.errors import BackendError

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")


@pytest.fixture
def bundle(tmp_path):
    """Two wheels; the second one holds half a megabyte."""
    folder = tmp_path / "zip"
    one = write_wheel(folder, "one", {"one/__init__.py": "x = 1"})
    two = write_wheel(folder, "two", {"two/__init__.py": "y = 2", "two/data": "0" * 500_000})
    write_bundle(folder, [one, two])
    return read_bundle(folder)


def unpack_here(bundle, target, **options):
    return unpack(bundle, target, lambda *_: None, lambda: False, **options)


UNPACK = """
import sys
from pathlib import Path
root, zips, disk, story = sys.argv[1:]
sys.path.insert(0, root)
from pamir_blender.addon.backend import unpack as unpacking
from pamir_blender.addon.backend.bundle import read_bundle
from pamir_blender.errors import BackendError

disk = Path(disk)
target, ballast = disk / "user" / "bundled" / "packages", disk / "ballast"
first = unpacking.partial_folder(target) / "packages" / "one" / "__init__.py"

def fill(fraction, text):
    if story == "fills" and text == "Unpacking two" and not ballast.exists():
        first.write_text("x = 'kept'")
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)):
                    pass
            except OSError:
                pass

def go():
    try:
        unpacking.unpack(read_bundle(Path(zips)), target, fill, lambda: False)
    except BackendError as error:
        print(error)
    print(target.exists())

if story != "small":
    unpacking.SPARE_BYTES = 0  # the disk has two megabytes; what is asked for must fit
go()
if story == "fills":
    ballast.unlink()
    story = "room again"
    go()
    print(*sorted(p.name for p in target.iterdir()), (target / "one" / "__init__.py").read_text())
    print(unpacking.partial_folder(target).exists())
"""


def on_disk(bundle, tmp_path, story, **mounts):
    disk = tmp_path / "disk"
    disk.mkdir(exist_ok=True)
    mounts = mounts or {"tiny": [disk], "size": "2m"}
    done = private_mount.run(UNPACK, ROOT, bundle.folder, disk, story, **mounts)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_mounts
def test_a_disk_that_fills_up_while_unpacking_is_said_and_the_next_try_goes_on(bundle, tmp_path):
    said, there, *then = on_disk(bundle, tmp_path, "fills")
    assert said.startswith(f"The disk of {tmp_path / 'disk'}") and "is full. Make room" in said
    assert there == "False"
    assert then == ["True", "one one-1.0.dist-info two two-1.0.dist-info x = 'kept'", "False"]


@needs_mounts
def test_a_disk_that_is_too_small_is_said_before_anything_is_unpacked(bundle, tmp_path):
    said, there = on_disk(bundle, tmp_path, "small")
    assert "are free. Make room and press the button again." in said and there == "False"


@needs_mounts
def test_a_user_folder_that_cannot_be_written_is_named(bundle, tmp_path):
    said, there = on_disk(bundle, tmp_path, "locked", read_only=[tmp_path / "disk"])
    assert said.startswith(f"Cannot write {tmp_path / 'disk' / 'user'}: Read-only file system.")
    assert "Make it writable" in said and there == "False"
    assert unpack_here(bundle, tmp_path / "disk" / "user" / "packages").is_dir()


ANOTHER = """
import sys, time
from pathlib import Path
root, zips, target, here, go = sys.argv[1:]
sys.path.insert(0, root)
from pamir_blender.addon.backend.bundle import read_bundle
from pamir_blender.addon.backend.unpack import unpack

def wait(fraction, text):
    if text == "Unpacking two":
        Path(here).touch()
        while not Path(go).exists():
            time.sleep(0.01)

unpack(read_bundle(Path(zips)), Path(target), wait, lambda: False)
"""


@contextlib.contextmanager
def another_blender(bundle, target, tmp_path):
    """Another process that has unpacked the first wheel and holds the place until "go" is there."""
    here, go = tmp_path / "here", tmp_path / "go"
    process = subprocess.Popen([sys.executable, "-c", ANOTHER, ROOT, bundle.folder, target, here, go])
    try:
        while not here.exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def test_two_blenders_that_unpack_at_once_do_not_mix(bundle, tmp_path):
    """The second one is told to wait; later it finds the work done."""
    target = tmp_path / "bundled" / "packages"
    with another_blender(bundle, target, tmp_path) as process:
        with pytest.raises(BackendError, match=r"Another Blender is setting up the backend.*Wait until"):
            unpack_here(bundle, target)
        older = target.with_name("older")
        older.mkdir()
        remove_others(target.parent, older)
        assert (partial_folder(target) / "done" / bundle.wheels[0].file).exists(), "left to the other one"
        (tmp_path / "go").touch()
        assert process.wait(60) == 0
    witness = target / "one" / "__init__.py"
    witness.write_text("x = 'the other one made it'")
    assert unpack_here(bundle, target) == target
    assert "the other one" in witness.read_text()
    remove_others(target.parent, target)
    assert [path.name for path in target.parent.iterdir()] == ["packages"]


@posix
def test_a_killed_unpacking_holds_nobody_up_and_is_gone_on_with(bundle, tmp_path):
    target = tmp_path / "bundled" / "packages"
    with another_blender(bundle, target, tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (partial_folder(target) / "packages" / "one" / "__init__.py").write_text("x = 'kept'")
    unpack_here(bundle, target)
    assert (target / "one" / "__init__.py").read_text() == "x = 'kept'"
    assert (target / "two" / "data").stat().st_size == 500_000
