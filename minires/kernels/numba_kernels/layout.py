"""Memory order: shapes are (N, C, H, W) everywhere, memory is channels-last, N·H·W rows of C numbers.

    x.shape    (N, C, H, W)
    in memory  image 0: pixel 0: c₀ c₁ c₂ …   pixel 1: c₀ c₁ c₂ …   …   image 1: …

That is the transposed view of a C-contiguous (N, H, W, C) array. Kernels proper take it as one flat array; whatever
comes in another order is copied once, and counted.
"""

import numpy as np

from minires.kernels import Array

copies = 0  # arrays that came in another memory order, since the process began


def in_order(x: Array) -> bool:
    """Say whether x (N, C, H, W) or (N, C) is channels-last in memory, and can be written to."""
    rows = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    return rows.flags.c_contiguous and rows.flags.behaved  # Numba takes read-only arrays for another type


def flat(x: Array) -> Array:
    """Return the numbers of x (N, C, H, W) or (N, C) channels-last, as a flat array: a view where it can be."""
    global copies
    rows = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    if not in_order(x):
        copies += 1
        rows = np.array(rows, order="C")
    return rows.reshape(-1)


def contiguous(x: Array) -> Array:
    """Return the numbers of x in C order, as a flat array: for weights and other parameters."""
    if not (x.flags.c_contiguous and x.flags.behaved):
        x = np.array(x, order="C")
    return x.reshape(-1)


def nhwc_empty(N: int, C: int, H: int, W: int, dtype: np.dtype) -> Array:
    """Return an uninitialized array of shape (N, C, H, W) that is channels-last in memory."""
    return np.empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)


def empty_like(x: Array) -> Array:
    """Return an uninitialized channels-last array of the shape of x (N, C, H, W) or (N, C)."""
    if x.ndim != 4:
        return np.empty(x.shape, x.dtype)
    N, C, H, W = x.shape
    return nhwc_empty(N, C, H, W, x.dtype)
