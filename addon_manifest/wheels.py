"""Which wheels a zip carries: found with pip for any platform, their sizes, licences and hashes.

pip evaluates environment markers for the machine it runs on, so the dependencies are followed here, one
generation after the other, with the markers of the zip's own platform.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pamir_blender.addon.backend.bundle import FORMAT
from pamir_blender.addon.backend.managed import NOT_BUNDLED

from .errors import BuildError
from .variants import Variant

try:
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name
except ImportError:  # an environment that uv made; a zip without a backend needs no pip
    Requirement = None

_LICENSE_LENGTH = 60


@dataclass(frozen=True)
class FoundWheel:
    """One wheel; ``size`` in bytes, or None where it could not be learnt."""

    name: str
    version: str
    file: str
    url: str
    sha256: str
    licence: str
    size: int | None


@dataclass(frozen=True)
class Resolution:
    """A variant's wheels, and for each requirement that nothing fits pip's own words."""

    variant: Variant
    wheels: tuple[FoundWheel, ...]
    unknown: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of the wheels whose size is known."""
        return sum(wheel.size or 0 for wheel in self.wheels)


def resolve(variant: Variant) -> Resolution:
    """Follow the backend's dependencies for ``variant``; raises :class:`BuildError` without pip."""
    if Requirement is None:
        raise BuildError(f"{sys.executable} has no pip, which finds the wheels. Use a Python that has.")
    wanted: dict[str, set[str]] = {}
    for line in variant.requirements():
        requirement = Requirement(_plain(line))
        wanted[canonicalize_name(requirement.name)] = {line}
    reports: dict[str, dict[str, Any]] = {}
    unknown: dict[str, str] = {}
    asked: dict[str, frozenset[str]] = {}
    while todo := {n: frozenset(lines) for n, lines in wanted.items() if asked.get(n) != lines}:
        asked.update(todo)
        found: dict[str, dict[str, Any]] = {}
        own = {name: todo.pop(name) for name in list(todo) if variant.index_arguments(name)}
        together = _report(variant, [line for lines in todo.values() for line in lines]) if todo else {}
        if together is None:
            own.update(todo)
        for name, lines in own.items():
            one = _report(variant, lines, name)
            if one is None:
                unknown[name] = " ".join(sorted(lines))
            found.update(one or {})
        found.update(together or {})
        for name, item in found.items():
            reports[name] = item
            extras = {extra for line in asked[name] for extra in Requirement(_plain(line)).extras}
            for line in item["metadata"].get("requires_dist", ()):
                _want(line, variant, extras, wanted)
    wheels = tuple(_wheel(name, item) for name, item in sorted(reports.items()))
    return Resolution(variant, wheels, unknown)


def _plain(line: str) -> str:
    return line.replace("===", "==")


def _want(line: str, variant: Variant, extras: set[str], wanted: dict[str, set[str]]) -> None:
    """Add one line of a package's metadata to ``wanted`` if it holds for this variant and these extras."""
    requirement = Requirement(line)
    name = canonicalize_name(requirement.name)
    marker = requirement.marker
    environments = [{**variant.environment(), "extra": extra} for extra in ("", *extras)]
    if name in NOT_BUNDLED or (marker is not None and not any(map(marker.evaluate, environments))):
        return
    if name == "torch" and name in wanted:
        return
    extras_wanted = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    wanted.setdefault(name, set()).add(f"{requirement.name}{extras_wanted}{requirement.specifier}")


def _report(variant: Variant, lines: Iterable[str], name: str = "") -> dict[str, dict[str, Any]] | None:
    """pip's choice for these requirements, or None if it finds none for one of them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--no-deps", "--target", folder, "--report", str(report)]
        command += [*variant.pip_arguments(), *variant.index_arguments(name), *lines]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {canonicalize_name(item["metadata"]["name"]): item for item in items}


def _wheel(name: str, item: dict[str, Any]) -> FoundWheel:
    where = item["download_info"]
    url = where["url"]
    digest = where.get("archive_info", {}).get("hashes", {}).get("sha256", "")
    file = urllib.parse.unquote(url.rsplit("/", 1)[-1])
    return FoundWheel(
        name, item["metadata"]["version"], file, url, digest, licence(item["metadata"]), size_of(url)
    )


def licence(metadata: dict[str, Any]) -> str:
    """A package's licence in its own words, one short line."""
    named = metadata.get("license_expression")
    classified = [c.split(" :: ")[-1] for c in metadata.get("classifier", ()) if c.startswith("License ::")]
    text = named or "; ".join(c for c in classified if c != "OSI Approved") or metadata.get("license") or ""
    first = text.strip().split("\n")[0]
    return first[:_LICENSE_LENGTH] or "not told before it is fetched"


def licence_in(file: Path) -> str:
    """The licence that a wheel itself states."""
    with zipfile.ZipFile(file) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        stated = email.parser.BytesParser().parsebytes(archive.read(name), headersonly=True)
    found = licence(
        {
            "license_expression": stated["License-Expression"],
            "classifier": stated.get_all("Classifier", []),
            "license": stated["License"],
        }
    )
    return found if not found.startswith("not told") else "not stated in its metadata; see the wheel"


def size_of(url: str) -> int | None:
    """Bytes of a wheel, without fetching it; None if nobody says."""
    try:
        if url.startswith("file:"):
            return Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path)).stat().st_size
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, ValueError, TypeError):
        return None


def fetch(resolution: Resolution, folder: Path) -> list[Path]:
    """All wheels in ``folder``, fetched if need be; raises :class:`BuildError` if one cannot be had."""
    variant = resolution.variant
    if resolution.unknown:
        raise BuildError(unavailable(resolution))
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for wheel in resolution.wheels:
        file = folder / wheel.file
        if not (file.is_file() and wheel.sha256 in ("", sha256(file))):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
            command += [*variant.pip_arguments(), *variant.index_arguments(wheel.name)]
            command.append(f"{wheel.name}==={wheel.version}")
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or not file.is_file():
                raise BuildError(f"{wheel.file} cannot be fetched:\n{done.stderr.strip()[-2000:]}")
        if wheel.sha256 and sha256(file) != wheel.sha256:
            raise BuildError(f"{file} is not what the index announced. Delete it and build again.")
        files.append(file)
    return files


def unavailable(resolution: Resolution) -> str:
    """What is missing for a zip, and the command that builds it elsewhere."""
    variant = resolution.variant
    missing = ", ".join(sorted(resolution.unknown.values()))
    hosts = "pypi.org" + (f" and {variant.index}" if variant.index else "")
    return (
        f"{variant.name}: no wheel is to be had here for {missing}.\n"
        f"On any machine that reaches {hosts}, with bpy and pip in its Python, this completes it:\n"
        f"    python build_addon.py --backend {variant.backend} --platform {variant.platform} "
        f"--python {variant.python}"
    )


def bundle_description(variant: Variant, wheels: Iterable[Path]) -> dict[str, Any]:
    """The content of ``bundle.json`` for these files."""
    entries = []
    for file in sorted(wheels):
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
        entries.append(
            {
                "file": file.name,
                "sha256": sha256(file),
                "size": file.stat().st_size,
                "unpacked": sum(info.file_size for info in members),
                "files": len(members),
            }
        )
    head = {"format": FORMAT, "backend": variant.backend, "platform": variant.platform}
    return {**head, "python": variant.python, "wheels": entries}


def sha256(file: Path) -> str:
    """Hexadecimal digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
