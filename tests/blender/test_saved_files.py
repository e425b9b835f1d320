"""Saved and reopened files, lost folders, moved photos: the .blend holds all it takes to go on."""

import hashlib
import json
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
import synthetic_person as person
from posing import edited, entries, part, points, turn

from pamir_blender.addon.jobs import runner
from pamir_blender.addon.preferences import get_preferences
from pamir_blender.addon.scene import hypothesis_mesh, record
from pamir_blender.body_state import BodyState


def test_save_close_reopen_and_go_on(character, tmp_path):
    character()
    turn()
    bpy.ops.pamir.regenerate()
    path = str(tmp_path / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    runner.shutdown()
    bpy.ops.wm.open_mainfile(filepath=path)
    assert not edited().changed
    turn("right_knee", 0.5)
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    assert [e.edited for e in entries()] == ["", "left_elbow", "right_knee,left_elbow"]


def test_a_lost_result_folder_changes_nothing_and_is_made_again(character):
    character()
    turn()
    bpy.ops.pamir.regenerate()
    shutil.rmtree(get_preferences().results_folder)
    old = entries()[1].folder
    turn("right_knee", 0.5)
    assert bpy.ops.pamir.recompute() == {"FINISHED"}
    assert entries()[1].folder != old and Path(entries()[1].folder, "scene.npz").is_file()
    # The very hypothesis, not the pose the bones are in now.
    options = json.loads(Path(entries()[1].folder, "options.json").read_text())
    assert BodyState.from_arrays(**options["body"]) == record.state_of(entries()[1])
    assert len(entries()) == 2 and edited().turned == ("right_knee",)


def test_a_deleted_mesh_is_made_again(character):
    collection = character()
    before = points(part("clothed"))
    bpy.data.objects.remove(part("clothed"))
    bpy.ops.pamir.recompute()
    obj = hypothesis_mesh.mesh_of(collection, entries()[0].uid)
    assert obj == part("clothed") and np.array_equal(points(obj), before)


def test_a_missing_photo_is_named_and_found_again(character, tmp_path):
    character()
    photo = Path(bpy.context.scene.pamir.photo_path)
    moved = tmp_path / "elsewhere.png"
    photo.rename(moved)
    with pytest.raises(RuntimeError, match=r"(?s)photo .*fine.png is not there.*again"):
        bpy.ops.pamir.regenerate()
    bpy.ops.pamir.relink_photo(filepath=str(moved))
    assert part("camera").data.background_images[0].image.filepath == str(moved)
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    assert record.info_of(entries()[1]).photo == str(moved)
    with pytest.raises(RuntimeError, match="cannot be used"):
        bpy.ops.pamir.relink_photo(filepath=str(tmp_path / "nothing.png"))


def test_a_photo_is_found_again_from_a_blend_that_lies_elsewhere(character, tmp_path):
    """Blender saves the background's path relative to the .blend."""
    character()
    photo = Path(bpy.context.scene.pamir.photo_path)
    blend = tmp_path / "scenes" / "first" / "saved.blend"
    blend.parent.mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    moved = photo.rename(tmp_path / "elsewhere.png")
    assert bpy.ops.pamir.relink_photo(filepath=str(moved)) == {"FINISHED"}
    assert part("camera").data.background_images[0].image.filepath == str(moved)


def test_another_photo_is_taken_with_a_warning(character, photo, tmp_path, capfd):
    character()
    file = Path(bpy.context.scene.pamir.photo_path)
    info = json.loads(entries()[0].info)
    info["photo_digest"] = hashlib.sha256(file.read_bytes()).hexdigest()
    entries()[0].info = json.dumps(info)
    bpy.ops.pamir.relink_photo(filepath=str(file))
    assert "different photo" not in capfd.readouterr().out
    other = tmp_path / "other.png"
    other.write_bytes(file.read_bytes() + b"more")
    assert bpy.ops.pamir.relink_photo(filepath=str(other)) == {"FINISHED"}
    assert "different photo" in capfd.readouterr().out


def test_a_result_of_an_older_version_says_that_it_cannot(addon, tmp_path, photo, arrays):
    folder = person.write_folder(tmp_path / "old", arrays, photo("fine"))
    told = json.loads((folder / "result.json").read_text())
    del told["camera"], told["hypothesis"]
    (folder / "result.json").write_text(json.dumps(told))
    bpy.ops.pamir.import_result(directory=str(folder))
    with pytest.raises(RuntimeError, match="older version"):
        bpy.ops.pamir.regenerate()
    assert len(entries()) == 1


def test_tampered_options_are_refused(character):
    character()
    for options in ({"resolution": "high"}, {"unknown": 1}, {"box": [1, 2]}, {"photo": 3}):
        stored = {"photo": bpy.context.scene.pamir.photo_path, **options}
        entries()[0].options = json.dumps(stored)
        with pytest.raises(RuntimeError, match=r"Error: (?!Unexpected)"):
            bpy.ops.pamir.regenerate()
