"""Only plain files of bounded length are opened."""

import os

import pytest

from pamir_blender.plain_files import exists, is_file, is_folder, why_not_plain


def test_plain_files_pass_up_to_their_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert why_not_plain(path) == "" and why_not_plain(path, 5) == ""
    assert "5 bytes" in why_not_plain(path, 4)


def test_links_folders_pipes_and_devices_do_not(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    assert "folder" in why_not_plain(tmp_path)
    assert "link" in why_not_plain(tmp_path / "link") and "link" in why_not_plain(tmp_path / "dangling")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "pipe" in why_not_plain(tmp_path / "pipe") and "device" in why_not_plain(os.devnull)


def test_the_folders_above_may_be_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"")
    (tmp_path / "moved").symlink_to("real")
    assert why_not_plain(tmp_path / "moved" / "file") == ""


def test_whether_something_is_there_never_raises(tmp_path):
    (tmp_path / "file").write_text("x")
    assert is_file(tmp_path / "file") and exists(tmp_path / "file") and not is_folder(tmp_path / "file")
    assert is_folder(tmp_path) and exists(tmp_path) and not is_file(tmp_path)
    for path in ("x" * 9000, "a\0b", "", tmp_path / "file" / "below", "\udcff"):
        assert not is_file(path) and not is_folder(path) and not exists(path)


def test_what_is_not_there_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        why_not_plain(tmp_path / "nothing")
