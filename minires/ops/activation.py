"""Activations, and softmax.

relu        y = max(x, 0)                      dL/dx = dy where x > 0, 0 where x ≤ 0
leaky relu  y = x where x > 0, else slope·x    dL/dx = dy · (1 or slope)
elu         y = x where x > 0, else α(eˣ − 1)  dL/dx = dy · (1 or α·eˣ)
selu        y = λ · elu(x, α), fixed λ and α   (Klambauer et al. 2017)
tanh        y = tanh x                         dL/dx = dy / cosh² x
sigmoid     y = 1 / (1 + e⁻ˣ)                  dL/dx = dy · y(1 − y)
softmax     y = eˣ / Σ eˣ                      dL/dx = y · (dy − Σ dy·y)
log softmax y = x − log Σ eˣ                   dL/dx = dy − eʸ · Σ dy

Far out, values and slopes keep their digits: each is computed without a difference in which they would cancel, such as
1 − y where y is nearly 1. Where x is NaN so is y; dL/dx is, as in PyTorch's formulas, dy for relu and elu, slope·dy for
leaky relu, and NaN for the others.
"""

import math
from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.reduction import nonempty_axes

__all__ = ["elu", "leaky_relu", "log_softmax", "relu", "selu", "sigmoid", "softmax", "tanh"]

SELU_ALPHA = 1.6732632423543772  # the pair for which mean 0 and variance 1 is a fixed point of a layer
SELU_SCALE = 1.0507009873554805


class ReLU(Op):
    def forward(self, x: Array) -> Array:
        self.y = self.kernels.relu_forward(x)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        grad_x = self.kernels.relu_backward(grad_y, self.y)
        return (grad_x,)


class LeakyReLU(Op):
    def __init__(self, negative_slope: float) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        self.x = x
        return self.kernels.xp.where(x > 0, x, self.negative_slope * x)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (self.kernels.xp.where(self.x > 0, grad_y, self.negative_slope * grad_y),)


class ELU(Op):
    def __init__(self, alpha: float, scale: float = 1.0) -> None:
        self.alpha, self.scale = alpha, scale

    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        negative = xp.minimum(x, 0)
        below = self.alpha * xp.expm1(negative)  # expm1: exact near 0, where eˣ − 1 loses all digits
        half = exp_below_zero(xp, 0.5 * negative)  # twice, since eˣ may be too small a number where α·eˣ is not
        self.slope = xp.where(x <= 0, self.scale * self.alpha * half * half, self.scale)
        return self.scale * xp.where(x > 0, x, below)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.slope,)


class Tanh(Op):
    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        e = exp_below_zero(xp, -1.0 * xp.abs(x))  # −1.0: unsigned integers have no minus
        one_over_cosh = 2 * e / (1 + e * e)
        self.slope = one_over_cosh * one_over_cosh
        return xp.tanh(x)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.slope,)


class Sigmoid(Op):
    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        e = exp_below_zero(xp, -1.0 * xp.abs(x))
        self.y = xp.where(x < 0, e, 1) / (1 + e)
        self.one_minus_y = xp.where(x < 0, 1, e) / (1 + e)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.y * self.one_minus_y,)


def exp_below_zero(xp: Any, x: Array) -> Array:
    """Return eˣ for x ≤ 0, which cannot overflow; and 0, in silence, where that is below the least normal number."""
    too_small = x < math.log(float(xp.finfo(x.dtype).tiny))
    return xp.where(too_small, 0, xp.exp(xp.where(too_small, 0, x)))


class Softmax(Op):
    def __init__(self, axis: tuple[int, ...]) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        _, exp = below_largest(self.kernels.xp, x, self.axis)
        self.y = exp / exp.sum(axis=self.axis, keepdims=True)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        largest = self.y.argmax(axis=self.axis[0], keepdims=True)
        # A constant added to dy changes nothing, since Σ y = 1. This one leaves nothing to cancel where y is nearly 1.
        grad_y = grad_y - self.kernels.xp.take_along_axis(grad_y, largest, self.axis[0])
        along = (grad_y * self.y).sum(axis=self.axis, keepdims=True)
        return (self.y * (grad_y - along),)


class LogSoftmax(Op):
    def __init__(self, axis: tuple[int, ...]) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        xp = self.kernels.xp
        shifted, exp = below_largest(xp, x, self.axis)
        is_largest = shifted == 0
        rest = xp.where(is_largest, 0, exp).sum(axis=self.axis, keepdims=True)
        rest += is_largest.sum(axis=self.axis, keepdims=True) - 1  # Σ e^(x − largest) without the 1 of one largest
        self.p = exp / (1 + rest)
        self.y = shifted - xp.log1p(rest)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array]:
        xp = self.kernels.xp
        total = grad_y.sum(axis=self.axis, keepdims=True)
        of_small = grad_y - self.p * total
        of_large = (grad_y - total) - xp.expm1(self.y) * total  # the same with p = 1 + (eʸ − 1)
        return (xp.where(self.y < -0.5, of_small, of_large),)


def below_largest(xp: Any, x: Array, axis: tuple[int, ...]) -> tuple[Array, Array]:
    """Return x − largest, the largest along the axis, and e to that, which cannot overflow.

    A difference of −80 is rounded in its seventh digit, and e^−80 would be wrong in its sixth. What rounding took away
    is itself exact (Knuth, TAOCP 4.2.2, theorem B), and put back: e^(d + δ) = eᵈ + eᵈ·δ.
    """
    largest = x.max(axis=axis, keepdims=True)
    shifted = x - largest
    ruled_out = x == -math.inf
    x = xp.where(ruled_out, largest, x)
    rounded = x - largest
    back = rounded - x
    taken = (x - (rounded - back)) - (largest + back)
    exp = xp.exp(shifted)
    return shifted, exp + exp * taken


def relu(x: Tensor) -> Tensor:
    """Return max(x, 0), elementwise; the gradient at 0 is 0, whatever arrives."""
    return ReLU()(x)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return x where x > 0, else negative_slope · x."""
    return LeakyReLU(negative_slope)(x)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return x where x > 0, else alpha · (eˣ − 1) (Clevert et al. 2016)."""
    return ELU(alpha)(x)


def selu(x: Tensor) -> Tensor:
    """Return 1.0507 · elu(x, 1.6733), which keeps mean 0 and variance 1 after LeCun initialization (Klambauer 2017)."""
    return ELU(SELU_ALPHA, SELU_SCALE)(x)


def tanh(x: Tensor) -> Tensor:
    """Return tanh x, elementwise."""
    return Tanh()(x)


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + e⁻ˣ), elementwise."""
    return Sigmoid()(x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return eˣ / Σ eˣ along `axis`."""
    return Softmax(nonempty_axes("softmax", x, axis))(x)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return log softmax(x) along `axis`, without the overflow of doing it in two steps."""
    return LogSoftmax(nonempty_axes("log_softmax", x, axis))(x)
