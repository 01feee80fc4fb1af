"""Sums, means, maxima and variances over axes; all of them where axis is None.

y = Σ x             dL/dx = dy, spread over what was summed
y = Σ x / n         dL/dx = dy / n
y = max x           dL/dx = dy at the maximum, 0 elsewhere; equals share it
y = Σ (x − x̄)² / n  dL/dx = dy · 2(x − x̄) / n     (the term through x̄ is Σ(x − x̄) = 0)
"""

import math

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.shape import Axis, checked_axes

__all__ = ["max", "mean", "sum", "var"]


class Reduction(Op):
    """What the reductions share: their axes, and spreading a reduced array over them again."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool) -> None:
        self.axes, self.keepdims = axes, keepdims

    def spread(self, reduced: Array, shape: tuple[int, ...]) -> Array:
        """Return `reduced` as a read-only view of `shape`, repeated along the reduced axes."""
        xp = self.kernels.xp
        if not self.keepdims:
            reduced = xp.expand_dims(reduced, self.axes)
        return xp.broadcast_to(reduced, shape)

    def count(self, shape: tuple[int, ...]) -> int:
        """How many numbers of an array of `shape` are reduced to one."""
        return math.prod([shape[axis] for axis in self.axes])


class Sum(Reduction):
    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return x.sum(axis=self.axes, keepdims=self.keepdims)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (self.spread(grad_y, self.x_shape),)


class Mean(Reduction):
    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return x.mean(axis=self.axes, keepdims=self.keepdims)

    def backward(self, grad_y: Array) -> tuple[Array]:
        n = self.count(self.x_shape)
        return (self.spread(grad_y / n, self.x_shape),)


class Max(Reduction):
    def forward(self, x: Array) -> Array:
        y = x.max(axis=self.axes, keepdims=True)
        self.is_max = (x == y) | (x != x)  # one NaN makes y NaN, and then the NaNs share the gradient
        return y if self.keepdims else y.squeeze(self.axes)

    def backward(self, grad_y: Array) -> tuple[Array]:
        ties = self.is_max.sum(axis=self.axes, keepdims=self.keepdims).astype(grad_y.dtype)
        return (self.kernels.xp.where(self.is_max, self.spread(grad_y / ties, self.is_max.shape), 0),)


class Var(Reduction):
    def forward(self, x: Array) -> Array:
        self.centred = x - x.mean(axis=self.axes, keepdims=True)
        return (self.centred * self.centred).mean(axis=self.axes, keepdims=self.keepdims)

    def backward(self, grad_y: Array) -> tuple[Array]:
        n = self.count(self.centred.shape)
        return (self.spread(grad_y * (2 / n), self.centred.shape) * self.centred,)


def nonempty_axes(name: str, x: Tensor, axis: Axis) -> tuple[int, ...]:
    """As `checked_axes`; ValueError where there would be nothing to reduce."""
    axes = checked_axes(name, x, axis)
    if 0 in [x.shape[axis] for axis in axes]:
        raise ValueError(f"{name}: shape {x.shape} has no numbers along axis {axis}")
    return axes


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the sum over `axis` (NumPy's meaning; None: over all)."""
    return Sum(checked_axes("sum", x, axis), keepdims)(x)


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean over `axis`."""
    return Mean(nonempty_axes("mean", x, axis), keepdims)(x)


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the maximum over `axis`: NaN where a NaN is. Equal maxima, or the NaNs, share the gradient equally."""
    return Max(nonempty_axes("max", x, axis), keepdims)(x)


def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the biased variance over `axis`: the mean of (x − mean)²."""
    return Var(nonempty_axes("var", x, axis), keepdims)(x)
