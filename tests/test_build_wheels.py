"""Which wheels a zip with a backend carries, from an index of tiny wheels on the disk."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "addon")]

from tiny_wheels import write_wheel  # noqa: E402

import build_addon  # noqa: E402
from addon_manifest import variants, wheels  # noqa: E402
from addon_manifest.errors import BuildError  # noqa: E402
from addon_manifest.variants import Variant  # noqa: E402
from pamir_blender.addon.backend.bundle import read_bundle  # noqa: E402

LINUX = Variant("cpu", "linux-x64", "3.13")
WINDOWS = Variant("cpu", "windows-x64", "3.11")


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    write_wheel(folder, "torch", {"torch.py": ""}, version="1.0+cpu", metadata=["Requires-Dist: kit[fast]"])
    write_wheel(folder, "torch", {"torch.py": ""}, version="1.0")
    write_wheel(
        folder,
        "kit",
        {},
        metadata=[
            'Requires-Dist: only_windows; sys_platform == "win32"',
            'Requires-Dist: speed; extra == "fast"',
            'Requires-Dist: never; extra == "slow"',
            'Requires-Dist: smplx; python_version > "3"',
            "License-Expression: MIT",
        ],
    )
    for name in ("only_windows", "speed", "never", "smplx"):
        write_wheel(folder, name, {f"{name}.py": ""})
    monkeypatch.setattr(variants, "requirements", lambda: ["torch==1.0", "kit"])
    return folder


def names(resolution):
    return {wheel.name: wheel.version for wheel in resolution.wheels}


def test_markers_and_extras_are_those_of_the_zips_platform_and_smplx_stays_out(index):
    found = wheels.resolve(LINUX)
    assert names(found) == {"torch": "1.0+cpu", "kit": "1.0", "speed": "1.0"} and not found.unknown
    assert names(wheels.resolve(WINDOWS)).keys() == {"torch", "kit", "only-windows"}
    assert names(wheels.resolve(WINDOWS))["torch"] == "1.0", "the package index has the processor build"


def test_what_is_not_to_be_had_is_named_with_the_command_that_completes_it(index):
    (index / "torch-1.0+cpu-py3-none-any.whl").unlink()
    found = wheels.resolve(LINUX)
    assert found.unknown == {"torch": "torch===1.0+cpu"} and "kit" in names(found)
    text = build_addon.table(found)
    assert "python build_addon.py --backend cpu --platform linux-x64 --python 3.13" in text
    assert "download.pytorch.org/whl/cpu" in text
    with pytest.raises(BuildError, match=r"torch===1\.0\+cpu"):
        wheels.fetch(found, index / "out")


def test_sizes_and_hashes_are_the_files_own(index):
    for wheel in wheels.resolve(LINUX).wheels:
        file = index / wheel.file
        assert wheel.size == file.stat().st_size and wheel.sha256 in ("", wheels.sha256(file))


def test_fetched_wheels_become_a_bundle_that_the_add_on_reads(index, tmp_path):
    files = wheels.fetch(wheels.resolve(LINUX), tmp_path / "cache")
    staged = tmp_path / "staged"
    (staged / "backend").mkdir(parents=True)
    manifest = ROOT / "addon_manifest" / build_addon.MANIFEST
    (staged / build_addon.MANIFEST).write_text(manifest.read_text("utf-8"), "utf-8")
    build_addon.stage_backend(staged, LINUX, files)
    bundle = read_bundle(staged / "backend")
    assert (bundle.platform, bundle.python, len(bundle.wheels)) == ("linux-x64", "3.13", 3)
    assert {w.file for w in bundle.wheels} < {p.name for p in (staged / "backend").iterdir()}
    text = (staged / build_addon.MANIFEST).read_text("utf-8")
    assert 'platforms = ["linux-x64"]' in text and 'blender_version_min = "5.1.0"' in text
    assert "wheels" not in build_addon.tomllib.loads(text), "Blender would share them with every add-on"


def test_a_fetched_wheel_that_was_changed_is_refused(index, tmp_path, monkeypatch):
    found = wheels.resolve(LINUX)
    wrong = wheels.Resolution(LINUX, (replace(found.wheels[0], sha256="0" * 64),), {})
    with pytest.raises(BuildError, match="not what the index announced"):
        wheels.fetch(wrong, tmp_path / "cache")


def test_licences_are_read_from_wheels(index):
    assert wheels.licence_in(index / "kit-1.0-py3-none-any.whl") == "MIT"
    assert "see the wheel" in wheels.licence_in(index / "speed-1.0-py3-none-any.whl")


def test_every_variant_says_where_torch_comes_from():
    for variant in variants.all_variants():
        torch = next(line for line in variant.requirements() if line.startswith("torch"))
        assert "===" in torch and ("+" in torch) == (variant.index is not None)
        assert not any("smplx" in line for line in variant.requirements())


def test_a_backend_zip_needs_a_platform_and_a_python(capsys):
    assert build_addon.main(["--backend", "cpu"]) == 1
    assert "Name both" in capsys.readouterr().err


def test_without_pip_only_a_backend_cannot_be_built(monkeypatch):
    monkeypatch.setattr(wheels, "Requirement", None)
    with pytest.raises(BuildError, match="has no pip"):
        wheels.resolve(LINUX)
