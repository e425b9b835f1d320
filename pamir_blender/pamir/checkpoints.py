"""Reads checkpoints of the released research code that users downloaded themselves.

Those files are under their authors' licence: nothing of them ships. They are read without running any pickled
code; ``weights.save_weights`` turns the result into a weights file of this project.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..body.graph_network import GraphCmr, GraphCmrConfig
from ..errors import WeightsError
from . import checkpoint_names as names
from .config import GeometryConfig, TextureConfig
from .geometry import GeometryNetwork
from .texture import TextureNetwork

MAX_BYTES = 2 << 30


def read_released_geometry(path: Path | str, config: GeometryConfig | None = None) -> GeometryNetwork:
    """The geometry network in a released ``pamir_geometry`` checkpoint, float32, for inference.

    ``config`` None: the released one, with as many volume channels as the file has. Raises WeightsError,
    which names the file and what is wrong with it.
    """
    path = Path(path)
    state = _section(path, _load(path), "pamir_net")
    if config is None:
        channels = _channels(path, state, "ve.conv1.weight")
        config = GeometryConfig.paper(variant="released", volume_channels=channels)
    config.validate()
    network = _empty(GeometryNetwork, config)
    residuals = config.image.residuals
    return _fill(path, network, {"": state}, lambda name: ("", names.geometry_name(name, residuals)))


def read_released_texture(path: Path | str, config: TextureConfig | None = None) -> TextureNetwork:
    """The texture network in a released ``pamir_texture`` checkpoint; as :func:`read_released_geometry`."""
    path = Path(path)
    state = _section(path, _load(path), "pamir_tex_net")
    if config is None:
        channels = _channels(path, state, "ve.conv1.weight")
        config = TextureConfig.paper(variant="released", volume_channels=channels)
    config.validate()
    network = _empty(TextureNetwork, config)
    return _fill(path, network, {"": state}, lambda name: ("", names.texture_name(name)))


def read_released_graphcmr(path: Path | str, config: GraphCmrConfig | None = None) -> GraphCmr:
    """GraphCMR in a released ``gcmr_*`` checkpoint; as :func:`read_released_geometry`.

    The number of the regressor's blocks (2 or 4) is read off the file. The body graph is not in it.
    """
    path = Path(path)
    checkpoint = _load(path)
    states = {key: _section(path, checkpoint, key) for key in ("graph_cnn", "smpl_param_regressor")}
    config = config or GraphCmrConfig.released()
    regressor = states["smpl_param_regressor"]
    blocks = sum(name.endswith(".fc_block.3.weight") for name in regressor)
    config = replace(config, regressor_blocks=blocks)
    config.validate()

    def place(name: str) -> tuple[str, str]:
        part, rest = name.split(".", 1)
        if part == "graph_cnn":
            return "graph_cnn", names.graph_cnn_name(rest)
        return "smpl_param_regressor", names.regressor_name(rest, blocks)

    return _fill(path, _empty(GraphCmr, config), states, place)


def _refuse(path: Path, reason: str) -> WeightsError:
    return WeightsError(f"The checkpoint {path} cannot be used: {reason}")


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _refuse(path, "there is no such file. Choose another one.")
    if path.stat().st_size > MAX_BYTES:
        raise _refuse(path, f"it has {path.stat().st_size} bytes, more than any released checkpoint.")
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
        except Exception as error:  # damaged archives raise nearly anything
            raise _refuse(path, f"it is damaged ({error}). Get it again.") from error
        if unpacked > MAX_BYTES:
            raise _refuse(path, f"it unpacks to {unpacked} bytes, more than any released checkpoint.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first_line = str(error).splitlines()[0]
        raise _refuse(
            path, f"it is damaged, or holds more than tensors ({first_line}). Nothing of it was run."
        ) from error
    except Exception as error:  # damaged archives raise nearly anything
        raise _refuse(path, f"it is damaged or no PyTorch checkpoint ({error}). Get it again.") from error
    if not isinstance(checkpoint, dict):
        raise _refuse(path, f"it holds a {type(checkpoint).__name__}, not named networks.")
    return checkpoint


def _section(path: Path, checkpoint: dict[str, Any], key: str) -> dict[str, Tensor]:
    state = checkpoint.get(key)
    if not isinstance(state, dict):
        found = ", ".join(sorted(map(str, checkpoint))[:8]) or "nothing"
        raise _refuse(path, f"it holds no '{key}' (it holds {found}). Choose the checkpoint of that network.")
    bad = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if bad:
        raise _refuse(path, f"{bad[0]} in it is not a tensor. Get it again.")
    return state


def _channels(path: Path, state: dict[str, Tensor], name: str) -> int:
    if name not in state or state[name].ndim != 5:
        raise _refuse(path, f"{name} is missing or not a 3D convolution. Choose a released PaMIR checkpoint.")
    return state[name].shape[1]


def _empty(kind: type[nn.Module], config: Any) -> nn.Module:
    with torch.device("meta"):
        return kind(config)


def _fill(
    path: Path,
    network: nn.Module,
    states: dict[str, dict[str, Tensor]],
    place: Callable[[str], tuple[str, str]],
) -> Any:
    """``network`` with the tensors that ``place`` finds for it as (section, name); none may be left over."""
    taken: set[tuple[str, str]] = set()
    filled: dict[str, Tensor] = {}
    missing: list[str] = []
    for ours, like in network.state_dict().items():
        section, theirs = place(ours)
        taken.add((section, theirs))
        if theirs not in states[section]:
            missing.append(theirs)
            continue
        value = states[section][theirs]
        if names.is_transposed(theirs) and value.ndim == 2:
            value = value.t()
        # 1x1 convolutions and linear layers hold the same numbers with or without the axes of length 1.
        if _without_ones(value) != _without_ones(like):
            raise _refuse(
                path,
                f"{theirs} has shape {tuple(value.shape)}, {tuple(like.shape)} is needed for this network.",
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise _refuse(path, f"{theirs} holds values that are not numbers. Get it again.")
        value = value.float() if like.is_floating_point() else value.to(like.dtype)
        filled[ours] = value.reshape(like.shape).clone()
    extra = [name for section, state in states.items() for name in state if (section, name) not in taken]
    if missing or extra:
        example = (missing + extra)[0]
        raise _refuse(
            path,
            f"its tensors are not those of the released network ({len(missing)} missing, {len(extra)} "
            f"unknown, for example {example}). Choose a checkpoint of the network as released.",
        )
    network.load_state_dict(filled, assign=True)
    return network.eval()


def _without_ones(value: Tensor) -> list[int]:
    return [n for n in value.shape if n != 1]
