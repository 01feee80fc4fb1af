"""Chapter 1, tensor.py: three steps and their slopes."""

from functools import partial

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.activation import pointwise_right
from minires.kernels import Array
from minires.learn.parts.tools import check_op, part


def draw(rng: np.random.Generator) -> dict[str, Array]:
    return {"x": rng.standard_normal(rng.integers(2, 5, 2))}


def draw_two(rng: np.random.Generator) -> dict[str, Array]:
    shape = rng.integers(2, 5, 2)
    return {"a": rng.standard_normal(shape), "b": rng.standard_normal(shape)}


PRODUCT = {
    "a": Right(
        lambda g, a, b: g * b, {"multiplied by a itself, where the other factor belongs": lambda g, a, b: g * a}
    ),
    "b": Right(
        lambda g, a, b: g * a, {"multiplied by b itself, where the other factor belongs": lambda g, a, b: g * b}
    ),
}


def tanh_slope(x: Array) -> Array:
    return np.asarray(1 - np.tanh(x) ** 2)


check_multiply = partial(check_op, name="Multiply", right=lambda a, b: a * b, draw=draw_two, gradients=PRODUCT)
check_exp = partial(check_op, name="Exp", right=np.exp, draw=draw, gradients={"x": pointwise_right(np.exp, np.exp)})
check_tanh = partial(
    check_op, name="Tanh", right=np.tanh, draw=draw, gradients={"x": pointwise_right(np.tanh, tanh_slope)}
)

PARTS = [part(1, "tensor.py", {"Multiply": check_multiply, "Exp": check_exp, "Tanh": check_tanh})]
