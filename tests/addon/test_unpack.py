"""Bundled wheels become a folder of packages: verified, bounded, resumable, whole or not at all."""

import errno
import stat
import zipfile
from dataclasses import replace

import pytest
from tiny_wheels import write_bundle, write_wheel

from pamir_blender.addon.backend import unpack as unpacking
from pamir_blender.addon.backend.bundle import mismatch, read_bundle
from pamir_blender.addon.backend.unpack import extract, partial_folder, unpack
from pamir_blender.errors import BackendError, Cancelled


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "zip"
    one = write_wheel(folder, "one", {"one/__init__.py": "x = 1", "one-1.0.data/scripts/one": "#!python"})
    two = write_wheel(folder, "two", {"two.py": "y = 2", "two-1.0.data/platlib/two_c.py": "z = 3"})
    write_bundle(folder, [one, two])
    return read_bundle(folder)


def run(bundle, target, cancelled=lambda: False, **options):
    told = []
    unpack(bundle, target, lambda fraction, text: told.append((fraction, text)), cancelled, **options)
    return told


def test_packages_are_there_and_scripts_are_not(bundle, tmp_path):
    target = tmp_path / "user" / "packages"
    told = run(bundle, target)
    files = {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()}
    assert {"one/__init__.py", "two.py", "two_c.py", "one-1.0.dist-info/METADATA"} <= files
    assert not any("scripts" in name for name in files)
    assert not partial_folder(target).exists()
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and {text for _, text in told} >= {"Unpacking one", "Unpacking two"}


def test_what_was_unpacked_before_an_interruption_is_not_unpacked_again(bundle, tmp_path):
    target = tmp_path / "packages"
    started = []

    def stop_at_the_second():
        started.append(1)
        return (partial_folder(target) / "done" / bundle.wheels[0].file).exists()

    with pytest.raises(Cancelled):
        run(bundle, target, stop_at_the_second)
    assert started and not target.exists()
    first = partial_folder(target) / "packages" / "one" / "__init__.py"
    first.write_text("kept = True")
    run(bundle, target)
    assert (target / "one" / "__init__.py").read_text() == "kept = True"
    assert (target / "two.py").read_text() == "y = 2"


def test_a_check_that_fails_leaves_no_backend(bundle, tmp_path):
    def refuse(folder):
        assert (folder / "two.py").is_file()
        raise BackendError("does not start")

    with pytest.raises(BackendError, match="does not start"):
        run(bundle, tmp_path / "packages", check=refuse)
    assert not (tmp_path / "packages").exists()


def test_a_damaged_wheel_is_named_and_nothing_of_it_is_written(bundle, tmp_path):
    wheel = bundle.folder / bundle.wheels[1].file
    data = bytearray(wheel.read_bytes())
    data[40] ^= 1
    wheel.write_bytes(data)
    with pytest.raises(BackendError, match=rf"{wheel.name} is damaged"):
        run(bundle, tmp_path / "packages")
    assert not (partial_folder(tmp_path / "packages") / "packages" / "two.py").exists()
    wheel.unlink()
    with pytest.raises(BackendError, match="missing"):
        run(bundle, tmp_path / "packages")


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", "a/../../outside.py", "C:/x.py", "a\\b.py"])
def test_paths_that_lead_elsewhere_are_refused(bundle, tmp_path, name):
    wheel = write_wheel(tmp_path / "bad", "bad", {name: "evil"})
    site = tmp_path / "site" / "packages"
    with pytest.raises(BackendError, match="leads elsewhere"):
        extract(wheel, replace(bundle.wheels[0], unpacked=9999, files=9), site, lambda written: None)
    assert not (tmp_path / "site" / "outside.py").exists()


def test_links_are_refused(bundle, tmp_path):
    wheel = tmp_path / "bad-1.0-py3-none-any.whl"
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(BackendError, match="leads elsewhere"):
        extract(
            wheel, replace(bundle.wheels[0], unpacked=9999, files=9), tmp_path / "s", lambda written: None
        )


@pytest.mark.parametrize("limits", [{"unpacked": 3, "files": 9}, {"unpacked": 9999, "files": 1}])
def test_a_wheel_that_holds_more_than_announced_is_refused(bundle, tmp_path, limits):
    announced = replace(bundle.wheels[0], **limits)
    with pytest.raises(BackendError, match="more than it announces"):
        extract(bundle.folder / announced.file, announced, tmp_path / "s", lambda written: None)


def test_a_full_disk_is_said_before_and_during(bundle, tmp_path, monkeypatch):
    usage = unpacking.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(BackendError, match=r"needs .* GB in"):
        run(bundle, tmp_path / "packages")
    monkeypatch.undo()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpacking, "extract", full)
    with pytest.raises(BackendError, match="is full"):
        run(bundle, tmp_path / "packages")


def test_what_does_not_fit_this_computer_is_said(bundle):
    assert mismatch(bundle) == ""
    assert "Python 3.99" in mismatch(bundle, (3, 99))
    assert "amiga-68k" in mismatch(replace(bundle, platform="amiga-68k"))


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"wheels": []}, {"wheels": [{"file": "../x.whl"}]}, {"wheels": "x"}],
)
def test_damaged_descriptions_are_refused(bundle, change):
    write_bundle(bundle.folder, [bundle.folder / w.file for w in bundle.wheels], **change)
    read_bundle.cache_clear()
    with pytest.raises(BackendError, match="is damaged"):
        read_bundle(bundle.folder)


def test_a_zip_without_wheels_has_no_bundle(tmp_path):
    assert read_bundle(tmp_path) is None
