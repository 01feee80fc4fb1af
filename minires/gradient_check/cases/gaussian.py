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


SPACES = [
    Space(
        "gelu",
        {"approximate": ("none", "tanh"), "shape": SHAPES, "size": (1.0, 0.01, 3.0), "offset": (0.0, 2.0, -2.0)},
        gelu,
    )
]
