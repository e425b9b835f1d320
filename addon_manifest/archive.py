"""The zip itself: made and checked by Blender's extension tool, then rewritten so that equal trees give equal
bytes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

from .errors import BuildError

MANIFEST = "blender_manifest.toml"
EPOCH = (2020, 1, 1, 0, 0, 0)
"""The time stamp of every file in the zip."""

_STORED = (".whl", ".png", ".npz", ".tflite")
"""Compressed already, or nearly: deflating them again only takes time."""

_FIND_TOOL = (
    "import importlib.util, pathlib\n"
    "spec = importlib.util.find_spec('bpy')\n"
    "print('' if spec is None else next(iter(sorted(pathlib.Path(spec.origin).parent.glob("
    "'*/scripts/addons_core/bl_pkg/cli/blender_ext.py'))), ''))"
)


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


def run_tool(python: str, tool: Path, *arguments: str) -> str:
    """Run the extension tool; its output. Raises :class:`BuildError` with what it said."""
    done = subprocess.run([python, str(tool), *arguments], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise BuildError(f"Blender's extension tool refused to {arguments[0]}:\n{said}")
    return said


def settle(archive: Path) -> None:
    """Rewrite ``archive`` with sorted members and one time stamp, so that equal trees give equal bytes."""
    settled = archive.with_suffix(".settled")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(settled, "w") as target:
        for name in sorted(n for n in source.namelist() if not n.endswith("/")):
            info = zipfile.ZipInfo(name, EPOCH)
            stored = name.endswith(_STORED)
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            info.external_attr, info.create_system = 0o100644 << 16, 3
            info.file_size = source.getinfo(name).file_size  # decides between ZIP and ZIP64 headers
            with source.open(name) as old, target.open(info, "w") as new:
                shutil.copyfileobj(old, new, 1 << 20)
    settled.replace(archive)


def pack(source: Path, out: Path, python: str, suffix: str = "") -> Path:
    """Build and validate the zip of the staged folder ``source`` in ``out``; returns its path."""
    tool = extension_tool(python)
    version = tomllib.loads((source / MANIFEST).read_text(encoding="utf-8"))["version"]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        archive = Path(temporary, f"pamir_blender-{version}{suffix}.zip")
        run_tool(python, tool, "build", "--source-dir", str(source), "--output-filepath", str(archive))
        settle(archive)
        run_tool(python, tool, "validate", str(archive))
        return archive.replace(out / archive.name)


def write_repository(folder: Path, python: str) -> Path:
    """Make the folder of zips a static repository: ``index.json`` and ``index.html``; returns the former.

    Raises :class:`BuildError` when there is no zip or when two zips are for the same Blender, between which
    Blender could not choose.
    """
    if not list(folder.glob("*.zip")):
        raise BuildError(f"{folder} holds no zip. Build one into it first, with --out {folder}.")
    said = run_tool(python, extension_tool(python), "server-generate", "--repo-dir", str(folder), "--html")
    if "WARN" in said:
        for name in ("index.json", "index.html"):
            (folder / name).unlink(missing_ok=True)
        raise BuildError(
            f"{said}\nA repository holds one zip for each platform and Blender version: either the zip "
            "without a backend, or one kind of zip with it. Move the others elsewhere."
        )
    return folder / "index.json"


def contents(archive: Path) -> str:
    """The zip's files by folder: how many and how large, unpacked and packed."""
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    packed: Counter[str] = Counter()
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            top = info.filename.split("/")[0] + "/" if "/" in info.filename else info.filename
            count[top] += 1
            size[top] += info.file_size
            packed[top] += info.compress_size
    rows = [f"  {'':28}{'files':>6}{'MB':>10}{'in zip':>10}"]
    rows += [
        f"  {top:28}{count[top]:6}{size[top] / 1e6:10.2f}{packed[top] / 1e6:10.2f}"
        for top in sorted(count, key=lambda name: -packed[name])
    ]
    return "\n".join(rows)
