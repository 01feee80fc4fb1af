"""Group normalization (Wu, He 2018): image by image, over the M = C/G·H·W numbers of each of G groups of channels.

x̂ = (x − mean) / √(var + eps)        y = weight · x̂ + bias        one weight and one bias for each channel

With g = weight · dy, since every x of a group moves every x̂ of it:

dL/dx = 1/√(var + eps) · (g − Σg/M − x̂ · Σ(g·x̂)/M)        sums over a group's M numbers
dL/dweight = Σ dy·x̂      dL/dbias = Σ dy                  sums over the images and a channel's H·W

The weight stands inside the sums, where batch norm has it outside: a group's channels have several. One group is layer
norm over (C, H, W), with a weight for each channel only; C groups are instance norm. As in layer norm no image knows of
another: training and evaluation are the same.
"""

import math

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.layer_normalization import grad_of_normalized, moments, with_weight_and_bias
from minires.ops.shape import number, whole

__all__ = ["group_norm"]


class GroupNorm(Op):
    """Normalization of each group of channels; with a weight, or a weight and a bias, per channel, or without.

    It computes in shape (N, G, C/G, …), where the axes of a group are the last ones.
    """

    def __init__(self, num_groups: int, eps: float) -> None:
        self.num_groups, self.eps = num_groups, eps

    def forward(self, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        self.x, self.weight = x, weight
        grouped = self.grouped(x)
        self.mean, self.inv_std = moments(self.kernels.xp, grouped, tuple(range(2, grouped.ndim)), self.eps)
        y = (grouped - self.mean) * self.inv_std
        if weight is not None:
            y *= self.per_channel(weight)
        if bias is not None:
            y += self.per_channel(bias)
        return y.reshape(x.shape)

    def backward(self, grad_y: Array) -> tuple[Array, ...]:
        grouped, grad_grouped = self.grouped(self.x), self.grouped(grad_y)
        axes = tuple(range(2, grouped.ndim))
        x_hat = (grouped - self.mean) * self.inv_std
        if self.weight is None:
            return (grad_of_normalized(grad_grouped, x_hat, self.inv_std, axes).reshape(self.x.shape),)
        grad_x_hat = grad_grouped * self.per_channel(self.weight)
        grad_x = grad_of_normalized(grad_x_hat, x_hat, self.inv_std, axes).reshape(self.x.shape)
        images_and_pixels = (0, *axes[1:])
        grad_weight = (grad_grouped * x_hat).sum(axis=images_and_pixels).reshape(-1)
        if len(self.inputs) == 2:
            return grad_x, grad_weight
        grad_bias = grad_grouped.sum(axis=images_and_pixels).reshape(-1)
        return grad_x, grad_weight, grad_bias

    def grouped(self, x: Array) -> Array:
        """(N, C, …) → (N, G, C/G, …)."""
        N, C, *image = x.shape
        return x.reshape(N, self.num_groups, C // self.num_groups, *image)

    def per_channel(self, values: Array) -> Array:
        """(C,) → (G, C/G, 1, …), which fits (N, G, C/G, …)."""
        ones = (1,) * (self.x.ndim - 2)
        return values.reshape(self.num_groups, -1, *ones)


def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Return x (N, C, …) normalized in num_groups groups of neighbouring channels, times weight, plus bias, both (C,).

    weight and bias may be missing, or the bias alone. ValueError where the groups do not divide the channels, shapes do
    not fit, or a group has fewer than two numbers.
    """
    G = whole("group_norm", "num_groups", num_groups)
    eps = number("group_norm", "eps", eps)
    if x.ndim < 2:
        raise ValueError(f"group_norm: x {x.shape} must be (N, C, …), such as images (N, C, H, W)")
    C = x.shape[1]
    check_groups("group_norm", G, C)
    if math.prod(x.shape[1:]) // G < 2:
        raise ValueError(
            f"group_norm: x {x.shape} in {G} groups has fewer than two numbers per group, so no variance; use fewer "
            "groups or larger images"
        )
    return GroupNorm(G, eps)(*with_weight_and_bias("group_norm", x, weight, bias, (C,)))


def check_groups(function: str, num_groups: int, C: int) -> None:
    """ValueError where C channels cannot be put into so many groups of one size."""
    if num_groups < 1 or C < 1 or C % num_groups:
        fitting = [str(G) for G in range(1, C + 1) if C % G == 0]
        listed = ", ".join(fitting if len(fitting) < 12 else [*fitting[:6], "…", *fitting[-3:]])
        raise ValueError(f"{function}: {num_groups} groups do not divide {C} channels; these do: {listed or 'none'}")
