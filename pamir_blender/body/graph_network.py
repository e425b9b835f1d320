"""GraphCMR's networks: a graph CNN over the coarse body, and the regressor of SMPL parameters.

Kolotouros et al., "Convolutional Mesh Regression for Single-Image Human Shape Reconstruction", 2019; used by
PaMIR section 4.1 for the initial body.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import WeightsError
from .mesh_graph import GRAPH_VERTICES, BodyGraph
from .resnet import FEATURES, ResNet50, SmallEncoder

JOINTS = 24
BETAS = 10


@dataclass(frozen=True)
class GraphCmrConfig:
    """Shape of both networks.

    ``regressor_blocks`` 4 in PaMIR's count, 2 in the released checkpoints; ``variant`` "paper" projects to
    the nearest rotation and uses weak perspective, "released" repeats the released code's projection (which
    negates whole matrices) and its perspective; ``idle_layers`` carries the layers that are counted and never
    computed. ``encoder`` "resnet50", which sees the crop as it is, or "small", which sees the person and the
    mask alone.
    """

    image_size: int = 224
    graph_vertices: int = GRAPH_VERTICES
    width: int = 256
    blocks: int = 5
    shape_widths: tuple[int, int] = (64, 32)
    regressor_width: int = 1024
    regressor_blocks: int = 4
    variant: str = "paper"
    idle_layers: bool = True
    # Files of networks that were converted before there was a choice lack this entry.
    encoder: str = field(default="resnet50", metadata={"optional": True})

    @classmethod
    def lite(cls) -> GraphCmrConfig:
        """5.0 million parameters, half in the regressor's first layer: what two CPU cores can train."""
        return cls(
            image_size=128,
            width=64,
            blocks=3,
            shape_widths=(32, 16),
            regressor_width=256,
            regressor_blocks=2,
            idle_layers=False,
            encoder="small",
        )

    @classmethod
    def paper(cls) -> GraphCmrConfig:
        """46,874,690 parameters (PaMIR Table 1)."""
        return cls()

    @classmethod
    def released(cls) -> GraphCmrConfig:
        """42,668,098 parameters: what the released checkpoints hold."""
        return cls(regressor_blocks=2, variant="released")

    def validate(self) -> None:
        """Raise WeightsError for values no network can be built from."""
        widths = (self.width, *self.shape_widths)
        usable = (
            32 <= self.image_size <= 1024
            and 4 <= self.graph_vertices <= 20_000
            and all(16 <= width <= 4096 and width % 16 == 0 for width in widths)
            and 0 <= self.blocks <= 32
            and 0 < self.regressor_width <= 8192
            and 0 <= self.regressor_blocks <= 32
            and self.variant in ("paper", "released")
            and self.encoder in ("resnet50", "small")
        )
        if not usable:
            raise WeightsError("The GraphCMR configuration is not usable. Use the file it came with.")


class GraphResidual(nn.Module):
    """Bottleneck residual: norm-ReLU-linear, norm-ReLU-graph convolution, norm-ReLU-linear, skip."""

    def __init__(self, in_channels: int, out_channels: int, *, idle_layers: bool) -> None:
        super().__init__()
        middle = out_channels // 2
        self.norm1 = nn.GroupNorm(in_channels // 8, in_channels)
        self.linear1 = nn.Conv1d(in_channels, middle, 1)
        self.norm2 = nn.GroupNorm(middle // 8, middle)
        self.graph_linear = nn.Conv1d(middle, middle, 1)
        self.norm3 = nn.GroupNorm(middle // 8, middle)
        self.linear2 = nn.Conv1d(middle, out_channels, 1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv1d(in_channels, out_channels, 1)
        if in_channels == out_channels and idle_layers:
            self.idle_skip = nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(B, in, N) to (B, out, N); ``adjacency`` (N, N) sparse with rows summing to 1."""
        y = self.linear1(functional.relu(self.norm1(x)))
        y = propagate(adjacency, self.graph_linear(functional.relu(self.norm2(y))))
        return self.linear2(functional.relu(self.norm3(y))) + self.skip(x)


def propagate(adjacency: Tensor, x: Tensor) -> Tensor:
    """Mean over each vertex's neighbours: (N, N) sparse times (B, C, N) to (B, C, N), in float32."""
    batch, channels, count = x.shape
    # The gradient of a sparse product does not know autocast's bfloat16.
    with torch.autocast(x.device.type, enabled=False):
        rows = x.float().reshape(batch * channels, count)
        return torch.sparse.mm(adjacency, rows.t()).t().view(batch, channels, count)


class GraphCnn(nn.Module):
    """Image to the coarse body's vertices and a weak-perspective camera."""

    def __init__(self, config: GraphCmrConfig) -> None:
        super().__init__()
        width, idle = config.width, config.idle_layers
        small = config.encoder == "small"
        self.resnet = SmallEncoder() if small else ResNet50(idle_layers=idle)
        self.input = nn.Conv1d(3 + (SmallEncoder.features if small else FEATURES), 2 * width, 1)
        self.blocks = nn.ModuleList(
            GraphResidual(2 * width if i == 0 else width, width, idle_layers=idle)
            for i in range(config.blocks + 1)
        )
        first, second = config.shape_widths
        self.shape1 = GraphResidual(width, first, idle_layers=idle)
        self.shape2 = GraphResidual(first, second, idle_layers=idle)
        self.shape_norm = nn.GroupNorm(second // 8, second)
        self.shape_linear = nn.Conv1d(second, 3, 1)
        self.camera_norm = nn.GroupNorm(width // 8, width)
        self.camera_linear = nn.Conv1d(width, 1, 1)
        self.camera_output = nn.Linear(config.graph_vertices, 3)

    def forward(self, image: Tensor, positions: Tensor, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S), (N, 3) and (N, N) to vertices (B, N, 3) and camera (B, 3) = scale, x, y."""
        # One linear layer of template and image features at every vertex; the image's part is shared by all.
        weight = self.input.weight[..., 0]
        x = weight[:, :3] @ positions.t()
        x = x[None] + functional.linear(self.resnet(image), weight[:, 3:], self.input.bias)[:, :, None]
        for block in self.blocks:
            x = block(x, adjacency)
        shape = self.shape2(self.shape1(x, adjacency), adjacency)
        vertices = self.shape_linear(functional.relu(self.shape_norm(shape)))
        camera = functional.relu(self.camera_linear(functional.relu(self.camera_norm(x))))
        return vertices.transpose(1, 2), self.camera_output(camera.squeeze(1))


class FullyConnectedResidual(nn.Module):
    """linear-norm-ReLU-linear-norm plus the input, then ReLU; (B, C) to (B, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.norm1 = nn.BatchNorm1d(width)
        self.linear2 = nn.Linear(width, width)
        self.norm2 = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) to (B, C)."""
        y = functional.relu(self.norm1(self.linear1(x)))
        return functional.relu(x + self.norm2(self.linear2(y)))


class SmplRegressor(nn.Module):
    """Coarse vertices beside the template's to rotations (B, 24, 3, 3) and betas (B, 10)."""

    def __init__(self, config: GraphCmrConfig) -> None:
        super().__init__()
        self.variant = config.variant
        self.input = nn.Linear(config.graph_vertices * 6, config.regressor_width)
        self.norm = nn.BatchNorm1d(config.regressor_width)
        self.blocks = nn.ModuleList(
            FullyConnectedResidual(config.regressor_width) for _ in range(config.regressor_blocks)
        )
        self.output = nn.Linear(config.regressor_width, JOINTS * 9 + BETAS)

    def forward(self, vertices: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3) and (N, 3) to rotations and betas."""
        x = torch.cat([vertices, positions[None].expand_as(vertices)], dim=-1).flatten(1)
        x = functional.relu(self.norm(self.input(x)))
        for block in self.blocks:
            x = block(x)
        x = self.output(x)
        matrices = x[:, : JOINTS * 9].reshape(-1, JOINTS, 3, 3)
        return orthogonalise(matrices, self.variant), x[:, JOINTS * 9 :]


def orthogonalise(matrices: Tensor, variant: str = "paper") -> Tensor:
    """(..., 3, 3) to rotations.

    "paper": the nearest rotation, U diag(1, 1, det(U V^T)) V^T. "released": det(U V^T) U V^T, which negates
    the whole matrix where the determinant is negative. Computed in float32 whatever surrounds it.
    """
    # Under autocast products come back in bfloat16, of which there is no determinant, and no exact rotation.
    with torch.autocast(matrices.device.type, enabled=False):
        u, _, vt = torch.linalg.svd(matrices.float())
        sign = torch.linalg.det(u @ vt)
        if variant == "released":
            return sign[..., None, None] * (u @ vt)
        flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
        return (u * flip[..., None, :]) @ vt


class GraphCmr(nn.Module):
    """Both networks on one body graph. The graph is data, not weights: attach it before use."""

    kind = "graphcmr"

    def __init__(self, config: GraphCmrConfig) -> None:
        super().__init__()
        self.config = config
        self.graph_cnn = GraphCnn(config)
        self.regressor = SmplRegressor(config)
        self.graph: BodyGraph | None = None

    def attach(self, graph: BodyGraph) -> None:
        """Use this body graph; raises WeightsError if it has another number of vertices than the weights."""
        if len(graph.positions) != self.config.graph_vertices:
            raise WeightsError(
                f"The body graph of {graph.model} has {len(graph.positions)} vertices, the GraphCMR weights "
                f"were made for {self.config.graph_vertices}. Use the weights' own body graph."
            )
        self.graph = graph

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A picture to coarse vertices (B, N, 3), camera (B, 3), rotations (B, 24, 3, 3) and betas (B, 10).

        ``image`` is normalised RGB (B, 3, S, S), for the small encoder with the mask as a fourth channel.
        """
        if self.graph is None:
            raise RuntimeError("attach a body graph first")
        positions = torch.from_numpy(self.graph.positions).to(image)
        adjacency = torch.sparse_coo_tensor(
            torch.from_numpy(self.graph.edges),
            torch.from_numpy(self.graph.weights),
            (len(positions), len(positions)),
            device=image.device,
            check_invariants=True,
        ).to(image.dtype)
        vertices, camera = self.graph_cnn(image, positions, adjacency)
        # The regressor learns from these vertices as they are (Kolotouros et al.), without changing them.
        rotations, betas = self.regressor(vertices.detach(), positions)
        return vertices, camera, rotations, betas
