"""Pools with ceil_mode and without count_include_pad: last windows that run out of the image, that would begin in the
padding, that are larger than the image; padding that counts and does not."""

from functools import partial
from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space, distinct

Pair = tuple[int, int]


def places(size: int, window: int, stride: int, padding: int, ceil_mode: bool) -> list[int]:
    """List where windows begin along one axis: those that fit, and with ceil_mode all that the ones before leave a
    pixel to, if they begin before the padding behind."""
    starts, start = [], -padding
    while start + window <= size + padding or (ceil_mode and start - stride + window < size + padding and start < size):
        starts.append(start)
        start += stride
    return starts


def pooled(x: Any, size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, with_padding: bool | None) -> Any:
    """Pool window by window; with_padding: None for the maximum."""
    tops, lefts = [places(x.shape[2 + k], size[k], stride[k], padding[k], ceil_mode) for k in range(2)]
    y = np.empty((*x.shape[:2], len(tops), len(lefts)))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            seen = x[:, :, max(top, 0) : top + size[0], max(left, 0) : left + size[1]]
            count = seen.shape[2] * seen.shape[3]
            if with_padding:
                bottom = min(top + size[0], x.shape[2] + padding[0])
                count = (bottom - top) * (min(left + size[1], x.shape[3] + padding[1]) - left)
            y[:, :, i, j] = seen.max(axis=(2, 3)) if with_padding is None else seen.sum(axis=(2, 3)) / count
    return y


def pool(
    kind: tuple[bool, bool | None],
    rng: np.random.Generator,
    size: Pair,
    stride: Any,
    padding: Pair,
    image: Pair,
    N: int,
) -> Case | None:
    ceil_mode, with_padding = kind
    steps = size if stride is None else stride
    if any(2 * padding[k] > size[k] for k in range(2)):
        return None
    if any(not places(image[k], size[k], steps[k], padding[k], ceil_mode) for k in range(2)):
        return None
    x = distinct(rng, N, 2, *image)
    if with_padding is None:
        x = x - x.max() - 1  # all below zero: neither padding nor what lies beyond must win
    window = size, stride, padding

    def fn(x: Any) -> Any:
        if with_padding is None:
            return ops.max_pool2d(x, *window, ceil_mode=ceil_mode)
        return ops.avg_pool2d(x, *window, ceil_mode, with_padding)

    formula = partial(pooled, size=size, stride=steps, padding=padding, ceil_mode=ceil_mode, with_padding=with_padding)
    return Case("", "", fn, {"x": x}, formula)


def tied(rng: np.random.Generator, size: Pair, stride: Pair, padding: Pair) -> Case:
    x = rng.integers(0, 3, (2, 2, 4, 6)).astype(np.float64)
    x[0, 0, 0, 0] = 9.0
    window = size, stride, padding

    def to_the_first(grad_y: Any, x: Any) -> Any:
        grad_x = np.zeros(x.shape)
        tops, lefts = [places(x.shape[2 + k], size[k], stride[k], padding[k], True) for k in range(2)]
        for n, c, i, j in np.ndindex(grad_y.shape):
            top, left = max(tops[i], 0), max(lefts[j], 0)
            seen = x[n, c, top : tops[i] + size[0], left : lefts[j] + size[1]]
            u, v = divmod(int(np.argmax(seen)), seen.shape[1])
            grad_x[n, c, top + u, left + v] += grad_y[n, c, i, j]
        return grad_x

    formula = partial(pooled, size=size, stride=stride, padding=padding, ceil_mode=True, with_padding=None)
    return Case("", "", lambda x: ops.max_pool2d(x, *window, ceil_mode=True), {"x": x}, formula, to_the_first)


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    x = {"x": normal((2, 2, 4, 6))}
    equals = rng.integers(0, 2, (1, 2, 5, 4)).astype(np.float64)
    equals[0, 0, 4, 3] = 5.0
    return [
        Case("max_pool2d", "ceil_mode, 3×3, stride 2", lambda x: ops.max_pool2d(x, 3, 2, ceil_mode=True), x),
        Case("max_pool2d", "ceil_mode, ties", lambda x: ops.max_pool2d(x, 2, 3, ceil_mode=True), {"x": equals}),
        Case("avg_pool2d", "ceil_mode, 3×3, stride 2", lambda x: ops.avg_pool2d(x, 3, 2, 0, True), x),
        Case("avg_pool2d", "ceil_mode, padding 1", lambda x: ops.avg_pool2d(x, 3, 2, 1, True), x),
        Case(
            "avg_pool2d",
            "padding not counted",
            lambda x: ops.avg_pool2d(x, (3, 2), (2, 1), (1, 1), count_include_pad=False),
            {"x": normal((2, 2, 5, 4))},
        ),
        Case("avg_pool2d", "ceil_mode, padding not counted", lambda x: ops.avg_pool2d(x, 3, 2, 1, True, False), x),
    ]


WINDOWS = {
    "size": ((3, 3), (2, 2), (4, 1), (5, 6)),
    "stride": ((2, 2), None, (1, 3), (4, 3)),
    "padding": ((0, 0), (1, 1), (2, 0)),
    "image": ((4, 6), (7, 4)),
    "N": (2, 1),
}

TIED: dict[str, Any] = {"size": ((3, 3), (2, 3)), "stride": ((2, 2), (3, 4)), "padding": ((0, 0), (1, 1))}

POOLS = [
    Space(name, WINDOWS, partial(pool, kind))
    for name, kind in (
        ("max_pool2d", (True, None)),
        ("avg_pool2d", (True, True)),
        ("avg_pool2d", (True, False)),
        ("avg_pool2d", (False, False)),
    )
]

SPACES = [*POOLS, Space("max_pool2d", TIED, tied)]
