"""Group norm layers: the op and its weight and bias. No running statistics, so there is no evaluation mode."""

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.nn.module import Module, Parameter, check_sizes
from minires.ops.group_normalization import check_groups
from minires.ops.shape import number

__all__ = ["GroupNorm"]


class GroupNorm(Module):
    """y = weight · (x - mean) / √(var + eps) + bias, mean and var of each image's groups of channels. Wu, He, 2018.

    x is (N, num_channels, …); num_groups must divide num_channels. weight and bias are (num_channels,), None with
    affine=False. One group normalizes an image as a whole: layer norm as convolutional networks have it.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        self.num_groups, self.num_channels = int(num_groups), int(num_channels)
        check_groups("GroupNorm", self.num_groups, self.num_channels)
        self.eps = number("GroupNorm", "eps", eps)
        self.weight = Parameter(np.ones(num_channels, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, np.float32)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"GroupNorm: expected x (N, C, …) with C = {self.num_channels}, got {x.shape}")
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
