"""Chapter 7, conv.py: the way back through the windows, and the mean of each channel."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.convolution import conv2d_right
from minires.gradient_check.known.pooling import global_pool_right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_values
from minires.learn.parts.chapter_06 import CASES, places
from minires.learn.parts.tools import check_op, part


def added_back(cols: Array, x_shape: tuple[int, ...], stride: int, padding: int, overwrite: bool = False) -> Array:
    """Return what arrives at x, one number at a time."""
    x = np.zeros(x_shape)
    H, W = x_shape[2:]
    for n, c, u, v, i, j in np.ndindex(cols.shape):
        h, w = i * stride + u - padding, j * stride + v - padding
        if 0 <= h < H and 0 <= w < W:
            x[n, c, h, w] = cols[n, c, u, v, i, j] + (0 if overwrite else x[n, c, h, w])
    return x


def check_col2im(mine: Any, seed: int) -> Iterator[str]:
    known = Right(
        lambda cols, shape, t, p: added_back(cols, shape, t, p),
        {"windows overwrite each other: a pixel under several windows must add up": (
            lambda cols, shape, t, p: added_back(cols, shape, t, p, True)
        )},
        arrives=False,
    )  # fmt: skip
    for head, (K, stride, padding) in CASES.items():

        def draw(rng: np.random.Generator, K: int = K, t: int = stride, p: int = padding) -> tuple[Any, ...]:
            H, W = map(int, rng.permutation([6, 7]))
            return rng.standard_normal((2, 3, K, K, places(H, K, t, p), places(W, K, t, p))), (2, 3, H, W), t, p

        yield from check_values(f"col2im, {head}", mine.col2im, known, draw, seed)


def check_convolution(mine: Any, seed: int) -> Iterator[str]:
    for K, stride, padding in CASES.values():

        def draw(rng: np.random.Generator, K: int = K) -> dict[str, Array]:
            return {
                "x": rng.standard_normal((rng.integers(2, 5), 3, *rng.permutation([6, 7]))),
                "weight": rng.standard_normal((4, 3, K, K)),
            }

        def right(x: Array, weight: Array, t: int = stride, p: int = padding) -> Array:
            return numpy_kernels.conv2d_forward(x, weight, None, (t, t), (p, p))

        known = conv2d_right((stride, stride), (padding, padding))
        known.pop("bias")  # these filters have none
        yield from check_op(mine, seed, "Convolution", right, draw, (stride, padding), known)


def draw_images(rng: np.random.Generator) -> dict[str, Array]:
    return {"x": rng.standard_normal(rng.permutation([2, 3, 4, 5]))}


check_pool = partial(
    check_op, name="GlobalAvgPool", right=lambda x: x.mean(axis=(2, 3)), draw=draw_images,
    gradients={"x": global_pool_right()},
)  # fmt: skip

PARTS = [
    part(7, "conv.py", {"col2im": check_col2im, "Convolution": check_convolution, "GlobalAvgPool": check_pool}),
]
