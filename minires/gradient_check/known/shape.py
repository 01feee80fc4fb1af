"""The gradients of what only moves numbers around, and the mistakes that people make in them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array


def reshape_right() -> Right:
    return Right(
        lambda g, x: g.reshape(x.shape),
        {"the numbers are read column by column": lambda g, x: g.reshape(x.shape, order="F")},
    )


def transpose_right(axes: Sequence[int]) -> Right:
    inverse = list(np.argsort(axes))
    return Right(
        lambda g, x: g.transpose(inverse),
        {
            "the same order of axes is taken once more, not the inverse one": lambda g, x: g.transpose(axes),
            "the numbers are not moved: reshaped, where a transpose belongs": lambda g, x: g.reshape(x.shape),
        },
    )


def pad_right(widths: Sequence[tuple[int, int]]) -> Right:
    def cut(starts: Sequence[int]) -> Any:
        def gradient(grad_y: Array, x: Array) -> Array:
            return grad_y[tuple([slice(start, start + size) for start, size in zip(starts, x.shape, strict=True)])]

        return gradient

    return Right(
        cut([before for before, _ in widths]),
        {
            "the rim is cut off behind alone: what is left begins at 0": cut([0] * len(widths)),
            "the widths before and behind are exchanged": cut([behind for _, behind in widths]),
        },
    )


def concatenate_rights(axis: int, number: int) -> list[Right]:
    """Return what is known of each part."""

    def part(which: int, start: Any) -> Any:
        def gradient(grad_y: Array, *parts: Array) -> Array:
            begin = start([one.shape[axis] for one in parts], which)
            return grad_y[(slice(None),) * axis + (slice(begin, begin + parts[which].shape[axis]),)]

        return gradient

    return [
        Right(
            part(which, lambda sizes, which: sum(sizes[:which])),
            {
                "every part is cut out from the start on": part(which, lambda sizes, which: 0),
                "the parts come in reverse order": part(which, lambda sizes, which: sum(sizes[which + 1 :])),
                "the part begins where the one before it does": part(
                    which, lambda sizes, which: sum(sizes[: max(which - 1, 0)])
                ),
            },
        )
        for which in range(number)
    ]


def getitem_right(index: Any) -> Right:
    """x[index]: a number that is named twice gets both."""

    def added(grad_y: Array, x: Array) -> Array:
        places = np.arange(x.size).reshape(x.shape)[index]
        return np.bincount(np.ravel(places), np.ravel(grad_y), x.size).reshape(x.shape)

    def assigned(grad_y: Array, x: Array) -> Array:
        result = np.zeros(x.shape)
        result[index] = grad_y
        return result

    return Right(added, {"assigned, and should be added: a number that is taken twice gets the last alone": assigned})
