"""The gradients of activations, and the mistakes that people make in them."""

import math
from collections.abc import Callable

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array


def relu_right() -> Right:
    """r = max(h, 0): dL/dh is dL/dr where h > 0, and 0 elsewhere."""
    return Right(
        lambda grad_r, h: grad_r * (h > 0),
        {
            "this is 1 or 0, the slope of the relu: it must be multiplied by what arrives": lambda g, h: 1.0 * (h > 0),
            "what arrives is cut off where it is negative itself: h decides": lambda g, h: np.maximum(g, 0),
            "all gets through: where r is 0, it does not move with h": lambda g, h: g,
            "the mask is turned round: it lets pass where r is 0": lambda g, h: g * (h <= 0),
            "what arrives is multiplied by r, where the relu's slope belongs": lambda g, h: g * np.maximum(h, 0),
            "what arrives is multiplied by h, where the relu's slope belongs": lambda g, h: g * h,
            "this is r itself, the relu's value": lambda g, h: np.maximum(h, 0),
        },
    )


def pointwise_right(y_of: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Right:
    """Return what is known of a function that is applied to each number: dL/dx = dy · slope(x)."""
    return Right(
        lambda g, x: g * slope(x),
        {
            "y itself stands for the slope": lambda g, x: g * y_of(x),
            "this is the slope alone: it must be multiplied by what arrives": lambda g, x: slope(x),
            "the slope is taken at y, not at x": lambda g, x: g * slope(y_of(x)),
            "the slope is squared": lambda g, x: g * slope(x) ** 2,
            "divided by the slope, and should be multiplied": lambda g, x: g / slope(x),
            "1 − y stands for the slope: its factor y (or 1 + y) is missing": lambda g, x: g * (1 - y_of(x)),
            "1 + y stands for the slope": lambda g, x: g * (1 + y_of(x)),
            "1 − x² stands for the slope, and should be 1 − y²": lambda g, x: g * (1 - x**2),
            "x · (1 − x) stands for the slope": lambda g, x: g * x * (1 - x),
            "y² stands for the slope": lambda g, x: g * y_of(x) ** 2,
            "the slope is multiplied by y once more": lambda g, x: g * slope(x) * y_of(x),
            "the slope is multiplied by x": lambda g, x: g * slope(x) * x,
            "all gets through: the slope is missing": lambda g, x: g,
        },
    )


def two_sided_right(slope: Callable[[Array], Array], scale: float = 1.0) -> Right:
    """Return what is known of y = scale · x above 0, and another function below: slope(x) is that one's, unscaled."""

    def times(factor: Callable[[Array], Array]) -> Callable[..., Array]:
        return lambda g, x: g * factor(x)

    mistakes = {
        "the slope below 0 is missing: nothing comes back from there": times(lambda x: scale * (x > 0)),
        "the slope below 0 is missing: all gets through": times(lambda x: np.full(x.shape, scale)),
        "the sides are exchanged": times(lambda x: scale * np.where(x > 0, slope(x), 1)),
        "this is the slope alone: it must be multiplied by what arrives": (
            lambda g, x: scale * np.where(x > 0, 1, slope(x))
        ),
    }
    if scale != 1:
        mistakes |= {
            "the scale is missing": times(lambda x: np.where(x > 0, 1, slope(x))),
            "the scale is missing above 0": times(lambda x: np.where(x > 0, 1, scale * slope(x))),
            "the scale is missing below 0": times(lambda x: np.where(x > 0, scale, slope(x))),
        }
    return Right(times(lambda x: scale * np.where(x > 0, 1, slope(x))), mistakes)


def elu_right(alpha: float, scale: float) -> Right:
    """y = scale · x, or scale · alpha · (eˣ − 1)."""
    right = two_sided_right(lambda x: alpha * np.exp(np.minimum(x, 0)), scale)

    def below(slope: Callable[[Array], Array]) -> Callable[..., Array]:
        return lambda g, x: g * scale * np.where(x > 0, 1, slope(np.minimum(x, 0)))

    mistakes = {
        "below 0 the factor alpha is missing": below(np.exp),
        "below 0 this is the value, not the slope: alpha · (eˣ − 1)": below(lambda x: alpha * np.expm1(x)),
        "below 0 the factor eˣ is missing": below(lambda x: np.full(x.shape, alpha)),
    }
    same = abs(alpha - 1) < 1e-12  # then alpha is no factor that can be missing
    return Right(right.terms, {**right.variants, **({} if same else mistakes)})


def sign_right() -> Right:
    """y = |x|."""
    return Right(
        lambda g, x: g * np.sign(x),
        {
            "the sign of x is forgotten: all gets through as it is": lambda g, x: g,
            "multiplied by x, where its sign belongs": lambda g, x: g * x,
            "multiplied by |x|, where the sign of x belongs": lambda g, x: g * np.abs(x),
            "only what is above 0 gets through": lambda g, x: g * (x > 0),
        },
    )


def dropout_right(kept: Array, scale: float) -> Right:
    """y = x · scale where x was kept; scale = 1 / (1 − p)."""
    return Right(
        lambda g, x: g * kept * scale,
        {
            "what was kept is not scaled by 1 / (1 − p)": lambda g, x: g * kept,
            "multiplied by 1 − p, and should be divided": lambda g, x: g * kept / scale,
            "what was dropped gets a gradient, too": lambda g, x: g * scale,
            "what was dropped gets a gradient, too, and nothing is scaled": lambda g, x: g,
            "the mask is turned round: what was dropped gets the gradient": lambda g, x: g * ~kept * scale,
        },
    )


def sigmoid_right() -> Right:
    def y(x: Array) -> Array:
        return 1 / (1 + np.exp(-x))

    return pointwise_right(y, lambda x: y(x) * (1 - y(x)))


def gelu_right() -> Right:
    """y = x · Φ(x), Φ being the part of a normal distribution below x."""

    def below(x: Array) -> Array:
        return np.reshape([0.5 * math.erfc(-number / math.sqrt(2)) for number in x.ravel()], x.shape)

    return pointwise_right(
        lambda x: x * below(x), lambda x: below(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    )


def tanh_gelu_right() -> Right:
    """y = x · (1 + tanh u) / 2 with u = √(2/π) · (x + 0.044715 x³)."""
    front = math.sqrt(2 / math.pi)

    def slope(x: Array) -> Array:
        u, grad_u = front * (x + 0.044715 * x**3), front * (1 + 3 * 0.044715 * x**2)
        return 0.5 * (1 + np.tanh(u)) + 0.5 * x * grad_u / np.cosh(u) ** 2

    return pointwise_right(lambda x: 0.5 * x * (1 + np.tanh(front * (x + 0.044715 * x**3))), slope)
