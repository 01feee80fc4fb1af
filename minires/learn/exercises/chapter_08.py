"""Chapter 8: the backward pass of batch norm."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.known.normalization import DIRECT, batch_norm_right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Backward, Wrong, check_gradient, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 8: the backward pass of batch norm.

For each channel c, over its M = N·H·W numbers:

    mean = Σ x / M        var = Σ (x − mean)² / M        x̂ = (x − mean) / √(var + eps)        y = weight · x̂ + bias

mean and var are computed from x, so every x moves every y of its channel.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

Fill in the function, then run `minires check 8`. `minires check 8 --hint` helps.
"""

import numpy as np


def batch_norm_backward(grad_y, x, weight, mean, var, eps):
    """Return dL/dx (N, C, H, W), dL/dweight (C,), dL/dbias (C,).

        dL/dbias   = Σ dy
        dL/dweight = Σ dy·x̂
        dL/dx      = weight / √(var + eps) · (dy − Σ dy / M − x̂ · Σ (dy·x̂) / M)

    All sums run over the M numbers of a channel. grad_y and x (N, C, H, W); weight, mean, var (C,).
    """
    ...
'''

HINTS = (
    "Sums over a channel: .sum(axis=(0, 2, 3)), shape (C,). To use a number per channel beside x, give it the shape "
    "(1, C, 1, 1): mean.reshape(1, -1, 1, 1), or mean[:, None, None].",
    "Make x̂ first. Two of the three results are then one line each, and dL/dx uses both of them, divided by M.",
    "M is how many numbers a channel has in the batch, not how many images there are: x.size // C.",
    "If dL/dx is wrong in one term only: its three terms are the direct way, the way through the mean, and the way "
    "through the variance. Which of them does the diagnosis name?",
)

AXES = (0, 2, 3)
EPS = 0.1  # large, so that it shows where it is forgotten

RIGHT = batch_norm_right(EPS, AXES)
BOTH = "mean and variance are taken for constants, as in evaluation: two terms are missing"


def without_two_terms(*arguments: Array) -> Array:
    terms = RIGHT["x"].terms(*arguments)
    assert isinstance(terms, dict)
    return np.asarray(terms[DIRECT])


OF_X = replace(RIGHT["x"], variants={BOTH: without_two_terms, **RIGHT["x"].variants})


def draw(rng: np.random.Generator) -> dict[str, Array]:
    N, C, H, W = 4 + rng.integers(0, 2), 3 + rng.integers(0, 2), 2, 3 + rng.integers(0, 2)
    x = rng.normal(2, 0.8, (N, C, H, W)) * rng.uniform(0.5, 1.5, (C, 1, 1))
    return {"x": x, "weight": rng.uniform(0.5, 2, C), "bias": rng.standard_normal(C)}


def forward(x: Array, weight: Array, bias: Array) -> Array:
    return numpy_kernels.batch_norm_forward(x, weight, bias, EPS)[0]


def check(mine: Any, seed: int) -> Iterator[str]:
    def answer(grad_y: Array, x: Array, weight: Array) -> tuple[Any, ...] | None:
        grads = mine.batch_norm_backward(grad_y, x, weight, x.mean(AXES), x.var(AXES), EPS)
        if grads is not None and (not isinstance(grads, tuple) or len(grads) != 3):
            raise Wrong("batch_norm_backward: gives back three gradients: return grad_x, grad_weight, grad_bias")
        return grads

    def only(position: int) -> Backward:
        def backward(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
            grads = answer(grad_y, x, weight)
            return grads and tuple([grad if i == position else None for i, grad in enumerate(grads)])

        return backward

    yield from check_gradient("dL/dbias", forward, only(2), draw, {"bias": RIGHT["bias"]}, seed=seed)
    yield from check_gradient("dL/dweight", forward, only(1), draw, {"weight": RIGHT["weight"]}, seed=seed)
    yield from check_gradient("dL/dx", forward, only(0), draw, {"x": OF_X}, seed=seed)


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, batch_norm_backward=mine.batch_norm_backward)


EXERCISE = Exercise(
    chapter=8,
    name="batch_norm_backward",
    title="The backward pass of batch norm",
    text=TEXT,
    hints=HINTS,
    checks={"batch_norm_backward": check},
    plug=plug,
)
