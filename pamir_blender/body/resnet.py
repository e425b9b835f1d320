"""GraphCMR's image encoder: ResNet-50 (He et al. 2016) up to the pooled features, and a small one."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

FEATURES = 2048
"""Channels of the pooled output."""

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 convolutions, each batch-normalised, beside a skip."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        if stride != 1 or in_channels != out_channels:
            self.downsample: nn.Module = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, 4 * channels, H / stride, W / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet50(nn.Module):
    """(B, 3, S, S) to (B, 2048): the mean over the last feature map.

    ``idle_layers`` adds the classifier that the published parameter count includes and nothing reads.
    """

    def __init__(self, *, idle_layers: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        previous = 64
        for number, (channels, count, stride) in enumerate(_STAGES, start=1):
            blocks = []
            for i in range(count):
                blocks.append(Bottleneck(previous, channels, stride if i == 0 else 1))
                previous = channels * _EXPANSION
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        if idle_layers:
            self.idle_fc = nn.Linear(FEATURES, 1000)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) normalised RGB to (B, 2048)."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(image))), 3, stride=2, padding=1)
        for number in range(1, len(_STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return x.mean(dim=(2, 3))


SMALL_WIDTHS = (32, 64, 128, 192)
_SMALL_CELLS, _SMALL_REDUCED = 4, 32


class SmallResidual(nn.Module):
    """Two 3x3 convolutions, group-normalised, beside a skip."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(8, channels)
        same = stride == 1 and in_channels == channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.skip(x))


class SmallEncoder(nn.Module):
    """(B, 4, S, S) masked RGB and mask to (B, 512): a residual network that a CPU trains.

    Batches on a CPU are small, hence group norms. Its last map is not averaged away but reduced: where limbs
    are in the crop says most about the pose.
    """

    features = _SMALL_REDUCED * _SMALL_CELLS**2

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 24, 5, stride=2, padding=2, bias=False)
        self.norm = nn.GroupNorm(8, 24)
        blocks, previous = [], 24
        for width in SMALL_WIDTHS:
            blocks += [SmallResidual(previous, width, 2), SmallResidual(width, width, 1)]
            previous = width
        self.blocks = nn.Sequential(*blocks)
        self.reduce = nn.Conv2d(previous, _SMALL_REDUCED, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 4, S, S) to (B, 512)."""
        x = self.blocks(functional.relu(self.norm(self.conv(image))))
        return functional.adaptive_avg_pool2d(self.reduce(x), _SMALL_CELLS).flatten(1)
