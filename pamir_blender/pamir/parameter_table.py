"""The networks' parameter counts beside the paper's: ``python -m pamir_blender.pamir.parameter_table``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ..body.graph_network import GraphCmr, GraphCmrConfig
from .blocks import count_parameters
from .config import GeometryConfig, TextureConfig
from .geometry import GeometryNetwork
from .texture import TextureNetwork


@dataclass(frozen=True)
class ParameterRow:
    """One line: the network, the part of it (or "all"), its count, and the published one or None."""

    network: str
    part: str
    parameters: int
    published: int | None = None


_PUBLISHED = {
    ("geometry paper", "all"): 27_225_105,
    ("geometry paper", "image_encoder"): 25_641_792,
    ("geometry paper", "volume_encoder"): 340_176,
    ("geometry paper", "decoder"): 1_243_137,
    ("texture paper, 6-channel volume", "all"): 13_088_268,
    ("texture paper", "all"): 13_085_268,
    ("graphcmr paper", "all"): 46_874_690,
    ("graphcmr paper", "graph_cnn"): 27_640_672,
    ("graphcmr paper", "regressor"): 19_234_018,
    ("graphcmr released", "all"): 42_668_098,
}
"""Table 1 of the paper, its parts, and what the released networks hold."""


def parameter_table() -> list[ParameterRow]:
    """Every network of both sizes with its parts; builds no tensors."""
    with torch.device("meta"):
        networks: dict[str, nn.Module] = {
            "geometry paper": GeometryNetwork(GeometryConfig.paper()),
            "texture paper": TextureNetwork(TextureConfig.paper()),
            "texture paper, 6-channel volume": TextureNetwork(TextureConfig.paper(volume_channels=6)),
            "graphcmr paper": GraphCmr(GraphCmrConfig.paper()),
            "graphcmr released": GraphCmr(GraphCmrConfig.released()),
            "geometry lite": GeometryNetwork(GeometryConfig.lite()),
            "texture lite": TextureNetwork(TextureConfig.lite()),
        }
    rows = []
    for name, network in networks.items():
        for part, module in [("all", network), *network.named_children()]:
            rows.append(ParameterRow(name, part, count_parameters(module), _PUBLISHED.get((name, part))))
    return rows


def format_parameter_table(rows: list[ParameterRow] | None = None) -> str:
    """The table as text, aligned; ``rows`` None: :func:`parameter_table`'s."""
    lines = [f"{'network':32} {'part':16} {'parameters':>12} {'published':>12}"]
    for row in rows if rows is not None else parameter_table():
        published = "" if row.published is None else f"{row.published:,}"
        lines.append(f"{row.network:32} {row.part:16} {row.parameters:>12,} {published:>12}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    print(format_parameter_table())
