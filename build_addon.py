"""Build the installable extension: ``python build_addon.py`` writes ``dist/pamir_blender-VERSION.zip``.

The zip holds the package without its training code, the manifest, the licence, the models' small files and,
with ``--backend``, the wheels that the worker needs. It is built and validated by Blender's own extension
tool, taken from any Python that has the ``bpy`` package. The same tree gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from addon_manifest.archive import MANIFEST, contents, pack, write_repository
from addon_manifest.errors import BuildError
from addon_manifest.variants import BACKENDS, BLENDERS, PLATFORMS, PYTHONS, Variant, all_variants
from addon_manifest.wheels import (
    Resolution,
    bundle_description,
    fetch,
    licence_in,
    resolve,
    sha256,
    unavailable,
)
from pamir_blender.addon.backend.managed import requirements

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "pamir_blender"
MODELS = ROOT / "models"
LEFT_OUT = ("training", "__pycache__")
MODEL_SUFFIXES = (".npz", ".safetensors", ".tflite", ".md", ".json", ".txt")
REQUIRED_MODELS = (
    "open_body.npz",
    "landmark_depth.safetensors",
    "landmark_regressor.npz",
    "lite_geometry.safetensors",
    "lite_texture.safetensors",
    "pose_detection.tflite",
    "pose_landmark_full.tflite",
)


def stage(folder: Path) -> None:
    """Lay out the extension, without a backend, in ``folder``."""
    manifest = ROOT / "addon_manifest" / MANIFEST
    version = tomllib.loads(manifest.read_text(encoding="utf-8"))["version"]
    package = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in package:
        raise BuildError(f"{manifest} says version {version}, the package another. Make them the same.")
    shutil.copytree(PACKAGE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT, "*.pyc"))
    shutil.copy(manifest, folder)
    shutil.copy(ROOT / "LICENSE", folder)
    _stage_models(folder / "models")
    (folder / "backend").mkdir()
    text = "".join(f"{line}\n" for line in requirements())
    (folder / "backend" / "requirements.txt").write_text(text, encoding="utf-8")


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


def stage_backend(folder: Path, variant: Variant, wheels: list[Path]) -> None:
    """Add ``wheels`` to the extension laid out in ``folder``, and say in its manifest where it runs."""
    backend = folder / "backend"
    for wheel in wheels:
        try:
            os.link(wheel, backend / wheel.name)
        except OSError:  # another file system
            shutil.copy(wheel, backend)
    described = json.dumps(bundle_description(variant, wheels), indent=1, sort_keys=True)
    (backend / "bundle.json").write_text(described + "\n", encoding="utf-8")
    manifest = folder / MANIFEST
    text = manifest.read_text(encoding="utf-8")
    oldest, newest = BLENDERS[variant.python]
    lines = [f'blender_version_min = "{oldest}"']
    lines += [f'blender_version_max = "{newest}"'] if newest else []
    lines += [f'platforms = ["{variant.platform}"]']
    old = next(line for line in text.split("\n") if line.startswith("blender_version_min"))
    manifest.write_text(text.replace(old, "\n".join(lines), 1), encoding="utf-8")


def build(out: Path, python: str, variant: Variant | None = None, wheels: list[Path] | None = None) -> Path:
    """Stage this tree and pack it into ``out``; returns the zip's path."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        source = Path(temporary, "pamir_blender")
        stage(source)
        if variant is None:
            return pack(source, out, python)
        stage_backend(source, variant, wheels or [])
        return pack(source, out, python, f"-{variant.name}")


def table(resolution: Resolution) -> str:
    """A variant's wheels with sizes and licences, and what is not known here."""
    rows = [
        f"{resolution.variant.name}: {len(resolution.wheels)} wheels, {resolution.size / 1e6:.1f} MB known"
    ]
    for wheel in resolution.wheels:
        size = "unknown" if wheel.size is None else f"{wheel.size / 1e6:.1f} MB"
        rows.append(f"  {size:>10}  {wheel.file}  [{wheel.licence}]")
    if resolution.unknown:
        rows += [f"  {'unknown':>10}  {line}" for line in sorted(resolution.unknown.values())]
        rows.append(unavailable(resolution))
    return "\n".join(rows)


def _chosen(arguments: argparse.Namespace) -> list[Variant]:
    return [
        variant
        for variant in all_variants()
        if arguments.backend in (None, variant.backend)
        and arguments.platform in (None, variant.platform)
        and arguments.python in (None, variant.python)
    ]


def _run(arguments: argparse.Namespace) -> None:
    if arguments.repository is not None:
        print(f"wrote {write_repository(arguments.repository, arguments.blender_python)}")
        return
    if arguments.dry_run:
        for variant in _chosen(arguments):
            print(table(resolve(variant)) + "\n", flush=True)
        return
    variant, wheels = None, None
    if arguments.backend in ("cpu", "cuda"):
        if arguments.platform is None or arguments.python is None:
            raise BuildError("A zip with a backend is for one --platform and one --python. Name both.")
        variant = Variant(arguments.backend, arguments.platform, arguments.python)
        resolution = resolve(variant)
        print(f"{variant.name}: {len(resolution.wheels)} wheels, {resolution.size / 1e6:.1f} MB", flush=True)
        wheels = fetch(resolution, arguments.wheels)
        for wheel in wheels:
            print(f"  {wheel.stat().st_size / 1e6:8.1f} MB  {wheel.name}  [{licence_in(wheel)}]")
            print(f"               sha256 {sha256(wheel)}")
    archive = build(arguments.out, arguments.blender_python, variant, wheels)
    print(contents(archive))
    print(f"{archive}\n  {archive.stat().st_size / 1e6:.1f} MB, sha256 {sha256(archive)}")


def main(argv: list[str] | None = None) -> int:
    """Build as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the zip (dist)")
    parser.add_argument("--blender-python", default=sys.executable, help="a Python that has the bpy package")
    parser.add_argument("--backend", choices=BACKENDS, help="what of the backend the zip carries (none)")
    parser.add_argument("--platform", choices=PLATFORMS, help="where a zip with a backend runs")
    parser.add_argument("--python", choices=PYTHONS, help="3.11 for Blender 4.5 and 5.0, 3.13 for later ones")
    parser.add_argument("--wheels", type=Path, default=ROOT / "dist" / "wheels", help="where wheels are kept")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="list every wheel and its size, of all variants or of those named",
    )
    parser.add_argument(
        "--repository", type=Path, metavar="DIR", help="make the zips in DIR a static extension repository"
    )
    try:
        _run(parser.parse_args(argv))
    except BuildError as error:
        print(f"build_addon: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
