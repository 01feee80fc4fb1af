"""Chapter 3, tensor.py: the ops of a fully connected network."""

from functools import partial

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.activation import relu_right
from minires.gradient_check.known.affine import matmul_right
from minires.gradient_check.known.shortcut import residual_add_right
from minires.kernels import Array
from minires.learn.parts.chapter_01 import draw, draw_two
from minires.learn.parts.tools import check_op, part


def draw_matrices(rng: np.random.Generator) -> dict[str, Array]:
    N, C, F = rng.permutation([2, 3, 4]) + rng.integers(0, 2)
    return {"a": rng.standard_normal((N, C)), "b": rng.standard_normal((C, F))}


def draw_off_the_kink(rng: np.random.Generator) -> dict[str, Array]:
    x = draw(rng)["x"]
    return {"x": x + 0.1 * np.sign(x)}


SUM = Right(
    lambda g, x: g + np.zeros_like(x),
    {"divided by the number of elements: that is a mean's gradient": lambda g, x: g / x.size + np.zeros_like(x)},
)
SIDES = residual_add_right()

check_add = partial(
    check_op, name="Add", right=lambda a, b: a + b, draw=draw_two,
    gradients={"a": SIDES["shortcut"], "b": SIDES["branch"]},
)  # fmt: skip
check_matmul = partial(check_op, name="MatMul", right=lambda a, b: a @ b, draw=draw_matrices, gradients=matmul_right())
check_relu = partial(
    check_op, name="ReLU", right=lambda x: np.maximum(x, 0), draw=draw_off_the_kink, gradients={"x": relu_right()}
)
check_sum = partial(check_op, name="Sum", right=np.sum, draw=draw, gradients={"x": SUM})

PARTS = [part(3, "tensor.py", {"Add": check_add, "MatMul": check_matmul, "ReLU": check_relu, "Sum": check_sum})]
