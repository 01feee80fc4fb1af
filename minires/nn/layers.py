"""The layers a convolutional network is made of: each holds its parameters and calls its op.

Letters: N images, C→F channels, H×W input, K×K filter. A layer that draws takes `init`, a scheme of
`minires.nn.initialization` (None leaves zeros, for a caller that initializes the whole model), and `seed`, an int or
None for a fresh one.
"""

from collections.abc import Iterator

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.nn.initialization import initialize
from minires.nn.module import Module, Parameter, check_sizes
from minires.ops.convolution import pair
from minires.ops.shape import number

__all__ = [
    "AdaptiveAvgPool2d", "AvgPool2d", "Conv2d", "Dropout", "Flatten", "GlobalAvgPool2d", "Identity", "Linear",
    "MaxPool2d", "Sequential",
]  # fmt: skip

Pair = int | tuple[int, int]


def int_or_pair(function: str, name: str, value: Pair, least: int) -> Pair:
    """Return the number or the pair that was given; an error, here and not in the first forward, for anything else."""
    height, width = pair(function, name, value, least)
    return (height, width) if isinstance(value, tuple | list) else height


class Conv2d(Module):
    """Convolution of x (N, C, H, W) with weight (F, C/groups, KH, KW) and bias (F,) or none. Sizes are int or (h, w).

    groups must divide C and F; groups = C makes it depthwise. dilation: how far the taps are apart.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        init: str | None = "pytorch",
        seed: int | None = None,
    ) -> None:
        KH, KW = pair("Conv2d", "kernel_size", kernel_size, 0)
        check_sizes(
            "Conv2d", in_channels=in_channels, out_channels=out_channels, kernel_size=min(KH, KW), groups=groups
        )
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: groups {groups} must divide in_channels {in_channels} and out_channels {out_channels}"
            )
        self.stride = int_or_pair("Conv2d", "stride", stride, 1)
        self.padding = int_or_pair("Conv2d", "padding", padding, 0)
        self.dilation = int_or_pair("Conv2d", "dilation", dilation, 1)
        self.groups = int(groups)
        self.weight = Parameter(np.zeros((out_channels, in_channels // groups, KH, KW), np.float32))
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if bias else None
        if init is not None:
            initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Linear(Module):
    """y = x @ weight.T + bias for x (N, C) or (…, C), weight (F, C), bias (F,) or none."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        init: str | None = "pytorch",
        seed: int | None = None,
    ) -> None:
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.weight = Parameter(np.zeros((out_features, in_features), np.float32))
        self.bias = Parameter(np.zeros(out_features, np.float32)) if bias else None
        if init is not None:
            initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.weight, self.bias)


class Identity(Module):
    """x itself, where a network could have something else."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """(N, C, H, W) → (N, C·H·W)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x)


class MaxPool2d(Module):
    """The largest value of each window; stride defaults to kernel_size. ceil_mode: as in `ops.max_pool2d`."""

    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, *, ceil_mode: bool = False
    ) -> None:
        self.kernel_size = int_or_pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.stride = None if stride is None else int_or_pair("MaxPool2d", "stride", stride, 1)
        self.padding = int_or_pair("MaxPool2d", "padding", padding, 0)
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode)


class AvgPool2d(Module):
    """The mean of each window; stride defaults to kernel_size. ceil_mode, count_include_pad: as in `ops.avg_pool2d`."""

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = int_or_pair("AvgPool2d", "kernel_size", kernel_size, 1)
        self.stride = None if stride is None else int_or_pair("AvgPool2d", "stride", stride, 1)
        self.padding = int_or_pair("AvgPool2d", "padding", padding, 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        options = self.ceil_mode, self.count_include_pad
        return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding, *options)


class GlobalAvgPool2d(Module):
    """(N, C, H, W) → (N, C): the mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.global_avg_pool2d(x)


class AdaptiveAvgPool2d(Module):
    """(N, C, H, W) → (N, C, *output_size): the mean over as many nearly equal windows as asked for."""

    def __init__(self, output_size: Pair) -> None:
        self.output_size = int_or_pair("AdaptiveAvgPool2d", "output_size", output_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        return ops.adaptive_avg_pool2d(x, self.output_size)


class Dropout(Module):
    """In training each value is 0 with probability p, else x / (1 - p); in evaluation x itself.

    `generator` is the layer's own, made from `seed`; a checkpoint must save its state to resume the same draws.
    """

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        if not 0 <= number("Dropout", "p", p) < 1:
            raise ValueError(f"Dropout: p must be at least 0 and below 1, got {p}")
        self.p = p
        self.generator = np.random.default_rng(seed)

    def forward(self, x: Tensor) -> Tensor:
        return ops.dropout(x, self.p, self.generator) if self.training else x


class Sequential(Module):
    """Modules one after another, named "0", "1", …. With a seed, all are drawn anew, by name, as "pytorch"."""

    def __init__(self, *layers: Module, seed: int | None = None) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: layer {i} must be a Module, got {layer!r}")
        self.layers = layers
        if seed is not None:
            initialize(self, "pytorch", seed)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    def named_children(self) -> Iterator[tuple[str, Module]]:
        for i, layer in enumerate(self.layers):
            yield str(i), layer

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Module:
        return self.layers[index]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)
