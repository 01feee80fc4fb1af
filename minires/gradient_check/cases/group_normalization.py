"""Group norm: one group, several, one a channel; images, sequences and rows, with and without weight and bias."""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space, away_from_zero
from minires.kernels import Array

AFFINE = ("weight and bias", "weight", "neither")


def normalized(x: Any, G: int, weight: Any, bias: Any, eps: float) -> Any:
    """Normalize image by image and group by group, channel by channel where weight and bias come in."""
    y = np.empty(x.shape)
    size = x.shape[1] // G
    for n in range(x.shape[0]):
        for g in range(G):
            group = x[n, g * size : (g + 1) * size]
            for c in range(g * size, (g + 1) * size):
                y[n, c] = (x[n, c] - group.mean()) / np.sqrt(group.var() + eps)
                y[n, c] = y[n, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def case(x: Array, G: int, eps: float, affine: str, rng: np.random.Generator, variant: str = "") -> Case:
    C = x.shape[1]
    arguments = {"x": x}
    if affine != "neither":
        arguments["weight"] = away_from_zero(rng, C)
    if affine == "weight and bias":
        arguments["bias"] = rng.standard_normal((C,))
    return Case(
        "group_norm",
        variant,
        lambda x, weight=None, bias=None: ops.group_norm(x, G, weight, bias, eps),
        arguments,
        lambda x, weight=None, bias=None: normalized(x, G, weight, bias, eps),
    )


def group_norm(
    rng: np.random.Generator, groups: Any, N: int, image: Any, eps: float, affine: str, offset: float, spread: float
) -> Case | None:
    G, C = groups
    if C // G * int(np.prod(image)) < 3:  # of two numbers hardly anything depends on their size
        return None
    return case(offset + spread * rng.standard_normal((N, C, *image)), G, eps, affine, rng)


def named(rng: np.random.Generator) -> list[Case]:
    images = 1 + 2 * rng.standard_normal((2, 6, 4, 5))
    return [
        case(images, 3, 1e-5, "weight and bias", rng, "images"),
        case(images, 1, 1e-3, "weight", rng, "one group, no bias"),
        case(images, 6, 1e-3, "neither", rng, "a group for each channel, no weight"),
        case(rng.standard_normal((3, 8)), 2, 0.1, "weight and bias", rng, "rows"),
        case(rng.standard_normal((2, 4, 3)), 2, 0.1, "weight and bias", rng, "sequences"),
    ]


SPACES = [
    Space(
        "group_norm",
        {
            "groups": ((3, 6), (1, 6), (6, 6), (2, 8), (1, 1), (8, 16)),
            "N": (2, 1, 3),
            "image": ((4, 5), (3, 3), (1, 3), (), (4,), (2, 3, 2)),
            "eps": (1e-5, 0.1, 1e-3),
            "affine": AFFINE,
            "offset": (0.0, 3.0),
            "spread": (1.0, 0.05),
        },
        group_norm,
        corners=({"groups": (32, 64), "N": 3, "image": (7, 9)},),
    )
]
