"""Chapter 8: the backward pass of batch norm."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Backward, Wrong, check_gradient, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 8: the backward pass of batch norm.

For each channel c, over its M = N·H·W numbers:

    mean = Σ x / M        var = Σ (x − mean)² / M        x̂ = (x − mean) / √(var + eps)        y = weight · x̂ + bias

mean and var are computed from x, so every x moves every y of its channel.

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
MISSING = "what comes back through the batch's {} is missing: the term with {}"


def parts(grad_y: Array, x: Array) -> tuple[Array, Array, Array, Array]:
    """Return x̂, 1/√(var + eps), the mean of dy and the mean of dy·x̂, in shapes that fit x."""
    inv_std = 1 / np.sqrt(x.var(AXES, keepdims=True) + EPS)
    x_hat = (x - x.mean(AXES, keepdims=True)) * inv_std
    return x_hat, inv_std, grad_y.mean(AXES, keepdims=True), (grad_y * x_hat).mean(AXES, keepdims=True)


def typical(kind: str) -> Backward:
    """Return a backward with one typical mistake in dL/dx."""

    def backward(grad_y: Array, x: Array, weight: Array, bias: Array) -> tuple[Array | None, ...]:
        x_hat, inv_std, through_mean, through_var = parts(grad_y, x)
        gamma, M, N = weight.reshape(1, -1, 1, 1), x.size // x.shape[1], x.shape[0]
        grads = {
            "mean": gamma * inv_std * (grad_y - x_hat * through_var),
            "variance": gamma * inv_std * (grad_y - through_mean),
            "both": gamma * inv_std * grad_y,
            "weight": inv_std * (grad_y - through_mean - x_hat * through_var),
            "scale": gamma * (grad_y - through_mean - x_hat * through_var),
            "M": gamma * inv_std * (grad_y - (through_mean + x_hat * through_var) * (M / N)),
            "sum": gamma * inv_std * (grad_y - (through_mean + x_hat * through_var) * M),
            "unbiased": gamma * inv_std * (grad_y - (through_mean + x_hat * through_var) * (M / (M - 1))),
        }
        return grads[kind], None, None

    return backward


MISTAKES = {
    MISSING.format("mean", "Σ dy"): typical("mean"),
    MISSING.format("variance", "x̂"): typical("variance"),
    "mean and variance are taken for constants, as in evaluation: two terms are missing": typical("both"),
    "the factor weight is missing": typical("weight"),
    "the factor 1/√(var + eps) is missing": typical("scale"),
    "the sums are divided by the number of images, not by that of a channel's numbers": typical("M"),
    "the sums are not divided by M": typical("sum"),
    "the sums are divided by M − 1: the variance here is the biased one, of M": typical("unbiased"),
}


def forward(x: Array, weight: Array, bias: Array) -> Array:
    return numpy_kernels.batch_norm_forward(x, weight, bias, EPS)[0]


def without_mean(grad_y: Array, x: Array, weight: Array, bias: Array) -> tuple[Array | None, ...]:
    """dL/dweight with x in place of x̂."""
    return None, (grad_y * x).sum(AXES), None


def without_eps(grad_y: Array, x: Array, weight: Array, bias: Array) -> tuple[Array | None, ...]:
    """dL/dweight with the root of the variance alone."""
    x_hat = (x - x.mean(AXES, keepdims=True)) / x.std(AXES, keepdims=True)
    return None, (grad_y * x_hat).sum(AXES), None


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(2, 0.8, (4, 3, 2, 3)), "weight": rng.uniform(0.5, 2, 3), "bias": rng.standard_normal(3)}

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

    of_weight = {
        "x is taken for x̂: the mean is still in it, and the scale": without_mean,
        "eps is missing under the root of x̂": without_eps,
    }
    yield from check_gradient("dL/dbias", forward, only(2), arrays)
    yield from check_gradient("dL/dweight", forward, only(1), arrays, of_weight)
    yield from check_gradient("dL/dx", forward, only(0), arrays, MISTAKES)


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, batch_norm_backward=mine.batch_norm_backward)


EXERCISE = Exercise(
    chapter=8,
    name="batch_norm_backward",
    title="The backward pass of batch norm",
    text=TEXT,
    names=("batch_norm_backward",),
    hints=HINTS,
    check=check,
    plug=plug,
)
