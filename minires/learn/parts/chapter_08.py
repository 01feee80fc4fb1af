"""Chapter 8, norm.py: batch norm's backward, and the running averages."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.known.normalization import batch_norm_right
from minires.kernels import Array
from minires.learn.examiner import Wrong, generator, refuse_nothing
from minires.learn.parts.tools import check_op, part

AXES = (0, 2, 3)


def check_norm(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C, H, W = rng.permutation([2, 3, 4, 5])
        return {
            "x": 1 + 2 * rng.standard_normal((N, C, H, W)), "weight": rng.uniform(0.5, 1.5, C),
            "bias": rng.standard_normal(C),
        }  # fmt: skip

    def right(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
        x_hat = (x - x.mean(AXES, keepdims=True)) / np.sqrt(x.var(AXES, keepdims=True) + eps)
        return np.asarray(x_hat * weight[:, None, None] + bias[:, None, None])

    yield from check_op(mine, seed, "BatchNorm", right, draw, (1e-5,), batch_norm_right(1e-5, AXES))

    def with_eps(x: Array, weight: Array, bias: Array) -> Array:
        return right(x, weight, bias, 0.5)

    yield from check_op(mine, seed, "BatchNorm", with_eps, draw, (0.5,), batch_norm_right(0.5, AXES))


def averages(module: ModuleType, batches: list[Array], momentum: float) -> Any:
    """Where the reader's code runs: a BatchNorm2d's running mean and variance after some batches."""
    norm = module.BatchNorm2d(batches[0].shape[1], momentum=momentum)
    for x in batches:
        y = norm(module.Tensor(x))
    return norm.running_mean, norm.running_var, y.data


def after(batches: list[Array], momentum: float, mistake: str = "") -> tuple[Array, Array]:
    C = batches[0].shape[1]
    mean, var = np.zeros(C), np.ones(C)
    kept = momentum if mistake == "turned" else 1 - momentum
    for x in batches:
        share = (1 - kept) if mistake != "sum" else momentum
        mean = (1 if mistake == "sum" else kept) * mean + share * x.mean(AXES)
        var = (1 if mistake == "sum" else kept) * var + share * x.var(AXES, ddof=0 if mistake == "biased" else 1)
    return mean, var


MISTAKES = {
    "turned": "momentum is the wrong way round: it is the share of what is new",
    "sum": "what was there is kept whole: it should fade, by the factor 1 − momentum",
    "biased": "the variance is norm.var, and should be `unbiased`",
}


def check_averages(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "averages")
    for momentum in (0.1, 0.3):
        batches = [2 + 3 * rng.standard_normal((4, 3, 2, 2)) for _ in range(3)]
        mean, var, _ = mine.averages(batches, momentum)
        head = f"BatchNorm2d, running averages with momentum {momentum}"
        refuse_nothing(head, mean)
        right = after(batches, momentum)
        if not (alike(mean, right[0]) and alike(var, right[1])):
            for mistake, sentence in MISTAKES.items():
                other = after(batches, momentum, mistake)
                if alike(mean, other[0]) and alike(var, other[1]):
                    raise Wrong(f"{head}: {sentence}")
            if np.array_equal(mean, np.zeros(3)):
                raise Wrong(f"{head}: they stay as they were; is the gap (`...`) still there?")
            which = "mean" if not alike(mean, right[0]) else "variance"
            raise Wrong(f"{head}: the running {which} is not right")
        yield head


def alike(one: Any, other: Array) -> bool:
    return np.shape(one) == other.shape and np.allclose(one, other, rtol=1e-5, atol=1e-6)


PARTS = [part(8, "norm.py", {"BatchNorm": check_norm, "BatchNorm2d": check_averages}, {"averages": averages})]
