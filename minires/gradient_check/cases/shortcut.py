"""The residual add, and option A at every stride, with odd and even numbers of channels added."""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space


def option_a(rng: np.random.Generator, stride: int, added: int, image: Any, N: int, C: int) -> Case:
    front = added // 2

    def formula(x: Any) -> Any:
        y = np.zeros((N, C + added, -(-image[0] // stride), -(-image[1] // stride)))
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                y[:, front : front + C, i, j] = x[:, :, i * stride, j * stride]
        return y

    x = rng.standard_normal((N, C, *image))
    return Case("", "", lambda x: ops.option_a(x, C + added, stride), {"x": x}, formula)


def residual_add(rng: np.random.Generator, shape: Any) -> Case:
    arguments = {"shortcut": rng.standard_normal(shape), "branch": rng.standard_normal(shape)}
    return Case("", "", ops.residual_add, arguments, np.add)


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    return [
        Case(
            "residual_add",
            "",
            ops.residual_add,
            {"shortcut": normal((2, 3, 2, 3)), "branch": normal((2, 3, 2, 3))},
        ),
        Case("residual_add", "x + tanh x", lambda x: ops.residual_add(x, ops.tanh(x)), {"x": normal((2, 3, 2, 3))}),
        Case("option_a", "stride 2", lambda x: ops.option_a(x, 6, 2), {"x": normal((2, 3, 4, 5))}),
        Case("option_a", "stride 1", lambda x: ops.option_a(x, 4, 1), {"x": normal((2, 2, 2, 3))}),
    ]


SPACES = [
    Space("residual_add", {"shape": ((2, 3, 4, 5), (1, 2, 3, 1), (4, 3))}, residual_add),
    Space(
        "option_a",
        {"stride": (2, 1, 3, 4), "added": (2, 0, 1, 5), "image": ((5, 7), (4, 3), (1, 6)), "N": (2, 1), "C": (3, 1)},
        option_a,
    ),
]
