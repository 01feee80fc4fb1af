"""Chapter 6, conv.py: how many places, the windows in columns, and the product."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_values
from minires.learn.parts.tools import part

CASES = {
    "3×3, padding 1": (3, 1, 1),
    "3×3, stride 2, padding 1": (3, 2, 1),
    "2×2, stride 3": (2, 3, 0),
    "1×1": (1, 1, 0),
}


def places(size: int, K: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - K) // stride + 1


def check_size(mine: Any, seed: int) -> Iterator[str]:
    mistakes = {
        "one place too few: the first one counts, too (the + 1)": lambda s, K, t, p: (s + 2 * p - K) // t,
        "the padding is counted on one side alone": lambda s, K, t, p: (s + p - K) // t + 1,
        "the padding is ignored": lambda s, K, t, p: (s - K) // t + 1,
        "the stride is ignored": lambda s, K, t, p: s + 2 * p - K + 1,
        "the result is not rounded down: // divides and rounds": lambda s, K, t, p: (s + 2 * p - K) / t + 1,
        "the 1 is divided by the stride, too: it is added behind": lambda s, K, t, p: (s + 2 * p - K + 1) // t,
    }
    arguments = [(size, K, t, p) for size in (6, 7, 9) for K in (1, 2, 3) for t in (1, 2, 3) for p in (0, 1, 2)]
    given = [mine.output_size(*one) for one in arguments]
    wanted = [places(*one) for one in arguments]
    if given != wanted:
        for sentence, mistaken in mistakes.items():
            if given == [mistaken(*one) for one in arguments]:
                raise Wrong(f"output_size: {sentence}")
        i = next(i for i, (one, other) in enumerate(zip(given, wanted, strict=True)) if one != other)
        size, K, t, p = arguments[i]
        raise Wrong(
            f"output_size: {given[i]!r} is not right for {size} pixels, a filter of {K}, stride {t}, padding {p}"
        )
    yield f"output_size, {len(arguments)} cases"


def columns(x: Array, K: int, stride: int, padding: int) -> Array:
    """Return the windows by their definition, one number at a time."""
    N, C, H, W = x.shape
    I, J = places(H, K, stride, padding), places(W, K, stride, padding)
    found = np.zeros((N, C, K, K, I, J), x.dtype)
    for n, c, u, v, i, j in np.ndindex(found.shape):
        h, w = i * stride + u - padding, j * stride + v - padding
        if 0 <= h < H and 0 <= w < W:
            found[n, c, u, v, i, j] = x[n, c, h, w]
    return found


def check_columns(mine: Any, seed: int) -> Iterator[str]:
    known = Right(
        columns,
        {
            "the filter's two axes are exchanged": lambda x, K, t, p: columns(x, K, t, p).swapaxes(2, 3),
            "every window holds the same pixel K·K times": lambda x, K, t, p: (
                columns(x, K, t, p) * 0 + columns(x, K, t, p)[:, :, :1, :1]
            ),
        },
        arrives=False,
    )
    for head, (K, stride, padding) in CASES.items():

        def draw(rng: np.random.Generator, K: int = K, t: int = stride, p: int = padding) -> tuple[Any, ...]:
            return rng.standard_normal((2, 3, *rng.permutation([6, 7]))), K, t, p

        yield from check_values(f"im2col, {head}", mine.im2col, known, draw, seed)


def check_forward(mine: Any, seed: int) -> Iterator[str]:
    def right(x: Array, weight: Array, stride: int, padding: int) -> Array:
        return numpy_kernels.conv2d_forward(x, weight, None, (stride, stride), (padding, padding))

    def y_of(*arguments: Any) -> Any:
        found = mine.conv2d_forward(*arguments)
        if found is None:
            return None
        if not isinstance(found, tuple) or len(found) != 2:
            raise Wrong("conv2d_forward: it should give back two arrays, y and the windows")
        return found[0]

    known = Right(
        right,
        {
            "the filters are turned by half a turn: here nothing is turned": lambda x, w, t, p: right(
                x, w[:, :, ::-1, ::-1], t, p
            )
        },
        arrives=False,
    )
    for head, (K, stride, padding) in CASES.items():

        def draw(rng: np.random.Generator, K: int = K, t: int = stride, p: int = padding) -> tuple[Any, ...]:
            return rng.standard_normal((2, 3, *rng.permutation([6, 7]))), rng.standard_normal((4, 3, K, K)), t, p

        yield from check_values(f"conv2d_forward, {head}", y_of, known, draw, seed)


PARTS = [
    part(6, "conv.py", {"output_size": check_size, "im2col": check_columns, "conv2d_forward": check_forward}),
]
