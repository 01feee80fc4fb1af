"""Pooling: windows that overlap, touch and leave gaps; padding; ties; images of one pixel."""

from functools import partial
from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space, distinct

Pair = tuple[int, int]


def pooled(x: Any, size: Pair, stride: Pair, padding: Pair, maximum: bool) -> Any:
    """Pool window by window."""
    fill = -np.inf if maximum else 0.0
    around = [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2]
    padded = np.pad(x, around, constant_values=fill)
    I, J = [(padded.shape[2 + k] - size[k]) // stride[k] + 1 for k in range(2)]
    y = np.empty((*x.shape[:2], I, J))
    for i in range(I):
        for j in range(J):
            h, w = i * stride[0], j * stride[1]
            window = padded[:, :, h : h + size[0], w : w + size[1]]
            y[:, :, i, j] = window.max(axis=(2, 3)) if maximum else window.sum(axis=(2, 3)) / (size[0] * size[1])
    return y


def pool(
    name: str, rng: np.random.Generator, size: Pair, stride: Any, padding: Pair, image: Pair, N: int
) -> Case | None:
    steps = size if stride is None else stride
    if any(2 * padding[k] > size[k] or size[k] > image[k] + 2 * padding[k] for k in range(2)):
        return None
    function, x = getattr(ops, name), distinct(rng, N, 2, *image)
    if name == "max_pool2d":
        x = x - x.max() - 1  # all below zero: padding must not win
    formula = partial(pooled, size=size, stride=steps, padding=padding, maximum=name == "max_pool2d")
    return Case(name, "", lambda x: function(x, size, stride, padding), {"x": x}, formula)


def tied(rng: np.random.Generator, size: Pair, stride: Pair) -> Case:
    x = rng.integers(0, 3, (2, 2, 5, 6)).astype(np.float64)
    x[0, 0, 0, 0] = 9.0

    to_the_first = partial(to_the_winner, size=size, stride=stride, padding=(0, 0))
    formula = partial(pooled, size=size, stride=stride, padding=(0, 0), maximum=True)
    return Case("", "", lambda x: ops.max_pool2d(x, size, stride), {"x": x}, formula, to_the_first)


def to_the_winner(grad_y: Any, x: Any, size: Pair, stride: Pair, padding: Pair) -> Any:
    """Give each window's gradient to the first of its largest pixels, or to the last of its NaNs; none to padding."""
    grad_x = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(grad_y.shape):
        h, w = i * stride[0] - padding[0], j * stride[1] - padding[1]
        inside = [(u, v) for u in range(max(h, 0), min(h + size[0], x.shape[2]))
                  for v in range(max(w, 0), min(w + size[1], x.shape[3]))]  # fmt: skip
        winner = inside[0]
        for place in inside:
            if np.isnan(x[n, c][place]) or x[n, c][place] > x[n, c][winner]:
                winner = place
        grad_x[n, c][winner] += grad_y[n, c, i, j]
    return grad_x


def not_finite(size: Pair, stride: Pair, padding: Pair, x: Any) -> Case:
    window = {"size": size, "stride": stride, "padding": padding}
    variant = f"not finite, window {size}, stride {stride}, padding {padding}"
    return Case(
        "max_pool2d",
        variant,
        lambda x: ops.max_pool2d(x, size, stride, padding),
        {"x": x},
        partial(pooled, maximum=True, **window),
        partial(to_the_winner, **window),
        exactly=True,
    )


def exact(rng: np.random.Generator) -> list[Case]:
    x = distinct(rng, 2, 2, 5, 6)
    x[0, 0], x[0, 1, :3], x[1, 0, 2, 3:] = -np.inf, -np.inf, np.inf
    x[1, 1, 1, 2], x[1, 1, 2, 1], x[1, 1, 4, 5] = np.nan, np.nan, -np.inf
    return [
        not_finite((3, 3), (2, 2), (1, 1), x),
        not_finite((2, 3), (1, 2), (0, 1), x),
        not_finite((4, 2), (3, 1), (2, 1), x),
    ]


def global_pool(rng: np.random.Generator, image: Pair, N: int, C: int) -> Case:
    x = rng.standard_normal((N, C, *image))
    return Case("", "", ops.global_avg_pool2d, {"x": x}, lambda x: x.sum(axis=(2, 3)) / (image[0] * image[1]))


def adaptive(rng: np.random.Generator, output: Any, image: Pair, N: int) -> Case:
    I, J = (output, output) if isinstance(output, int) else output

    def formula(x: Any) -> Any:
        y = np.empty((N, 2, I, J))
        for i in range(I):
            for j in range(J):
                h, w = i * image[0] / I, j * image[1] / J
                end = (i + 1) * image[0] / I, (j + 1) * image[1] / J
                y[:, :, i, j] = x[
                    :, :, int(np.floor(h)) : int(np.ceil(end[0] - 1e-9)), int(w) : int(np.ceil(end[1] - 1e-9))
                ].mean(axis=(2, 3))
        return y

    x = rng.standard_normal((N, 2, *image))
    return Case("", "", lambda x: ops.adaptive_avg_pool2d(x, output), {"x": x}, formula)


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    cases = []
    for name in ("max_pool2d", "avg_pool2d"):

        def at(size: Any, stride: Any, padding: Any, name: str = name) -> Any:
            return lambda x: getattr(ops, name)(x, size, stride, padding)

        cases += [
            Case(name, "2×2", at(2, None, 0), {"x": normal((2, 2, 4, 6))}),
            Case(name, "3×3, stride 2, padding 1", at(3, 2, 1), {"x": normal((2, 2, 5, 6))}),
            Case(name, "2×3, stride (1, 2), padding (0, 1)", at((2, 3), (1, 2), (0, 1)), {"x": normal((2, 2, 4, 5))}),
        ]
    tied = rng.integers(0, 3, (1, 2, 4, 4)).astype(np.float64)
    tied[0, 0, 0, 0] = 5.0
    return [
        *cases,
        Case("max_pool2d", "ties", lambda x: ops.max_pool2d(x, 2), {"x": tied}),
        Case("global_avg_pool2d", "", ops.global_avg_pool2d, {"x": normal((2, 3, 4, 5))}),
        Case("adaptive_avg_pool2d", "2×3", lambda x: ops.adaptive_avg_pool2d(x, (2, 3)), {"x": normal((2, 2, 5, 7))}),
    ]


WINDOWS = {
    "size": ((2, 2), (3, 3), (2, 3), (4, 1), (5, 5), (1, 1)),
    "stride": (None, (1, 1), (2, 2), (3, 3), (1, 2), (4, 3)),
    "padding": ((0, 0), (1, 1), (0, 1), (2, 0), (2, 2)),
    "image": ((5, 6), (7, 4), (8, 9)),
    "N": (2, 1),
}

SPACES = [
    *[Space(name, WINDOWS, partial(pool, name)) for name in ("max_pool2d", "avg_pool2d")],
    Space("max_pool2d", {"size": ((2, 2), (2, 3), (3, 3)), "stride": ((2, 2), (1, 1), (2, 1))}, tied),
    Space("global_avg_pool2d", {"image": ((4, 5), (1, 1), (1, 3), (3, 1)), "N": (2, 1), "C": (3, 1)}, global_pool),
    Space(
        "adaptive_avg_pool2d",
        {"output": ((2, 3), 1, (3, 2), (7, 5), (4, 1), 2), "image": ((5, 7), (4, 6), (3, 2)), "N": (2, 1)},
        adaptive,
    ),
]
