"""Moving numbers around: four axes, axes of equal size, where a swap keeps the shape, a row indexed twice."""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space


def concatenate(rng: np.random.Generator, axis: int, shape: Any, sizes: Any) -> Case | None:
    if not -len(shape) <= axis < len(shape):
        return None
    arguments = {}
    for letter, size in zip("abcd", sizes, strict=False):
        one = list(shape)
        one[axis] = size if size else shape[axis]
        arguments[letter] = rng.standard_normal(one)
    return Case(
        "",
        "",
        lambda *parts: ops.concatenate(parts, axis),
        arguments,
        lambda *parts: np.concatenate(parts, axis),
    )


def transpose(rng: np.random.Generator, shape: Any, axes: Any) -> Case | None:
    if axes and len(axes) != len(shape):
        return None
    x = rng.standard_normal(shape)
    return Case("", "", lambda x: ops.transpose(x, *axes), {"x": x}, lambda x: x.transpose(*axes))


def pad(rng: np.random.Generator, shape: Any, before: int, behind: int, axis: int) -> Case | None:
    if axis >= len(shape):
        return None
    widths = [(0, 0)] * len(shape)
    widths[axis], widths[0] = (before, behind), (behind, before) if axis else (before, behind)
    return Case("", "", lambda x: ops.pad(x, widths), {"x": rng.standard_normal(shape)}, lambda x: np.pad(x, widths))


INDICES = {
    "one row": 1,
    "last": -1,
    "slice": slice(1, None),
    "reversed": slice(None, None, -1),
    "every second, of two axes": (slice(None, None, 2), slice(1, None, 2)),
    "new axis": (slice(None), None, 0),
    "dots": (..., 1),
    "rows, one twice": np.array([0, 2, 2, -1]),
    "pairs, one twice": (np.array([0, 1, 1]), np.array([2, 0, 0])),
    "mask": np.array([True, False, True]),
    "row and slice": (np.array([2, 0]), slice(0, 2)),
}


def getitem(rng: np.random.Generator, index: str, shape: Any) -> Case:
    what: Any = INDICES[index]
    return Case("", "", lambda x: x[what], {"x": rng.standard_normal(shape)}, lambda x: x[what])


def reshape(rng: np.random.Generator, to: Any) -> Case:
    x = rng.standard_normal((2, 3, 4))
    return Case("", "", lambda x: ops.reshape(x, to), {"x": x}, lambda x: x.reshape(to))


def flatten(rng: np.random.Generator, start_axis: int) -> Case:
    x = rng.standard_normal((2, 3, 2, 5))
    return Case("", "", lambda x: ops.flatten(x, start_axis), {"x": x}, lambda x: x.reshape(*x.shape[:start_axis], -1))


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    rows = np.array([0, 2, 2, 1, 2])
    mask = rng.random((4, 3)) > 0.5
    return [
        Case("reshape", "", lambda x: ops.reshape(x, 4, -1), {"x": normal((2, 3, 4))}),
        Case("reshape", "sizes in an array", lambda x: ops.reshape(x, np.array([6, 4])), {"x": normal((2, 3, 4))}),
        Case("transpose", "", lambda x: ops.transpose(x, 1, 2, 0), {"x": normal((2, 3, 4))}),
        Case("transpose", "reversed", lambda x: ops.transpose(x), {"x": normal((2, 3))}),
        Case("flatten", "", ops.flatten, {"x": normal((2, 3, 2, 2))}),
        Case("pad", "", lambda x: ops.pad(x, ((1, 0), (2, 3))), {"x": normal((3, 4))}),
        Case(
            "concatenate",
            "axis 1",
            lambda a, b, c: ops.concatenate((a, b, c), axis=1),
            {"a": normal((2, 3)), "b": normal((2, 1)), "c": normal((2, 2))},
        ),
        Case("getitem", "slices", lambda x: x[1:, ::2], {"x": normal((4, 5))}),
        Case("getitem", "repeated rows", lambda x: x[rows], {"x": normal((3, 4))}),
        Case("getitem", "mask", lambda x: x[mask], {"x": normal((4, 3))}),
    ]


SPACES = [
    Space("reshape", {"to": ((4, -1), (24,), (3, 2, 2, 2), (1, 24))}, reshape),
    Space(
        "transpose",
        {
            "shape": ((2, 3, 4), (3, 3, 3), (2, 3, 4, 5), (2, 2, 2, 2), (3, 4)),
            "axes": ((), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 2, 3, 0), (3, 0, 1, 2), (0, -1, 1, 2), (1, 0)),
        },
        transpose,
    ),
    Space("flatten", {"start_axis": (1, 0, 2, 3)}, flatten),
    Space("pad", {"shape": ((3, 4), (2, 3, 4)), "before": (1, 0, 2), "behind": (3, 0, 1), "axis": (0, 1, 2)}, pad),
    Space(
        "concatenate",
        {
            "axis": (0, 1, -1, 2, 3),
            "shape": ((2, 3), (2, 2, 2, 2), (2, 3, 4, 5), (3,)),
            "sizes": ((1, 2), (0, 0), (2, 2, 2), (3, 1, 2, 1), (2,)),  # 0: the others' size
        },
        concatenate,
    ),
    Space("getitem", {"index": tuple(INDICES), "shape": ((3, 4), (3, 3, 2))}, getitem),
]
