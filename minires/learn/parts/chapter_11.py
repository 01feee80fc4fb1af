"""Chapter 11, residual.py: the residual add and option A."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minires.gradient_check.known.shortcut import option_a_right, residual_add_right
from minires.kernels import Array, numpy_kernels
from minires.learn.parts.tools import check_op, part


def draw_two(rng: np.random.Generator) -> dict[str, Array]:
    shape = rng.permutation([2, 3, 4, 5])
    return {"shortcut": rng.standard_normal(shape), "branch": rng.standard_normal(shape)}


def draw_images(rng: np.random.Generator) -> dict[str, Array]:
    return {"x": rng.standard_normal((2, 3, *rng.permutation([5, 6])))}


def check_option_a(mine: Any, seed: int) -> Iterator[str]:
    for F in (6, 7):

        def right(x: Array, F: int = F) -> Array:
            return numpy_kernels.option_a_forward(x, F, 2)

        yield from check_op(mine, seed, "OptionA", right, draw_images, (F,), {"x": option_a_right(2)})


check_add = partial(
    check_op, name="ResidualAdd", right=lambda shortcut, branch: shortcut + branch, draw=draw_two,
    gradients=residual_add_right(),
)  # fmt: skip

PARTS = [part(11, "residual.py", {"ResidualAdd": check_add, "OptionA": check_option_a})]
