"""Layer norm over one, two and three axes, with and without weight and bias, variances near eps, a large mean."""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space, away_from_zero
from minires.kernels import Array

AFFINE = ("weight and bias", "weight", "neither")


def normalized(x: Any, ndim: int, weight: Any, bias: Any, eps: float) -> Any:
    """Normalize place by place of the axes before."""
    y = np.empty(x.shape)
    for index in np.ndindex(x.shape[: x.ndim - ndim]):
        one = x[index]
        y[index] = (one - one.mean()) / np.sqrt(one.var() + eps)
        y[index] = y[index] * (1 if weight is None else weight) + (0 if bias is None else bias)
    return y


def case(x: Array, ndim: int, eps: float, affine: str, rng: np.random.Generator, variant: str = "") -> Case:
    shape = x.shape[-ndim:]
    arguments = {"x": x}
    if affine != "neither":
        arguments["weight"] = away_from_zero(rng, *shape)
    if affine == "weight and bias":
        arguments["bias"] = rng.standard_normal(shape)
    return Case(
        "layer_norm",
        variant,
        lambda x, weight=None, bias=None: ops.layer_norm(x, shape, weight, bias, eps),
        arguments,
        lambda x, weight=None, bias=None: normalized(x, ndim, weight, bias, eps),
    )


def layer_norm(
    rng: np.random.Generator, shape: Any, ndim: int, eps: float, affine: str, offset: float, spread: float
) -> Case | None:
    if ndim > len(shape) or np.prod(shape[-ndim:]) < 3:
        return None
    return case(offset + spread * rng.standard_normal(shape), ndim, eps, affine, rng)


def named(rng: np.random.Generator) -> list[Case]:
    return [
        case(1 + 2 * rng.standard_normal((2, 3, 4, 5)), 3, 1e-5, "weight and bias", rng, "images"),
        case(rng.standard_normal((2, 3, 4)), 1, 0.1, "weight", rng, "one axis, no bias"),
        case(rng.standard_normal((3, 4, 5)), 2, 1e-3, "neither", rng, "two axes, no weight"),
        case(rng.standard_normal((5, 6)), 1, 0.1, "weight and bias", rng, "rows"),
    ]


SPACES = [
    Space(
        "layer_norm",
        {
            "shape": ((2, 3, 4, 5), (4, 6), (1, 3, 7), (5,), (3, 1, 4), (2, 2, 3, 3)),
            "ndim": (1, 2, 3),
            "eps": (1e-5, 0.1, 1e-3),
            "affine": AFFINE,
            "offset": (0.0, 3.0),
            "spread": (1.0, 0.05),
        },
        layer_norm,
        corners=({"shape": (3, 16, 7, 9), "ndim": 3},),
    )
]
