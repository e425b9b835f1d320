"""The built zip, installed into real Blender as an artist does."""

import importlib.util
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import bpy
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = "bl_ext.user_default.pamir_blender"

sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "addon")]
from tiny_wheels import write_wheel  # noqa: E402

import build_addon  # noqa: E402
from pamir_blender.addon.backend.bundle import this_platform  # noqa: E402


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The laid-out extension; its models are stand-ins, which keeps the zip small."""
    folder, models = tmp_path_factory.mktemp("source") / "pamir_blender", tmp_path_factory.mktemp("models")
    for name in build_addon.REQUIRED_MODELS:
        (models / name).write_bytes(name.encode())
    (models / "build_something.py").write_text("not for the zip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_addon, "MODELS", models)
        build_addon.stage(folder)
    return folder


@pytest.fixture(scope="module")
def archive(source, tmp_path_factory):
    return build_addon.pack(source, tmp_path_factory.mktemp("dist"), sys.executable)


def test_the_same_tree_gives_the_same_bytes(source, archive, tmp_path):
    again = shutil.copytree(source, tmp_path / "copy", copy_function=shutil.copyfile)
    assert build_addon.pack(again, tmp_path / "dist", sys.executable).read_bytes() == archive.read_bytes()


def test_missing_models_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(build_addon, "MODELS", tmp_path)
    with pytest.raises(build_addon.BuildError, match=r"open_body\.npz"):
        build_addon.stage(tmp_path / "out")


def test_a_python_without_bpy_is_refused(source, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho\n")
    python.chmod(0o755)
    with pytest.raises(build_addon.BuildError, match="has no bpy"):
        build_addon.pack(source, tmp_path, str(python))


def test_the_zip_holds_what_it_should(archive):
    names = zipfile.ZipFile(archive).namelist()
    assert {"__init__.py", "blender_manifest.toml", "LICENSE", "models/open_body.npz"} <= set(names)
    assert "worker/server.py" in names and "pipeline/__init__.py" in names
    assert not any("training" in n or "__pycache__" in n or "test" in n for n in names)
    assert not any("smplx" in n.lower() or "build_something" in n for n in names)


def test_a_version_that_does_not_match_is_refused(tmp_path, monkeypatch):
    (tmp_path / "addon_manifest").mkdir()
    (tmp_path / "addon_manifest" / "blender_manifest.toml").write_text('version = "9.9.9"')
    monkeypatch.setattr(build_addon, "ROOT", tmp_path)
    with pytest.raises(build_addon.BuildError, match=r"9\.9\.9"):
        build_addon.stage(tmp_path / "out")


@pytest.fixture
def installed(archive):
    bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo="user_default", enable_on_install=True
    )
    yield sys.modules[MODULE]
    bpy.ops.preferences.addon_disable(module=MODULE)
    bpy.ops.extensions.package_uninstall(repo_index=_repository_index(), pkg_id="pamir_blender")


@pytest.fixture(scope="module")
def bundled(source, tmp_path_factory):
    """The same extension with wheels of a few bytes as its backend, for this Blender's Python."""
    folder, wheels = tmp_path_factory.mktemp("bundled"), tmp_path_factory.mktemp("wheels")
    shutil.copytree(source, folder / "pamir_blender")
    python = ".".join(map(str, sys.version_info[:2]))
    variant = build_addon.Variant("cpu", this_platform(), python)
    files = [
        write_wheel(wheels, "numpy", {"numpy/__init__.py": ""}),
        write_wheel(wheels, "two", {"two.py": ""}),
    ]
    build_addon.stage_backend(folder / "pamir_blender", variant, files)
    return folder / "pamir_blender"


def test_a_zip_with_a_backend_is_the_same_twice_and_keeps_its_wheels_as_files(bundled, tmp_path):
    first = build_addon.pack(bundled, tmp_path / "a", sys.executable, "-cpu")
    again = build_addon.pack(bundled, tmp_path / "b", sys.executable, "-cpu")
    assert first.read_bytes() == again.read_bytes() and first.name.endswith("-cpu.zip")
    names = set(zipfile.ZipFile(first).namelist())
    assert {"backend/bundle.json", "backend/requirements.txt", "backend/two-1.0-py3-none-any.whl"} <= names
    assert "backend/" in build_addon.contents(first)


def test_an_installed_zip_with_a_backend_gives_blender_none_of_it(bundled, tmp_path):
    """The real worker checks what was unpacked: these wheels are no backend, so none is had."""
    archive = build_addon.pack(bundled, tmp_path, sys.executable, "-cpu")
    bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo="user_default", enable_on_install=True
    )
    try:
        assert bpy.ops.pamir.unpack_backend.poll()
        with pytest.raises(RuntimeError, match=r"does not work.*No module named 'torch'"):
            bpy.ops.pamir.unpack_backend()
        user = Path(bpy.utils.extension_path_user(MODULE))
        assert not [p for p in (user / "bundled").iterdir() if p.suffix != ".partial"]
        assert importlib.util.find_spec("two") is None and "two" not in sys.modules
        site = Path(bpy.utils.user_resource("EXTENSIONS")) / ".local"
        assert not list(site.rglob("two.py")) and not list(site.rglob("numpy"))
    finally:
        bpy.ops.preferences.addon_disable(module=MODULE)
        bpy.ops.extensions.package_uninstall(repo_index=_repository_index(), pkg_id="pamir_blender")


def test_a_folder_of_zips_becomes_a_repository(archive, bundled, tmp_path):
    with pytest.raises(build_addon.BuildError, match="holds no zip"):
        build_addon.write_repository(tmp_path, sys.executable)
    shutil.copy(archive, tmp_path)
    index = json.loads(build_addon.write_repository(tmp_path, sys.executable).read_text("utf-8"))
    (entry,) = index["data"]
    assert entry["id"] == "pamir_blender" and entry["archive_url"] == f"./{archive.name}"
    assert entry["archive_hash"] == f"sha256:{build_addon.sha256(archive)}"
    build_addon.pack(bundled, tmp_path, sys.executable, "-cpu")
    with pytest.raises(build_addon.BuildError, match="one zip for each platform"):
        build_addon.write_repository(tmp_path, sys.executable)


def test_the_manifest_asks_for_what_the_add_on_does_and_no_more(source):
    manifest = build_addon.tomllib.loads((source / build_addon.MANIFEST).read_text("utf-8"))
    assert set(manifest["permissions"]) == {"files", "network", "clipboard"}
    for reason in manifest["permissions"].values():
        assert len(reason) <= 64 and reason[-1].isalnum()
    assert "wheels" not in manifest


def _repository_index():
    return next(
        i for i, r in enumerate(bpy.context.preferences.extensions.repos) if r.module == "user_default"
    )


def test_installed_extension_reconstructs_and_goes_away(installed, photo, tmp_path):
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.worker_python = sys.executable
    preferences.results_folder = str(tmp_path / "results")
    runner = sys.modules[f"{MODULE}.addon.jobs"].runner
    runner.arguments = [str(Path(__file__).with_name("fake_backend.py"))]
    bpy.context.scene.pamir.photo_path = photo("fine")
    assert bpy.ops.pamir.reconstruct() == {"FINISHED"}
    assert sum("pamir_role" in o for o in bpy.data.objects) == 4
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert not hasattr(bpy.types.Scene, "pamir")
    bpy.ops.preferences.addon_enable(module=MODULE)
    assert hasattr(bpy.types.Scene, "pamir")


def test_another_version_installed_after_disabling_runs_its_own_code(installed, source, tmp_path):
    """Without a restart: Blender itself reloads no more than the add-on's ``__init__.py``."""
    before = sys.modules[f"{MODULE}.addon.jobs"]
    bpy.ops.preferences.addon_disable(module=MODULE)
    bpy.ops.extensions.package_uninstall(repo_index=_repository_index(), pkg_id="pamir_blender")
    newer = shutil.copytree(source, tmp_path / "pamir_blender")
    with (newer / "addon" / "jobs.py").open("a") as file:
        file.write("\nNEWER = True\n")
    archive = build_addon.pack(newer, tmp_path / "dist", sys.executable)
    bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo="user_default", enable_on_install=True
    )
    assert sys.modules[f"{MODULE}.addon.jobs"].NEWER and not hasattr(before, "NEWER")


def test_installed_extension_keeps_its_files_in_blenders_user_folder(installed):
    settings = sys.modules[f"{MODULE}.addon.preferences"].settings()
    user = Path(bpy.utils.extension_path_user(MODULE))
    assert settings.results_folder == user / "results" and settings.log_folder == user / "logs"
    package = Path(installed.__file__).parent
    assert sys.modules[f"{MODULE}.paths"].models_dir() == package / "models"


def test_the_workers_own_start_finds_the_installed_package(installed, tmp_path):
    """The real worker of the installed copy answers, in a Python that may lack torch."""
    launch = Path(installed.__file__).parent / "worker" / "launch.py"
    shutil.copy(launch, tmp_path)  # proves that nothing below depends on the working folder
    done = subprocess.run(
        [sys.executable, str(launch), "--check"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert '"package": "0.1.0"' in done.stdout, done.stderr
