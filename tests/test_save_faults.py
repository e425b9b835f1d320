"""Saving where it cannot be done: nothing half is left, the earlier result stays, and the words help."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import private_mount
import pytest
from private_mount import needs_mounts

from pamir_blender import result
from pamir_blender.errors import ResultError

ROOT = Path(__file__).resolve().parents[1]

SAVE = """
import json, os, sys
from pathlib import Path
import numpy as np
root, out, megabytes = sys.argv[1:]
sys.path.insert(0, root)
from pamir_blender import errors, result
out = Path(out)

def save(run, count):
    with result.whole_folder(out) as folder:
        result.write_scene(folder, {"vertices": np.ones((count, 3), np.float32)})
        result.write_json(folder, {"run": run})

for run, count in ((1, 1000), (2, int(megabytes) * 100_000), (3, 2000)):
    try:
        save(run, count)
    except errors.ResultError as error:
        print("refused:", error)
    found = json.loads((out / "result.json").read_text())["run"] if out.exists() else None
    print(found, sorted(p.name for p in out.parent.iterdir()))
"""


@needs_mounts
def test_a_disk_that_fills_up_keeps_the_earlier_result_and_the_next_save_works(tmp_path):
    done = private_mount.run(SAVE, ROOT, tmp_path / "out", 9, tiny=[tmp_path], size="1m")
    assert done.returncode == 0, done.stderr
    first, refused, second, third = done.stdout.splitlines()
    assert first == second == "1 ['out']" and third == "3 ['out']"
    assert refused.startswith(f"refused: The disk of {tmp_path / 'out'} is full. Make room")


@needs_mounts
def test_a_read_only_results_folder_is_named(tmp_path):
    done = private_mount.run(SAVE, ROOT, tmp_path / "out", 1, read_only=[tmp_path])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == (
        f"refused: Cannot write to {tmp_path}: Read-only file system. "
        "Choose another results folder, or make this one writable."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_results_folder_deleted_while_saving_is_said_and_the_next_save_works(tmp_path):
    out = tmp_path / "results" / "out"
    with pytest.raises(ResultError, match="Cannot write to"), result.whole_folder(out) as folder:
        result.write_json(folder, {})
        shutil.rmtree(out.parent)
    assert list(tmp_path.iterdir()) == []
    with result.whole_folder(out) as folder:
        result.write_json(folder, {})
    assert (out / "result.json").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no Unicode are Linux' own")
def test_a_photo_whose_name_is_no_unicode_is_remembered(tmp_path):
    photo = os.fsdecode(b"/photos/caf\xe9.jpg")
    result.write_json(tmp_path, {"photo": photo})
    assert json.loads((tmp_path / "result.json").read_text("utf-8"))["photo"] == photo


def test_two_jobs_side_by_side_do_not_touch_each_other(tmp_path):
    """As two Blenders do that share a results folder."""
    with result.whole_folder(tmp_path / "one") as one, result.whole_folder(tmp_path / "two") as two:
        result.write_json(one, {"x": 1})
        result.write_json(two, {"x": 2})
        result.write_scene(one, {"v": np.zeros(3)})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]
    assert json.loads((tmp_path / "one" / "result.json").read_text())["x"] == 1
