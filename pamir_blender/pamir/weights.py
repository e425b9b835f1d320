"""Saving and loading network weights: safetensors in float16 that say what they are.

The file's metadata holds the network's kind, its whole configuration, a card (what it was trained on, by
what, with which scores, under which licence) and a SHA-256 over kind, configuration and tensors. Loading
builds the network from the configuration and refuses whatever does not fit.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..body.graph_network import GraphCmr, GraphCmrConfig
from ..errors import WeightsError
from ..paths import models_dir
from .config import SIZES, GeometryConfig, TextureConfig
from .config_values import config_from_dict, config_to_dict
from .geometry import GeometryNetwork
from .texture import TextureNetwork

FORMAT = "pamir_blender.weights"
VERSION = "1"
MAX_BYTES = 1 << 30
"""Larger files are not ours: the biggest of our networks has 47 million parameters."""

_KINDS: dict[str, tuple[type, type]] = {
    "geometry": (GeometryNetwork, GeometryConfig),
    "texture": (TextureNetwork, TextureConfig),
    "graphcmr": (GraphCmr, GraphCmrConfig),
}


def save_weights(path: Path | str, network: nn.Module, card: dict[str, Any]) -> str:
    """Write a network's weights in float16 with its configuration and card; returns their digest.

    The file appears whole or not at all. Raises WeightsError where a value does not fit float16 or the folder
    cannot be written.
    """
    path = Path(path)
    tensors = {name: _to_storage(name, value) for name, value in network.state_dict().items()}
    kind, config = network.kind, json.dumps(config_to_dict(network.config), sort_keys=True)
    digest = _digest(kind, config, tensors)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "config": config,
        "sha256": digest,
        "card": json.dumps(card, sort_keys=True),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".weights") as folder:
            part = Path(folder) / path.name
            save_file(tensors, str(part), metadata=metadata)
            # Temporary files are private; weights are for everyone who may read the folder.
            part.chmod(0o644)
            part.replace(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"The weights could not be written to {path}: {error}") from error
    return digest


def load_geometry(path: Path | str, *, device: str | torch.device = "cpu") -> GeometryNetwork:
    """The geometry network of a weights file, float32, for inference; WeightsError if it does not fit."""
    return _load(Path(path), "geometry", device)


def load_texture(path: Path | str, *, device: str | torch.device = "cpu") -> TextureNetwork:
    """The texture network of a weights file, float32, for inference; WeightsError if it does not fit."""
    return _load(Path(path), "texture", device)


def load_graphcmr(path: Path | str, *, device: str | torch.device = "cpu") -> GraphCmr:
    """GraphCMR from a weights file, float32, for inference; attach a body graph before use."""
    return _load(Path(path), "graphcmr", device)


def weights_digest(path: Path | str) -> str:
    """The SHA-256 a weights file states of itself (loading checks it); WeightsError if it states none."""
    return _metadata(Path(path))["sha256"]


def read_card(path: Path | str) -> dict[str, Any]:
    """The card inside a weights file."""
    return _parse(Path(path), _metadata(Path(path)), "card")


def find_weights(kind: str, size: str, folder: Path | str | None = None) -> Path:
    """The weights file ``<size>_<kind>.safetensors`` in ``folder``, by default the project's models folder.

    Raises WeightsError if it is not there.
    """
    if kind not in _KINDS or size not in SIZES:
        raise WeightsError(f"There are no weights of kind {kind!r} and size {size!r}.")
    path = (Path(folder) if folder else models_dir()) / f"{size}_{kind}.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"The weights file {path} is missing. Put the {size} {kind} weights there, choose their folder, "
            f"or choose another size."
        )
    return path


def _to_storage(name: str, value: Tensor) -> Tensor:
    value = value.detach().cpu()
    if value.is_floating_point():
        value = value.half()
        if not torch.isfinite(value).all():
            raise WeightsError(f"The weights are not saved: {name} has values that float16 cannot hold.")
    return value.contiguous()


def _digest(kind: str, config: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(f"{FORMAT}\n{VERSION}\n{kind}\n{config}\n".encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _refuse(path: Path, reason: str) -> WeightsError:
    return WeightsError(f"The weights file {path} cannot be used: {reason}")


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise _refuse(path, "there is no such file. Choose another one or put it there.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _refuse(
            path, f"it has {size} bytes, more than any network of this project. Choose another one."
        )


def _metadata(path: Path) -> dict[str, str]:
    _check_size(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _refuse(path, f"it is damaged or no safetensors file ({error}). Get it again.") from error
    if metadata.get("format") != FORMAT:
        raise _refuse(path, "it was not written by this project. Choose weights made for PaMIR for Blender.")
    if metadata.get("version") != VERSION:
        raise _refuse(
            path, f"its format version is {metadata.get('version')}, {VERSION} is needed. Update the add-on."
        )
    missing = [key for key in ("kind", "config", "sha256", "card") if key not in metadata]
    if missing:
        raise _refuse(path, f"its header lacks {', '.join(missing)}. Get it again.")
    return metadata


def _parse(path: Path, metadata: dict[str, str], key: str) -> dict[str, Any]:
    try:
        value = json.loads(metadata[key])
    except (json.JSONDecodeError, RecursionError) as error:
        raise _refuse(path, f"its {key} is not readable ({error}). Get it again.") from error
    if not isinstance(value, dict):
        raise _refuse(path, f"its {key} is not a table. Get it again.")
    return value


def _load(path: Path, kind: str, device: str | torch.device) -> Any:
    metadata = _metadata(path)
    if metadata["kind"] != kind:
        raise _refuse(path, f"it holds {metadata['kind']} weights, {kind} weights are needed here.")
    network_type, config_type = _KINDS[kind]
    try:
        config = config_from_dict(config_type, _parse(path, metadata, "config"))
    except WeightsError as error:
        raise _refuse(path, str(error)) from error
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise _refuse(path, f"it is damaged ({error}). Get it again.") from error
    if _digest(kind, metadata["config"], tensors) != metadata["sha256"]:
        raise _refuse(path, "its checksum does not match; it was changed or damaged. Get it again.")
    # Built without memory: a foreign configuration must not allocate more than the file holds.
    with torch.device("meta"):
        network = network_type(config)
    _check_tensors(path, network, tensors)
    state = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    network.load_state_dict(state, assign=True)
    return network.to(device).eval()


def _check_tensors(path: Path, network: nn.Module, tensors: dict[str, Tensor]) -> None:
    expected = network.state_dict()
    missing, extra = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or extra:
        raise _refuse(
            path,
            f"its tensors do not fit its configuration ({len(missing)} missing, {len(extra)} too many, for "
            f"example {(missing + extra)[0]}). Get it again.",
        )
    for name, value in tensors.items():
        like = expected[name]
        if value.shape != like.shape or value.is_floating_point() != like.is_floating_point():
            raise _refuse(
                path,
                f"{name} is {tuple(value.shape)}, its configuration asks for {tuple(like.shape)}. "
                f"Get it again.",
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise _refuse(path, f"{name} holds values that are not numbers. Get it again.")
