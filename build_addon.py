"""Build the installable extension: ``python build_addon.py`` writes ``dist/pamir_blender-VERSION.zip``.

The zip holds the package without its training code, the manifest, the licence, and the models' small files.
It is built and validated by Blender's own extension tool, taken from any Python that has the ``bpy`` package.
The same tree gives the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "pamir_blender"
MODELS = ROOT / "models"
MANIFEST = "blender_manifest.toml"
LEFT_OUT = ("training", "__pycache__")
MODEL_SUFFIXES = (".npz", ".safetensors", ".tflite", ".md", ".json", ".txt")
REQUIRED_MODELS = (
    "open_body.npz",
    "landmark_regressor.npz",
    "lite_geometry.safetensors",
    "lite_texture.safetensors",
    "pose_detection.tflite",
    "pose_landmark_full.tflite",
)
EPOCH = (2020, 1, 1, 0, 0, 0)
"""The time stamp of every file in the zip."""

_FIND_TOOL = (
    "import importlib.util, pathlib\n"
    "spec = importlib.util.find_spec('bpy')\n"
    "print('' if spec is None else next(iter(sorted(pathlib.Path(spec.origin).parent.glob("
    "'*/scripts/addons_core/bl_pkg/cli/blender_ext.py'))), ''))"
)


class BuildError(Exception):
    """The extension cannot be built; the message says why and what to do."""


def stage(folder: Path) -> None:
    """Lay out the extension in ``folder``."""
    manifest = ROOT / "addon_manifest" / MANIFEST
    version = tomllib.loads(manifest.read_text(encoding="utf-8"))["version"]
    package = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in package:
        raise BuildError(f"{manifest} says version {version}, the package another. Make them the same.")
    shutil.copytree(PACKAGE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT, "*.pyc"))
    shutil.copy(manifest, folder)
    shutil.copy(ROOT / "LICENSE", folder)
    _stage_models(folder / "models")


def _stage_models(folder: Path) -> None:
    missing = [name for name in REQUIRED_MODELS if not (MODELS / name).is_file()]
    if missing:
        raise BuildError(
            f"{MODELS} lacks {', '.join(missing)}. Run `make demo` once, which fetches or builds them."
        )
    folder.mkdir()
    for file in sorted(MODELS.iterdir()):
        if file.is_file() and file.suffix in MODEL_SUFFIXES:
            shutil.copy(file, folder)


def extension_tool(python: str) -> Path:
    """Blender's extension command line tool inside the ``bpy`` package of ``python``."""
    try:
        done = subprocess.run([python, "-c", _FIND_TOOL], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"{python} cannot be run: {error}") from error
    found = done.stdout.strip()
    if not found:
        raise BuildError(f"{python} has no bpy. Name a Python that has, with --blender-python.")
    return Path(found)


def run_tool(python: str, tool: Path, *arguments: str) -> None:
    """Run the extension tool; raises :class:`BuildError` with what it said."""
    done = subprocess.run([python, str(tool), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise BuildError(f"Blender's extension tool refused to {arguments[0]}:\n{said}")


def settle(archive: Path) -> None:
    """Rewrite ``archive`` with sorted members and one time stamp, so that equal trees give equal bytes."""
    settled = archive.with_suffix(".settled")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(settled, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(n for n in source.namelist() if not n.endswith("/")):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            info.create_system = 3
            target.writestr(info, source.read(name))
    settled.replace(archive)


def pack(source: Path, out: Path, python: str) -> Path:
    """Build and validate the zip of the staged folder ``source`` in ``out``; returns its path."""
    tool = extension_tool(python)
    version = tomllib.loads((source / MANIFEST).read_text(encoding="utf-8"))["version"]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary, f"pamir_blender-{version}.zip")
        run_tool(python, tool, "build", "--source-dir", str(source), "--output-filepath", str(archive))
        settle(archive)
        run_tool(python, tool, "validate", str(archive))
        return Path(shutil.copy(archive, out))


def build(out: Path, python: str) -> Path:
    """Stage this tree and pack it into ``out``; returns the zip's path."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, "pamir_blender")
        stage(source)
        return pack(source, out, python)


def main() -> int:
    """Build as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the zip (dist)")
    parser.add_argument("--blender-python", default=sys.executable, help="a Python that has the bpy package")
    parser.add_argument(
        "--backend",
        choices=("none",),
        default="none",
        help="what of the backend the zip carries; none: the worker's Python is chosen in the preferences",
    )
    arguments = parser.parse_args()
    try:
        archive = build(arguments.out, arguments.blender_python)
    except BuildError as error:
        print(f"build_addon: {error}", file=sys.stderr)
        return 1
    print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
