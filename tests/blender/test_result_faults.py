"""Result folders edited by hand or made to harm: the import names the file, changes nothing, never hangs.

The folder mended, it imports. What is only an extra (thumbnail, photo) is left out instead.
"""

import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import bpy
import pytest
import synthetic_person as person
from test_panels import drawn
from test_reconstruct import ALL_ROLES, roles

from pamir_blender.addon import panels, panels_hypotheses

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and links of POSIX systems")


def import_folder(folder):
    return bpy.ops.pamir.import_result(directory=str(folder))


def edit(folder, change):
    path = folder / "result.json"
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")


def huge_png(path, side=60_000):
    """A whole PNG of a few kilobytes that unpacks to gigabytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def link(path):
    path.rename(path.with_name("original"))
    path.symlink_to("original")


def folder(path):
    path.unlink()
    path.mkdir()


def empty(path):
    path.write_bytes(b"")


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path):
    path.write_text("Dear result")


def bomb(path):
    """An archive of one array that unpacks to four gigabytes of zeros."""
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1073741824,), }"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("pose.npy", "w") as member:
        member.write(header.ljust(127) + b"\n")
        for _ in range(16):
            member.write(bytes(1 << 20))


@pytest.mark.parametrize("name", ["result.json", "scene.npz", "texture.png"])
@pytest.mark.parametrize(
    "damage",
    [pytest.param(pipe, marks=posix), pytest.param(link, marks=posix), folder, empty, half, text],
)
def test_a_file_replaced_by_something_else_is_named(addon, result_folder, snapshot, name, damage):
    before, path = snapshot(), result_folder / name
    content = path.read_bytes()
    damage(path)
    with pytest.raises(RuntimeError, match=rf"Error: (?!Unexpected).*{name}"):
        import_folder(result_folder)
    assert snapshot() == before
    path.rmdir() if path.is_dir() else path.unlink()
    path.write_bytes(content)
    assert import_folder(result_folder) == {"FINISHED"} and roles() == ALL_ROLES


@pytest.mark.parametrize(("name", "damage"), [("texture.png", huge_png), ("scene.npz", bomb)])
def test_files_that_unpack_to_gigabytes_are_refused(addon, result_folder, snapshot, name, damage):
    before = snapshot()
    damage(result_folder / name)
    with pytest.raises(RuntimeError, match=rf"Error: (?!Unexpected).*{name}"):
        import_folder(result_folder)
    assert snapshot() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["body"].update(scale="large"),
        lambda d: d["body"].update(scale=-1),
        lambda d: d["body"].update(translation=[1, 2]),
        lambda d: d["body"].update(translation=[10**400] * 3),
        lambda d: d["camera"].update(frame_scale=0),
        lambda d: d["hypothesis"].update(edited=[["left_elbow"]], kind=7),
        lambda d: d.update(optimisation=["x"], weights=[], options="all", camera=None),
        lambda d: d["photo"].update(path="photo\0.png", warnings="many"),
        lambda d: d["photo"].update(path="\ud800" * 9000),
    ],
)
def test_a_result_json_edited_by_hand_gives_a_character_or_a_reason(addon, result_folder, snapshot, change):
    before = snapshot()
    edit(result_folder, change)
    try:
        assert import_folder(result_folder) == {"FINISHED"}
    except RuntimeError as error:
        assert "Unexpected" not in str(error) and "Traceback" not in str(error)
        assert str(result_folder) in str(error) and snapshot() == before
    else:
        assert roles() == ALL_ROLES
        texts = " ".join(drawn(panels.PAMIR_PT_photo) + drawn(panels_hypotheses.PAMIR_PT_hypotheses))
        assert texts and bpy.ops.pamir.regenerate.poll() in (True, False)


@posix
@pytest.mark.parametrize("damage", [pipe, link, folder, empty, half, text, huge_png])
def test_a_bad_thumbnail_is_left_out(addon, result_folder, damage):
    damage(result_folder / "thumbnail.png")
    assert import_folder(result_folder) == {"FINISHED"} and roles() == ALL_ROLES


@posix
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge", "gone", "text"])
def test_a_photo_that_is_none_leaves_the_camera_without_background(addon, result_folder, tmp_path, kind):
    path = tmp_path / "named.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        huge_png(path)
    elif kind == "text":
        path.write_text("Dear photo")
    edit(result_folder, lambda d: d["photo"].update(path=str(path)))
    assert import_folder(result_folder) == {"FINISHED"} and roles() == ALL_ROLES
    (camera,) = (o for o in bpy.data.objects if o.get("pamir_role") == "camera")
    shown = [b.image for b in camera.data.background_images]
    assert shown == [] or kind == "text"


def test_the_folder_as_it_was_made_imports(addon, tmp_path, arrays, photo):
    whole = person.write_folder(tmp_path / "whole", arrays, photo("fine"))
    assert import_folder(whole) == {"FINISHED"} and roles() == ALL_ROLES
