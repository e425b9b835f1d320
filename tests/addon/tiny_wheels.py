"""Wheels of a few bytes, made on the spot, and bundles of them."""

import hashlib
import json
import sys
import zipfile

from pamir_blender.addon.backend.bundle import BUNDLE_FILE, this_platform


def write_wheel(folder, name, files, version="1.0", metadata=()):
    """``files`` maps paths to text; the metadata that pip needs comes by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *metadata]
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def write_bundle(folder, files, **changes):
    """``bundle.json`` for these files, as the build writes it but for ``changes``."""
    entries = []
    for wheel in files:
        with zipfile.ZipFile(wheel) as archive:
            members = archive.infolist()
        entries.append(
            {
                "file": wheel.name,
                "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
                "size": wheel.stat().st_size,
                "unpacked": sum(m.file_size for m in members),
                "files": len(members),
            }
        )
    python = ".".join(map(str, sys.version_info[:2]))
    head = {"format": 1, "backend": "cpu", "platform": this_platform(), "python": python, "wheels": entries}
    (folder / BUNDLE_FILE).write_text(json.dumps({**head, **changes}), "utf-8")
