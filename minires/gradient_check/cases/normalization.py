"""Batch norm: images and rows, batches of one image, odd counts, eps large enough to be seen, variances near it."""

from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.gradient_check.cases.space import Case, Space, away_from_zero, positive
from minires.kernels import Array


def normalized(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
    """Normalize channel by channel; mean and var None: the batch's own."""
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        m = x[:, c].mean() if mean is None else mean[c]
        v = x[:, c].var() if var is None else var[c]
        y[:, c] = weight[c] * (x[:, c] - m) / np.sqrt(v + eps) + bias[c]
    return y


def statistics(rng: np.random.Generator, C: int, given: bool) -> tuple[Array | None, Array | None]:
    return (rng.standard_normal(C), positive(rng, C)) if given else (None, None)


def like(statistic: Array | None, x: Tensor) -> Array | None:
    """Return given statistics in the dtype of x."""
    return None if statistic is None else statistic.astype(x.dtype)


def batch_norm(
    rng: np.random.Generator, N: int, C: int, image: Any, eps: float, given: bool, offset: float, spread: float
) -> Case | None:
    if not given and N * int(np.prod(image)) == 1:
        return None
    mean, var = statistics(rng, C, given)
    if given:
        offset, spread = 0.0, 1.0
    return Case(
        "",
        "",
        lambda x, weight, bias: ops.batch_norm(x, weight, bias, like(mean, x), like(var, x), eps),
        {
            "x": offset + spread * rng.standard_normal((N, C, *image)),
            "weight": away_from_zero(rng, C),
            "bias": rng.standard_normal(C),
        },
        lambda x, weight, bias: normalized(x, weight, bias, mean, var, eps),
    )


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    mean, var = normal(3), positive(rng, 3)

    def inference(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return ops.batch_norm(x, weight, bias, like(mean, x), like(var, x))

    def arguments(*shape: int) -> dict[str, Array]:
        return {"x": normal(shape), "weight": away_from_zero(rng, 3), "bias": normal(3)}

    return [
        Case("batch_norm", "images", ops.batch_norm, arguments(2, 3, 4, 5)),
        Case("batch_norm", "rows", ops.batch_norm, arguments(6, 3)),
        Case("batch_norm", "given statistics", inference, arguments(2, 3, 4, 5)),
        Case("batch_norm", "given statistics, rows", inference, arguments(6, 3)),
    ]


SPACES = [
    Space(
        "batch_norm",
        {
            "N": (2, 1, 3),
            "C": (3, 1, 4, 16),
            "image": ((4, 5), (3, 3), (1, 2), (), (1, 1)),
            "eps": (1e-5, 0.1, 1e-3),
            "given": (False, True),
            "offset": (0.0, 3.0),
            "spread": (1.0, 0.05),
        },
        batch_norm,
        corners=(
            {"N": 5, "C": 16, "image": (9, 11), "eps": 1e-3},
            {"N": 5, "C": 7, "image": (9, 11), "eps": 0.1, "offset": 3.0},
            {"N": 4, "C": 32, "image": (17, 19)},  # enough numbers for two threads
        ),
    )
]
