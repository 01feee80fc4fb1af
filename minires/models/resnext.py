"""ResNeXt's block: the bottleneck whose 3×3 convolution has groups, and is wider or narrower for it.

    1×1, C → G·d     3×3, G·d → G·d in G groups, d channels each     1×1, G·d → 4·channels

d = width_per_group · channels / 64, so 32×4d has 4 channels a group in the first stage and twice as many in each that
follows. Xie et al., "Aggregated residual transformations for deep neural networks", 2017, figure 3c and table 1.
"""

import functools
from typing import Any

from minires.models.blocks import Bottleneck, strides
from minires.models.parts import activation_layer, conv, last_norm_layer, norm_layer, shortcut_layer
from minires.models.schemes import initialize

__all__ = ["ResNeXtBottleneck", "resnext_bottleneck"]


class ResNeXtBottleneck(Bottleneck):
    """The bottleneck with `groups` and `width_per_group`, of the class. Arguments and forward are `Bottleneck`'s."""

    groups = 32
    width_per_group = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        shortcut: str = "B",
        skip: bool = True,
        norm: str = "batch",
        activation: str = "relu",
        stride_on: str = "3x3",
        init: str | None = "he",
        seed: int | None = None,
    ) -> None:
        stride1, stride2 = strides(stride, stride_on)
        width, out_channels = channels * self.width_per_group // 64 * self.groups, channels * self.expansion
        self.conv1 = conv(in_channels, width, 1, stride1, norm)
        self.bn1 = norm_layer(norm, width)
        self.relu1 = activation_layer(activation)
        self.conv2 = conv(width, width, 3, stride2, norm, self.groups)
        self.bn2 = norm_layer(norm, width)
        self.relu2 = activation_layer(activation)
        self.conv3 = conv(width, out_channels, 1, 1, norm)
        self.bn3 = last_norm_layer(norm, out_channels)
        self.skip = skip
        if skip:
            self.downsample = shortcut_layer(shortcut, in_channels, out_channels, stride, norm)
        self.relu3 = activation_layer(activation)
        if init is not None:
            initialize(self, init, seed)


@functools.cache
def resnext_bottleneck(block: type[Any], groups: int, width_per_group: int) -> type[ResNeXtBottleneck]:
    """Return the bottleneck of these groups. ValueError in the place of another block, and below 1."""
    if block not in (Bottleneck, ResNeXtBottleneck):
        raise ValueError(f"models: groups and width_per_group are for bottlenecks, not for {block.__name__}")
    if groups < 1 or width_per_group < 1:
        raise ValueError(f"models: groups and width_per_group must be at least 1, got {groups} and {width_per_group}")
    numbers = {"groups": groups, "width_per_group": width_per_group}
    return type(f"ResNeXtBottleneck{groups}x{width_per_group}d", (ResNeXtBottleneck,), numbers)
