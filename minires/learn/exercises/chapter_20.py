"""Chapter 20: the backward pass of a frozen batch norm, and integrated gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_gradient, check_values
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 20: a frozen batch norm, and an explanation that adds up.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

Fill in the two functions, then run `minires check 20`. `minires check 20 --hint` helps.
"""

import numpy as np


def frozen_batch_norm_backward(grad_y, x, weight, mean, var, eps):
    """Return dL/dx (N, C, H, W), dL/dweight (C,), dL/dbias (C,) of a batch norm whose statistics are frozen:

        y = weight · (x − mean) / √(var + eps) + bias        for each channel

    mean and var (C,) are numbers that were given, and do not depend on x. grad_y and x (N, C, H, W); weight (C,).
    """
    ...


def integrated_gradients(grad_of, x, baseline, steps):
    """Return an array of x's shape: how much each number of x has to do with the score of x, from `baseline` on.

        (x − baseline) · mean of grad_of(baseline + t · (x − baseline))    over t = (k + ½) / steps, k = 0 … steps − 1

    grad_of(x) is the gradient of the score at x. (M. Sundararajan, A. Taly, Q. Yan, arXiv 1703.01365. The sum of all
    numbers is about the score of x minus that of the baseline.)
    """
    ...
'''

HINTS = (
    "frozen_batch_norm_backward: mean and var are constants, so y is x times one number for each channel, plus "
    "another. What are the gradients of a product and a sum? Give (C,) the shape (1, C, 1, 1) to use it beside x.",
    "The norm's weight multiplies x̂ = (x − mean) / √(var + eps), at every place of its channel: so its gradient is a "
    "sum over all of them, and so is that of the bias.",
    "integrated_gradients: a loop over k that adds up gradients on the straight line from baseline to x, in the middle "
    "of each of `steps` stretches. The factor (x − baseline) comes last, number by number.",
)

EPS, AXES = 0.1, (0, 2, 3)  # a large eps shows where it is forgotten
MEAN, VAR = np.array([0.5, -1.0, 2.0, 0.3, 1.2]), np.array([0.4, 2.0, 1.5, 0.7, 3.0])

InvStd = Callable[[Array], Array]
INV_STDS: dict[str, InvStd] = {
    "eps is forgotten": lambda var: 1 / np.sqrt(var),
    "eps is added to the root: it belongs under it": lambda var: 1 / (np.sqrt(var) + EPS),
    "there is no root": lambda var: 1 / (var + EPS),
    "it is multiplied by √(var + eps), and should be divided by it": lambda var: np.sqrt(var + EPS),
    "it is not divided by √(var + eps)": np.ones_like,
}


def spread(numbers: Array) -> Array:
    return numbers[None, :, None, None]


def statistics(x: Array) -> tuple[Array, Array]:
    return MEAN[: x.shape[1]], VAR[: x.shape[1]]


def right_inv_std(var: Array) -> Array:
    return np.asarray(1 / np.sqrt(var + EPS))


def forward(x: Array, weight: Array, bias: Array) -> Array:
    mean, var = statistics(x)
    y = spread(weight) * (x - spread(mean)) * spread(right_inv_std(var)) + spread(bias)
    return y.astype(x.dtype)


def of_x(inv_std: InvStd) -> Callable[..., Array]:
    return lambda grad_y, x, weight, bias: grad_y * spread(weight * inv_std(statistics(x)[1]))


def in_training(grad_y: Array, x: Array, weight: Array, bias: Array) -> Array:
    inv_std = spread(right_inv_std(statistics(x)[1]))
    x_hat = (x - spread(statistics(x)[0])) * inv_std
    sums = grad_y.mean(AXES, keepdims=True) + x_hat * (grad_y * x_hat).mean(AXES, keepdims=True)
    return np.asarray(spread(weight) * inv_std * (grad_y - sums))


def of_weight(inv_std: InvStd, centred: bool = True) -> Callable[..., Array]:
    def gradient(grad_y: Array, x: Array, weight: Array, bias: Array) -> Array:
        mean, var = statistics(x)
        x_hat = (x - spread(mean) * centred) * spread(inv_std(var))
        return np.asarray((grad_y * x_hat).sum(AXES))

    return gradient


def counts(grad_y: Array, x: Array, weight: Array, bias: Array) -> dict[str, float]:
    return {"M": x.size // x.shape[1], "N": len(x), "C": x.shape[1]}


RIGHT = {
    "x": Right(
        of_x(right_inv_std),
        {sentence: of_x(inv_std) for sentence, inv_std in INV_STDS.items()}
        | {
            "these are the three terms of training; here mean and variance are constants": in_training,
            "the norm's weight is missing": lambda grad_y, x, *_: grad_y * spread(right_inv_std(statistics(x)[1])),
        },
        counts,
    ),
    "weight": Right(
        of_weight(right_inv_std),
        {sentence: of_weight(inv_std) for sentence, inv_std in INV_STDS.items()}
        | {"the mean is still in x̂": of_weight(right_inv_std, centred=False)},
        counts,
    ),
    "bias": Right(lambda grad_y, x, weight, bias: grad_y.sum(AXES), {}, counts),
}


def check_norm(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C, H, W = 3 + rng.integers(0, 2), 3 + rng.integers(0, 2), 2, 3 + rng.integers(0, 2)
        return {
            "x": rng.normal(1, 2, (N, C, H, W)),
            "weight": rng.uniform(0.5, 2, C),
            "bias": rng.standard_normal(C),
        }

    def backward(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
        mean, var = (numbers.astype(x.dtype) for numbers in statistics(x))
        grads = mine.frozen_batch_norm_backward(grad_y, x, weight, mean, var, EPS)
        if grads is not None and (not isinstance(grads, tuple) or len(grads) != 3):
            raise Wrong("frozen_batch_norm_backward: gives back three gradients: return grad_x, grad_weight, grad_bias")
        return (None, None, None) if grads is None else grads

    yield from check_gradient("frozen_batch_norm_backward", forward, backward, draw, RIGHT, seed=seed)


def gradient_of_score(x: Array) -> Array:
    """Return the gradient of Σ x³/3 + x₀·Σx, a score whose gradient is another at each place."""
    other = np.zeros_like(x)
    other.flat[0] = x.sum()
    return np.asarray(x**2 + x.flat[0] + other)


def mean_gradient(x: Array, baseline: Array, steps: int, at: Callable[[int], float]) -> Array:
    gradients = [gradient_of_score(baseline + at(k) / steps * (x - baseline)) for k in range(steps)]
    return np.asarray(np.mean(gradients, axis=0))


def integrated(x: Array, baseline: Array, steps: int, at: Callable[[int], float] = lambda k: k + 0.5) -> Array:
    return (x - baseline) * mean_gradient(x, baseline, steps, at)


OF_PATH = Right(
    integrated,
    {
        "the factor (x − baseline) is missing": lambda x, b, n: mean_gradient(x, b, n, lambda k: k + 0.5),
        "it is multiplied by x, and should be by x − baseline": (
            lambda x, b, n: x * mean_gradient(x, b, n, lambda k: k + 0.5)
        ),
        "the gradient is taken where each stretch begins, t = k / steps; its middle is wanted": (
            lambda x, b, n: integrated(x, b, n, lambda k: k)
        ),
        "the gradient is taken where each stretch ends, t = (k + 1) / steps; its middle is wanted": (
            lambda x, b, n: integrated(x, b, n, lambda k: k + 1)
        ),
        "only the gradient at x is taken, and not those on the way": lambda x, b, n: (x - b) * gradient_of_score(x),
        "the way begins at 0, and not at the baseline": (
            lambda x, b, n: (x - b) * mean_gradient(x, np.zeros_like(x), n, lambda k: k + 0.5)
        ),
    },
    lambda x, b, n: {"steps": n},
    arrives=False,
)


def check_path(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        shape = (2, int(rng.integers(3, 5)), 3)
        return rng.normal(1, 1, shape), rng.normal(-1, 1, shape), int(rng.integers(4, 8))

    def function(x: Array, baseline: Array, steps: int) -> Any:
        return mine.integrated_gradients(gradient_of_score, x, baseline, steps)

    yield from check_values("integrated_gradients", function, OF_PATH, draw, seed)


EXERCISE = Exercise(
    chapter=20,
    name="frozen_and_explained",
    title="A frozen batch norm, and an explanation that adds up",
    text=TEXT,
    hints=HINTS,
    checks={"frozen_batch_norm_backward": check_norm, "integrated_gradients": check_path},
)
