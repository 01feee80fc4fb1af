"""What the blocks are put together from: convolutions, what stands at a norm's place, activations, shortcuts.

At a norm's place stands, by name:

    "batch"     batch norm; the convolution before it needs no bias
    "group"     group norm, with as many groups as `groups_of` says; convolutions as with batch norm   (Wu, He, 2018)
    "layer"     layer norm over an image's channels and pixels together, with one weight and one bias per channel: group
                norm with one group. (Norms over the channels of each pixel alone are called layer norm too)
    "none"      nothing; convolutions have a bias
    "skipinit"  nothing, and at the end of a branch SkipInit's scalar: y = α·x               (De, Smith, 2020)
    "fixup"     Fixup's scalars: y = x + b, at the end of a branch y = α·x + b; convolutions and the classifier add a
                scalar to their input and have no bias of their own                          (Zhang, Dauphin, Ma, 2019)
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from minires import nn, ops
from minires.engine import Tensor
from minires.models.schemes import NORM_FREE_SCHEMES

STEMS = ("cifar", "imagenet")
LEARNED_NORMS = ("batch", "group", "layer")
NETWORK_NORMS = ("batch", "none", "group", "layer")  # what a network can be asked for
NORMS = (*NETWORK_NORMS, "skipinit", "fixup")
SHORTCUTS = ("A", "B", "C", "always")
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}


class Scalars(nn.Module):
    """y = weight·x + bias with one number each, which start at 1 and 0; either may be missing."""

    def __init__(self, weight: bool = False, bias: bool = False) -> None:
        self.weight = nn.Parameter(np.ones(1, np.float32)) if weight else None
        self.bias = nn.Parameter(np.zeros(1, np.float32)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.weight is not None:
            x = ops.multiply(self.weight, x)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return x


class ShiftedConv2d(nn.Conv2d):
    """A convolution of x + input_bias, one number, which starts at 0."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, padding: int, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, 1, groups, bias=False, init=None)
        self.input_bias = nn.Parameter(np.zeros(1, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(ops.add(x, self.input_bias))


class ShiftedLinear(nn.Linear):
    """A linear layer of x + input_bias, one number, which starts at 0."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, init=None)
        self.input_bias = nn.Parameter(np.zeros(1, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(ops.add(x, self.input_bias))


class OptionA(nn.Module):
    """The shortcut without parameters: every stride-th pixel, between zero channels (He et al., 2015, §4.2)."""

    def __init__(self, out_channels: int, stride: int) -> None:
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return ops.option_a(x, self.out_channels, self.stride)


def conv(in_channels: int, out_channels: int, kernel_size: int, stride: int, norm: str, groups: int = 1) -> nn.Conv2d:
    """Make a branch's convolution, padded so that stride 1 keeps the size."""
    padding, bias = kernel_size // 2, norm not in LEARNED_NORMS
    if norm == "fixup":
        return ShiftedConv2d(in_channels, out_channels, kernel_size, stride, padding, groups)
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias, init=None)


def linear(in_features: int, out_features: int, norm: str) -> nn.Linear:
    """Make the classifier."""
    if norm == "fixup":
        return ShiftedLinear(in_features, out_features)
    return nn.Linear(in_features, out_features, init=None)


def norm_layer(norm: str, channels: int) -> nn.Module:
    """Make what stands at a norm's place inside a branch or outside of one."""
    choose("norm", norm, NORMS)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm in LEARNED_NORMS:
        return nn.GroupNorm(groups_of(channels) if norm == "group" else 1, channels)
    return Scalars(bias=True) if norm == "fixup" else nn.Identity()


def groups_of(channels: int) -> int:
    """Return how many groups group norm makes of so many channels: 32, as in Wu, He, 2018, from 64 channels up.

    Their narrowest layer has 64, two to a group. Narrower ones get groups of two as well, 16 channels 8 groups; and
    where that does not divide them, the next smaller number that does.
    """
    groups = max(1, min(32, channels // 2))
    while channels % groups:
        groups -= 1
    return groups


def last_norm_layer(norm: str, channels: int) -> nn.Module:
    """Make what stands at the place of a branch's last norm."""
    return scale_layer(norm) if norm in ("skipinit", "fixup") else norm_layer(norm, channels)


def scale_layer(norm: str) -> nn.Module:
    """Make what scales a branch that does not end in a norm."""
    return Scalars(weight=True, bias=norm == "fixup") if norm in ("skipinit", "fixup") else nn.Identity()


def activation_layer(activation: str) -> nn.Module:
    """Make an activation by its name."""
    choose("activation", activation, ACTIVATIONS)
    return ACTIVATIONS[activation]()


def shortcut_layer(
    shortcut: str, in_channels: int, out_channels: int, stride: int, norm: str, preactivated: bool = False
) -> nn.Module:
    """Make a block's shortcut; A, B and C are those of He et al., 2015, §4.1.

    "A": identity; where shapes change, every stride-th pixel and zero channels.
    "B": identity; where shapes change, a 1×1 convolution and, unless pre-activated, a norm.
    "C": such a 1×1 convolution in every block.
    "always": in every block a 1×1 convolution with bias and no norm. No identity path is left: see `broken`.
    """
    choose("shortcut", shortcut, SHORTCUTS)
    if shortcut == "always":
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, init=None))
    if shortcut != "C" and stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if shortcut == "A":
        return OptionA(out_channels, stride)
    projection = conv(in_channels, out_channels, 1, stride, norm)
    if norm in LEARNED_NORMS and not preactivated:
        return nn.Sequential(projection, norm_layer(norm, out_channels))
    return nn.Sequential(projection)


def norm_place(norm: str, init: str | None) -> str:
    """Return what stands at a norm's place in a network: SkipInit and Fixup bring their own."""
    if init not in NORM_FREE_SCHEMES:
        return norm
    if norm != "none":
        raise ValueError(f"models: init={init!r} replaces batch norm; pass norm='none' with it")
    return init.removesuffix("_sqrt")


def check_options(
    network: Any, block: Any, bottleneck: bool, stem: str, norm: str, shortcut: str, skip: bool, stride_on: str
) -> None:
    """Refuse values of a network's options that are unknown, or do not go together with its blocks."""
    choose("stem", stem, STEMS)
    choose("norm", norm, NETWORK_NORMS)
    choose("shortcut", shortcut, SHORTCUTS)  # also where skip=False has no use for it
    if not isinstance(skip, bool):
        raise ValueError(f"models: skip must be True or False, got {skip!r}")
    if block.preactivated != network.preactivated:
        raise ValueError(
            f"models: {block.__name__} does not fit {network.__name__}: pre-activation blocks go into "
            "PreActResNet, the others into ResNet"
        )
    if stride_on != "3x3" and not bottleneck:
        raise ValueError(f"models: stride_on={stride_on!r} is for bottlenecks, not for {block.__name__}")


def choose(option: str, value: str, known: Collection[str]) -> str:
    """Return an option's value; ValueError with the known ones for any other."""
    if value not in known:
        raise ValueError(f"models: unknown {option} {value!r}; known: {', '.join(known)}")
    return value
