"""The gradients of a linear layer y = x @ weight.T + bias, and of a matrix product, and the mistakes made in them."""

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.arithmetic import mean_to, sum_to
from minires.kernels import Array


def linear_right() -> dict[str, Right]:
    """Return what is known of the gradients of x, weight and bias, as functions of (grad_y, x, weight, …)."""
    return LINEAR


def sizes(grad_y: Array, x: Array, weight: Array, *_: Array) -> dict[str, float]:
    return {"N": len(x), "C": x.shape[1], "F": len(weight)}


LINEAR = {
    "x": Right(lambda g, x, weight, *_: g @ weight, {}, sizes),
    "weight": Right(
        lambda g, x, weight, *_: g.T @ x,
        {
            "divided by N: it is a mean over the images; the mean is the loss's business, and is in grad_y": (
                lambda g, x, weight, *_: g.T @ x / len(x)
            ),
            "what the bias does is counted in: y − bias, or grad_y with its mean taken off": (
                lambda g, x, weight, *_: (g - g.mean(axis=0)).T @ x
            ),
            "x is squared in it": lambda g, x, weight, *_: g.T @ x**2,
        },
        sizes,
    ),
    "bias": Right(
        lambda g, x, weight, *_: g.sum(axis=0),
        {
            "a mean over the images, and should be a sum; the mean belongs to the loss": (
                lambda g, x, weight, *_: g.mean(axis=0)
            ),
            "multiplied by the bias itself": lambda g, x, weight, *bias: g.sum(axis=0) * bias[0],
            "this is N, the number of images, in each place: what arrives is not used": (
                lambda g, x, weight, *_: np.full(len(weight), float(len(x)))
            ),
            "the largest of what arrives, not the sum": lambda g, x, weight, *_: g.max(axis=0),
        },
        sizes,
    ),
}


BATCHES = "a mean is taken over the batches that were broadcast, and should be a sum"


def matmul_right() -> dict[str, Right]:
    """Return what is known of the gradients of a and b of y = a @ b, matrices or batches of them, broadcast."""
    return {
        "a": Right(
            lambda g, a, b: sum_to(g @ b.swapaxes(-1, -2), a.shape),
            {
                "multiplied by a, where the other factor belongs": lambda g, a, b: g.sum() * a,
                BATCHES: lambda g, a, b: mean_to(g @ b.swapaxes(-1, -2), a.shape),
            },
            matmul_sizes,
        ),
        "b": Right(
            lambda g, a, b: sum_to(a.swapaxes(-1, -2) @ g, b.shape),
            {
                "multiplied by b, where the other factor belongs": lambda g, a, b: g.sum() * b,
                BATCHES: lambda g, a, b: mean_to(a.swapaxes(-1, -2) @ g, b.shape),
            },
            matmul_sizes,
        ),
    }


def matmul_sizes(grad_y: Array, a: Array, b: Array) -> dict[str, float]:
    return {"N": a.shape[-2], "C": a.shape[-1], "F": b.shape[-1]}
