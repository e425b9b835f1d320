"""What ended jobs leave in the results folder is swept; what others may be working on is not."""

import os
import time

from pamir_blender.addon.results_folder import STALE_SECONDS, sweep, sweep_stale


def partial(results, name, age=0.0):
    folder = results / name
    folder.mkdir()
    (folder / "scene.npz").touch()
    os.utime(folder, (time.time() - age,) * 2)
    return folder


def test_what_a_killed_blender_left_goes_after_a_day(tmp_path):
    old, young = STALE_SECONDS + 60, STALE_SECONDS - 3600
    left = partial(tmp_path, ".photo-20260102-030405-abc123.12345678.partial", old)
    kept = [
        partial(tmp_path, ".photo-20260102-030405-abc124.12345678.partial", young),  # another Blender's job
        partial(tmp_path, ".my own.partial", old),
        partial(tmp_path, "photo-20260102-030405-abc125", old),
    ]
    link = tmp_path / ".photo-20260102-030405-abc126.12345678.partial"
    link.symlink_to(kept[1])
    sweep_stale(tmp_path)
    assert not left.exists() and link.is_symlink()
    assert all((folder / "scene.npz").is_file() for folder in kept)


def test_a_jobs_own_leftovers_go_at_once_and_nobody_elses(tmp_path):
    out = tmp_path / "photo-20260102-030405-abc123"
    left = partial(tmp_path, f".{out.name}.12345678.partial")
    kept = partial(tmp_path, ".photo-20260102-030405-abc124.12345678.partial")
    sweep(out)
    assert not left.exists() and kept.exists()
