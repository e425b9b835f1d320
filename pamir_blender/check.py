"""What this backend has: versions, device, models. For the panel's "Check backend" and for reports."""

from __future__ import annotations

import importlib.metadata
import platform

import torch

from . import __version__
from .body.landmark_depth import DEPTH_FILE
from .body.landmarks import load_landmark_model
from .body.load import load_body_model
from .errors import BackendError, PamirError
from .pamir.devices import choose_device
from .pamir.weights import find_weights, weights_digest
from .paths import models_dir
from .photo.model_files import FETCH_COMMAND, MODEL_FILES, ModelFile

_PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pillow", "opencv-python-headless", "ai-edge-litert")
_PACKAGES += ("safetensors", "fast-simplification", "pygltflib")


def versions() -> dict[str, str | None]:
    """Versions of what the result depends on; None for a package that is not installed."""
    found: dict[str, str | None] = {"pamir_blender": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _model(name: str, check: object) -> dict[str, object]:
    try:
        return {"name": name, "ok": True, **check()}
    except PamirError as error:
        return {"name": name, "ok": False, "detail": str(error)}


def _body() -> dict[str, str]:
    model = load_body_model(None)
    return {"file": str(models_dir() / "open_body.npz"), "detail": f"{model.vertex_count} vertices"}


def _landmarks() -> dict[str, str]:
    landmarks = load_landmark_model(load_body_model(None))
    return {"file": str(DEPTH_FILE), "detail": f"sha256 {landmarks.depth.digest[:12]}"}


def _weights(kind: str) -> dict[str, str]:
    path = find_weights(kind, "lite")
    return {"file": str(path), "detail": f"sha256 {weights_digest(path)[:12]}"}


def _landmark_model(file: ModelFile) -> dict[str, str]:
    path = models_dir() / file.name
    if not path.is_file():
        raise BackendError(f"missing; run: {FETCH_COMMAND}")
    if not file.matches(path.read_bytes()):
        raise BackendError(f"damaged; delete it and run: {FETCH_COMMAND}")
    return {"file": str(path)}


def check_backend(device: str = "auto") -> dict[str, object]:
    """A report of plain JSON values; raises :class:`BackendError` only for a device that is not there.

    ``models`` is a list of ``{"name", "ok", "file"?, "detail"?}``; ``warnings`` are sentences.
    """
    chosen = choose_device(device)
    gpu = chosen.type == "cuda"
    models = [
        _model("open body", _body),
        _model("landmarks", _landmarks),
        _model("lite geometry", lambda: _weights("geometry")),
        _model("lite texture", lambda: _weights("texture")),
    ]
    models += [_model(file.name, lambda file=file: _landmark_model(file)) for file in MODEL_FILES]
    found = versions()
    missing = [name for name, version in found.items() if version is None]
    warnings = [f"not installed: {', '.join(missing)}"] if missing else []
    return {
        "device": str(chosen),
        "device_name": torch.cuda.get_device_name(chosen) if gpu else platform.processor() or "CPU",
        "threads": torch.get_num_threads(),
        "package": __version__,
        "python": platform.python_version(),
        "versions": found,
        "models": models,
        "warnings": warnings,
    }
