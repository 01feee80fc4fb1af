"""The gradients of activations, and the mistakes that people make in them."""

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
