"""Matrix products: vectors, batches on either side, broadcast on the left and on the right; single rows and columns."""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space

BATCHES = (((), ()), ((2,), (2,)), ((), (4,)), ((4,), ()), ((1,), (3,)), ((3,), (1,)), ((2, 1), (4,)), ((4,), (2, 1)),
           ((5, 2), ()), ((), (5, 2)))  # fmt: skip


def matmul(rng: np.random.Generator, batches: Any, rows: int, columns: int, C: int, vector: str) -> Case:
    a = rng.standard_normal((C,) if vector in ("a", "both") else (*batches[0], rows, C))
    b = rng.standard_normal((C,) if vector in ("b", "both") else (*batches[1], C, columns))
    return Case("", "", ops.matmul, {"a": a, "b": b}, np.matmul)


def linear(rng: np.random.Generator, N: Any, C: int, F: int, bias: bool) -> Case:
    arguments = {"x": rng.standard_normal((*N, C)), "weight": rng.standard_normal((F, C))}
    if bias:
        arguments["bias"] = rng.standard_normal(F)
    return Case("", "", ops.linear, arguments, linear_formula)


def linear_formula(x: Any, weight: Any, bias: Any = 0.0) -> Any:
    return np.einsum("...c,fc->...f", x, weight) + bias


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    return [
        Case("matmul", "", ops.matmul, {"a": normal((2, 3)), "b": normal((3, 4))}),
        Case("matmul", "square", ops.matmul, {"a": normal((3, 3)), "b": normal((3, 3))}),
        Case("matmul", "batches, broadcast", ops.matmul, {"a": normal((2, 1, 2, 3)), "b": normal((4, 3, 2))}),
        Case("matmul", "vectors", ops.matmul, {"a": normal(3), "b": normal(3)}),
        Case("linear", "", ops.linear, {"x": normal((4, 3)), "weight": normal((2, 3)), "bias": normal(2)}),
        Case("linear", "square", ops.linear, {"x": normal((3, 3)), "weight": normal((3, 3)), "bias": normal(3)}),
        Case("linear", "no bias", ops.linear, {"x": normal((4, 3)), "weight": normal((2, 3))}),
        Case("linear", "more axes", ops.linear, {"x": normal((2, 4, 3)), "weight": normal((5, 3)), "bias": normal(5)}),
        Case("linear", "one row", ops.linear, {"x": normal(3), "weight": normal((2, 3)), "bias": normal(2)}),
    ]


SPACES = [
    Space(
        "matmul",
        {"batches": BATCHES, "rows": (2, 1, 4), "columns": (4, 1, 2), "C": (3, 1, 2), "vector": ("", "a", "b", "both")},
        matmul,
    ),
    Space(
        "linear",
        {
            "N": ((4,), (1,), (2,), (3,), (), (2, 3), (3, 1, 2)),
            "C": (3, 1, 2),
            "F": (2, 1, 3),
            "bias": (True, False),
        },
        linear,
    ),
]
