"""Where each tensor of our networks lies in a checkpoint of the released research code.

Given our tensor's name, the checkpoint's name; and the layout change, if any. Facts about files that users
bring, for interoperability.
"""

from __future__ import annotations

import re

_HOURGLASS_BRANCHES = {"skip": "up1_", "down": "low1_", "up": "low3_"}
_HOURGLASS_RESIDUAL = {
    "norm1": "bn", "conv1": "conv1", "norm2": "bn2", "conv2": "conv3", "skip": "conv4",
}  # fmt: skip
_PLAIN_RESIDUAL = {
    "conv1": "conv1", "norm1": "bn1", "conv2": "conv2", "norm2": "bn2",
    "idle_norm": "bn", "idle_conv": "conv3",
}  # fmt: skip
_GRAPH_RESIDUAL = {
    "norm1": "pre_norm", "linear1": "lin1", "norm2": "norm1", "graph_linear": "conv", "norm3": "norm2",
    "linear2": "lin2", "skip": "skip_conv", "idle_skip": "skip_conv",
}  # fmt: skip
_GRAPH_HEADS = {
    "shape_norm": "shape.2", "shape_linear": "shape.4", "camera_norm": "camera_fc.0",
    "camera_linear": "camera_fc.2", "camera_output": "camera_fc.4",
}  # fmt: skip
_STEM = {"stem_conv": "conv1_", "stem_norm": "bn1", "stem1": "r1", "stem2": "r4", "stem3": "r5"}
_FULLY_CONNECTED = {"linear1": "0", "norm1": "1", "linear2": "3", "norm2": "4"}


def geometry_name(name: str, residuals: int) -> str:
    """Name in ``pamir_net`` of our geometry tensor; ``residuals`` per hourglass step."""
    if name.startswith("image_encoder."):
        return "hg." + _hourglass_name(name.removeprefix("image_encoder."), residuals)
    return _shared_name(name)


def texture_name(name: str) -> str:
    """Name in ``pamir_tex_net`` of our texture tensor."""
    if name.startswith("image_encoder."):
        name = name.removeprefix("image_encoder.")
        return "cg." + (_residual_name(name) if name.startswith("blocks.") else name.replace("norm", "bn"))
    return _shared_name(name)


def graph_cnn_name(name: str) -> str:
    """Name in ``graph_cnn`` of our tensor; graph linear layers call theirs W and b."""
    if name.startswith("resnet."):
        return name.replace("idle_fc", "fc")
    module, kind = name.rsplit(".", 1)
    linear = {"weight": "W", "bias": "b"}[kind]
    if module == "input":
        return f"gc.0.{linear}"
    if module in _GRAPH_HEADS:
        graph_linear = module in ("shape_linear", "camera_linear")
        return f"{_GRAPH_HEADS[module]}.{linear if graph_linear else kind}"
    owner, part = module.rsplit(".", 1)
    owner = {"shape1": "shape.0", "shape2": "shape.1"}.get(owner) or f"gc.{int(owner.split('.')[1]) + 1}"
    graph_linear = part in ("linear1", "linear2", "skip", "idle_skip")
    return f"{owner}.{_GRAPH_RESIDUAL[part]}.{linear if graph_linear else kind}"


def regressor_name(name: str, blocks: int) -> str:
    """Name in ``smpl_param_regressor`` of our tensor; ``blocks`` residual blocks."""
    parts = name.split(".")
    if parts[0] == "blocks":
        return f"layers.{int(parts[1]) + 1}.fc_block.{_FULLY_CONNECTED[parts[2]]}.{parts[3]}"
    place = {"input": "0.fc_block.0", "norm": "0.fc_block.1", "output": str(blocks + 1)}[parts[0]]
    return f"layers.{place}.{parts[1]}"


def is_transposed(name: str) -> bool:
    """Whether the checkpoint holds this tensor (named as in ``graph_cnn``) with its two axes exchanged."""
    return re.fullmatch(r"(gc|shape)\.\d+\.conv\.weight", name) is not None


def _shared_name(name: str) -> str:
    """The volume encoder and the decoder, the same in both networks."""
    section, rest = name.split(".", 1)
    parts = rest.split(".")
    if section == "decoder":
        return f"mlp.conv{parts[1]}.0.{parts[2]}"
    if parts[0] == "blocks":
        return "ve." + _residual_name(rest)
    stem = {"stem_convs": "conv", "stem_norms": "bn", "heads": "conv_out"}[parts[0]]
    return f"ve.{stem}{int(parts[1]) + 1}.{parts[2]}"


def _residual_name(name: str) -> str:
    _, number, part, kind = name.split(".")
    return f"r{int(number) + 1}.{_PLAIN_RESIDUAL[part]}.{kind}"


def _hourglass_name(name: str, residuals: int) -> str:
    parts = name.split(".")
    if parts[0] in _STEM:
        place = _STEM[parts[0]]
        if len(parts) == 2:
            return f"{place}.{parts[1]}"
        return f"{place}.{_HOURGLASS_RESIDUAL[parts[1]]}.{parts[2]}"
    stack, part = int(parts[1]), parts[2]
    if part == "post":
        number = stack * residuals + int(parts[3])
        return f"Residual.{number}.{_HOURGLASS_RESIDUAL[parts[4]]}.{parts[5]}"
    if part != "hourglass":
        heads = {"head": "lin_.{}.0", "head_norm": "lin_.{}.1", "output": "tmpOut.{}"}
        heads |= {"merge_features": "ll_.{}", "merge_output": "tmpOut_.{}"}
        return f"{heads[part].format(stack)}.{parts[3]}"
    path, (number, layer, kind) = parts[3:-3], parts[-3:]
    # The deepest level holds a list where the others hold a level.
    levels = ["low2"] * path.count("inner")
    if path[-1] == "inner":
        levels[-1] = "low2_"
    else:
        levels.append(_HOURGLASS_BRANCHES[path[-1]])
    return f"hourglass.{stack}.{'.'.join(levels)}.{number}.{_HOURGLASS_RESIDUAL[layer]}.{kind}"
