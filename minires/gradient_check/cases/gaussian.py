"""GELU, exact and with tanh: both sides of zero, around it, and far enough for the slope to be nearly 0 or 1."""

import math
from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space

SHAPES = ((3, 4), (7,), (1, 5), (2, 3, 4, 5), ())


def formula(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    below = [0.5 + 0.5 * math.erf(number / math.sqrt(2)) for number in np.ravel(x)]
    return x * np.reshape(below, np.shape(x))


def gelu(rng: np.random.Generator, approximate: str, shape: Any, size: float, offset: float) -> Case:
    return Case(
        "",
        "",
        lambda x: ops.gelu(x, approximate),
        {"x": np.asarray(offset + size * rng.standard_normal(shape))},
        lambda x: formula(x, approximate),
    )


def named(rng: np.random.Generator) -> list[Case]:
    x = 2 * rng.standard_normal((3, 4))
    return [
        Case("gelu", "", ops.gelu, {"x": x}, lambda x: formula(x, "none")),
        Case("gelu", "tanh", lambda x: ops.gelu(x, "tanh"), {"x": x}, lambda x: formula(x, "tanh")),
    ]


FAR = np.array(
    [-300, -20, -9.1, -7.3, -6.2, -5.8, -5.4, -4.1, -2.2, -1.3, -0.4, -0.1, 0.2, 0.6, 1.7, 4.9, 6.3, 15, 300]
)
FAR = np.concatenate([FAR, np.linspace(-13, -11, 40)])  # where x² / 2 is largest, and its rounding


def exact(rng: np.random.Generator) -> list[Case]:
    """Far out on the left, too, y and slope keep their own digits."""

    def below(x: Any) -> Any:
        return np.array([0.5 * math.erfc(-number / math.sqrt(2)) for number in x])

    def gradient(grad_y: Any, x: Any) -> Any:
        return grad_y * (below(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))

    return [Case("gelu", "far out", ops.gelu, {"x": FAR}, lambda x: x * below(x), gradient, exactly=True)]


SPACES = [
    Space(
        "gelu",
        {"approximate": ("none", "tanh"), "shape": SHAPES, "size": (1.0, 0.01, 3.0), "offset": (0.0, 2.0, -2.0)},
        gelu,
    )
]
