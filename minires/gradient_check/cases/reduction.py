"""Sums, means, maxima and variances: every set of axes, sizes of 1, odd counts, ties."""

from functools import partial
from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space, distinct

NAMES = ("sum", "mean", "max", "var")


def reduced(name: str, rng: np.random.Generator, shape: Any, axis: Any, keepdims: bool) -> Case | None:
    axes = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    if any(not -len(shape) <= one < len(shape) for one in axes) or len({one % len(shape) for one in axes}) < len(axes):
        return None
    if name == "var" and (axis == () or (axes and all(shape[one] == 1 for one in axes))):
        return None  # of one number it is constant

    def formula(x: Any) -> Any:
        return getattr(np, name)(x, axis=axis, keepdims=keepdims)

    function = getattr(ops, name)
    return Case(name, "", lambda x: function(x, axis, keepdims), {"x": distinct(rng, *shape)}, formula)


def tied(rng: np.random.Generator, axis: Any, keepdims: bool, number_of_ties: int) -> Case:
    x = distinct(rng, 2, 3, 4)
    flat = x.reshape(-1)
    flat[:number_of_ties] = 9.0

    def shared(grad_y: Any, x: Any) -> Any:
        equal = x == x.max(axis=axis, keepdims=True)
        wide = grad_y if keepdims else np.reshape(grad_y, x.max(axis=axis, keepdims=True).shape)
        return wide * equal / equal.sum(axis=axis, keepdims=True)

    def formula(x: Any) -> Any:
        return x.max(axis=axis, keepdims=keepdims)

    return Case("max", "", lambda x: ops.max(x, axis, keepdims), {"x": x}, formula, shared)


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    cases = []
    for name in NAMES:
        function = getattr(ops, name)
        cases += [
            Case(name, "all", function, {"x": normal((3, 4))}),
            Case(name, "axis 1", lambda x, function=function: function(x, axis=1), {"x": normal((3, 4, 2))}),
            Case(
                name,
                "axes 0 and −1, keepdims",
                lambda x, function=function: function(x, axis=(0, -1), keepdims=True),
                {"x": normal((3, 4, 2))},
            ),
        ]
    return [*cases, Case("max", "ties", lambda x: ops.max(x, axis=1), {"x": np.array([[1.0, 2, 2, 0], [3, 1, 0, 2]])})]


VALUES = {
    "shape": ((2, 3, 4), (3, 5), (2, 3, 1, 5), (7,), (1, 3)),
    "axis": (None, 0, 1, -1, (0, 1), (0, -1), (1, 2), (0, 2, 3), (1,), ()),
    "keepdims": (False, True),
}
TIES = {"axis": (None, 0, 1, 2, (0, 1), (1, 2)), "keepdims": (False, True), "number_of_ties": (2, 3, 24)}

SPACES = [
    *[Space(name, VALUES, partial(reduced, name)) for name in NAMES],
    Space("max", TIES, tied),
]
