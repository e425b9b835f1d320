"""The stacked hourglass image encoder (PaMIR section 4.2; Newell et al. 2016, with group norm)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .blocks import HourglassResidual, residuals
from .config import ImageEncoderConfig


class Hourglass(nn.Module):
    """One level: residuals at this resolution beside everything that happens at half of it.

    (B, widths[0], H, W) to the same shape; ``widths`` are the channels of this level and those below it.
    """

    def __init__(self, widths: tuple[int, ...], count: int, norm_groups: int) -> None:
        super().__init__()
        here, below = widths[0], widths[1]
        self.skip = residuals(count, here, here, norm_groups)
        self.down = residuals(count, here, below, norm_groups)
        if len(widths) > 2:
            self.inner: nn.Module = Hourglass(widths[1:], count, norm_groups)
        else:
            self.inner = residuals(count, below, below, norm_groups)
        self.up = residuals(count, below, here, norm_groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, widths[0], H, W) to the same shape; H and W divisible by 2 per level."""
        low = self.up(self.inner(self.down(functional.max_pool2d(x, 2))))
        return self.skip(x) + functional.interpolate(
            low, scale_factor=2.0, mode="bilinear", align_corners=False
        )


class Stack(nn.Module):
    """One hourglass, its head, and (except in the last stack) the way back into the next one."""

    def __init__(self, config: ImageEncoderConfig, *, last: bool) -> None:
        super().__init__()
        width, groups = config.level_widths[0], config.norm_groups
        self.hourglass = Hourglass(config.level_widths, config.residuals, groups)
        self.post = residuals(config.residuals, width, width, groups)
        self.head = nn.Conv2d(width, width, 1)
        self.head_norm = nn.GroupNorm(groups, width)
        self.output = nn.Conv2d(width, config.feature_channels, 1)
        if not last:
            self.merge_features = nn.Conv2d(width, width, 1)
            self.merge_output = nn.Conv2d(config.feature_channels, width, 1)
        self.last = last

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, W, H, W) to the output (B, F, H, W) and the next stack's input, None behind the last."""
        y = functional.relu(self.head_norm(self.head(self.post(self.hourglass(x)))))
        output = self.output(y)
        if self.last:
            return output, None
        return output, x + self.merge_features(y) + self.merge_output(output)


class ImageEncoder(nn.Module):
    """Stem and stacks: (B, image_channels, S, S) RGB(+mask) in [0, 1] to one feature map per stack.

    Each map is (B, feature_channels, S / stem_stride, S / stem_stride); inference reads the last.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        groups, width = config.norm_groups, config.level_widths[0]
        self.stem_conv = nn.Conv2d(config.image_channels, config.stem_channels, 7, stride=2, padding=3)
        self.stem_norm = nn.GroupNorm(groups, config.stem_channels)
        self.stem1 = HourglassResidual(config.stem_channels, width, groups)
        self.stem2 = HourglassResidual(width, width, groups)
        self.stem3 = HourglassResidual(width, width, groups)
        last = config.stacks - 1
        self.stacks = nn.ModuleList(Stack(config, last=i == last) for i in range(config.stacks))

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, C, S, S) to the stacks' outputs, the last one for inference."""
        x = self.stem1(functional.relu(self.stem_norm(self.stem_conv(image))))
        if self.config.stem_stride == 4:
            x = functional.max_pool2d(x, 2)
        x = self.stem3(self.stem2(x))
        outputs = []
        for stack in self.stacks:
            output, following = stack(x)
            outputs.append(output)
            if following is not None:
                x = following
        return outputs
