"""The backend's report as sentences for the preferences page; knows nothing of Blender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MOST = 60


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``good`` False asks for the artist's attention."""

    good: bool
    text: str


_latest: list[Finding] = []


def keep(report: dict[str, Any]) -> None:
    """Keep the report of the last check, for drawing."""
    _latest[:] = describe(report)


def forget() -> None:
    """Drop the last report, before a new check."""
    _latest.clear()


def latest() -> list[Finding]:
    """The last report's lines; empty before the first check."""
    return list(_latest)


def describe(report: dict[str, Any]) -> list[Finding]:
    """The report's lines: device, versions, models, warnings, in this order."""
    lines = []
    if report.get("device"):
        name = report.get("device_name")
        kind = {"cpu": "processor", "cuda": "NVIDIA GPU"}.get(str(report["device"]), report["device"])
        lines.append(Finding(True, f"Device: {kind}" + (f" ({name})" if name and name != "CPU" else "")))
    versions = _mapping(report.get("versions"))
    if report.get("python"):
        versions = {"python": report["python"], **versions}
    for package, version in versions.items():
        text = f"{package} {version}" if version else f"{package} is missing in the worker's Python"
        lines.append(Finding(bool(version), text))
    lines += [_model(_mapping(model)) for model in _list(report.get("models"))]
    lines += [Finding(False, str(warning)) for warning in _list(report.get("warnings"))]
    return lines[:_MOST]


def _model(model: dict[str, Any]) -> Finding:
    good = bool(model.get("ok"))
    detail = str(model.get("detail") or "")
    name = str(model.get("name") or model.get("file") or "Model")
    if good:
        return Finding(True, f"{name}: found" + (f", {detail}" if detail else ""))
    return Finding(False, f"{name}: " + (detail or f"missing ({model.get('file')})"))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
