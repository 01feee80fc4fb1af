"""Batch norm, plain and fused with what follows it (`cuda/normalization.cu`): two launches each way."""

import math
from typing import Any

import cupy
import numpy as np

from minires.kernels import Array, checks
from minires.kernels.cupy_kernels.launching import (
    NULL,
    THREADS,
    blocks_for,
    contiguous,
    ints,
    launch,
    launch_over,
    or_null,
)

ENOUGH_BLOCKS = 1024
FEWEST_NUMBERS = 2048  # that a block reduces


def batch_norm_forward(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Normalize x (N, C, …) by its own mean and biased variance; return y, mean (C,), var (C,)."""
    return forward(x, weight, bias, eps, None, relu=False)


def batch_norm_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias, where mean and var were computed from x (Ioffe & Szegedy 2015, §3)."""
    return backward(grad_y, x, None, weight, mean, var, eps)[:3]


def batch_norm_inference(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """Normalize x (N, C, …) by a given mean and variance."""
    return inference(x, weight, bias, mean, var, eps, None, relu=False)


def batch_norm_inference_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias where mean and var are constants: dL/dx = weight/√(var+eps) · dy."""
    return backward(grad_y, x, None, weight, mean, var, eps, constants=True)[:3]


def batch_norm_track(running_mean: Array, running_var: Array, mean: Array, var: Array, M: int, momentum: float) -> None:
    """running ← (1 − momentum) · running + momentum · batch, in place; the variance unbiased, M/(M − 1) · var."""
    checks.check_tracked("batch_norm_track", running_mean, running_var, mean, var, M)
    if not (running_mean.flags.c_contiguous and running_var.flags.c_contiguous):
        raise ValueError("batch_norm_track: running statistics must be contiguous; cupy.ascontiguousarray them")
    dtype = running_mean.dtype
    arrays = running_mean, running_var, contiguous(mean, dtype), contiguous(var, dtype)
    C, keep, correction = running_mean.size, 1 - float(momentum), M / (M - 1)
    launch_over(C, "normalization", "batch_norm_track", dtype, *arrays, keep, float(momentum), correction, *ints(C))


# One driver for each kernel; what is None is left out.


def forward(
    x: Array, weight: Array, bias: Array, eps: float, shortcut: Array | None, relu: bool
) -> tuple[Array, Array, Array]:
    """Return y = relu(batch_norm(x) + shortcut), mean and var."""
    checks.check_channels("batch_norm_forward", x.shape, weight=weight, bias=bias)
    checks.check_batch("batch_norm_forward", x.shape)
    dtype = x.dtype
    x, weight, bias = contiguous(x, dtype), contiguous(weight, dtype), contiguous(bias, dtype)
    C = x.shape[1]
    grid, sizes = grid_and_sizes(x)
    partial = cupy.empty((C, grid[0], 2), dtype)
    y, mean, var = cupy.empty(x.shape, dtype), cupy.empty(C, dtype), cupy.empty(C, dtype)
    launch("normalization", "batch_norm_statistics", dtype, grid, x, partial, *sizes)
    arrays = x, partial, weight, bias, or_null(shortcut, dtype), y, mean, var
    launch("normalization", "batch_norm_normalize", dtype, grid, *arrays, float(eps), *ints(relu), *sizes)
    return y, mean, var


def inference(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float, shortcut: Array | None, relu: bool
) -> Array:
    """Return y = relu(batch_norm(x) + shortcut) with the mean and var given."""
    checks.check_channels("batch_norm_inference", x.shape, weight=weight, bias=bias, mean=mean, var=var)
    dtype = x.dtype
    x, weight, bias = contiguous(x, dtype), contiguous(weight, dtype), contiguous(bias, dtype)
    mean, var = contiguous(mean, dtype), contiguous(var, dtype)
    grid, sizes = grid_and_sizes(x)
    y = cupy.empty(x.shape, dtype)
    arrays = x, weight, bias, or_null(shortcut, dtype), mean, var, y
    launch("normalization", "batch_norm_inference", dtype, grid, *arrays, float(eps), *ints(relu), *sizes)
    return y


def backward(
    grad_y: Array,
    x: Array,
    y: Array | None,
    weight: Array,
    mean: Array,
    var: Array,
    eps: float,
    constants: bool = False,
    with_shortcut: bool = False,
) -> tuple[Array, Array, Array, Any]:
    """Return dL/dx, dL/dweight, dL/dbias, dL/dshortcut (or None); with y, its relu's gradient comes first."""
    checks.check_channels("batch_norm_backward", x.shape, weight=weight, mean=mean, var=var)
    checks.check_shape("batch_norm_backward", "grad_y", grad_y, x.shape)
    if y is not None:
        checks.check_shape("batch_norm_backward", "y", y, x.shape)
    dtype = x.dtype
    grad_y, x, weight = contiguous(grad_y, dtype), contiguous(x, dtype), contiguous(weight, dtype)
    mean, var, y_or_null = contiguous(mean, dtype), contiguous(var, dtype), or_null(y, dtype)
    C = x.shape[1]
    grid, sizes = grid_and_sizes(x)
    partial = cupy.empty((C, grid[0], 2), dtype)
    grad_x, grad_weight, grad_bias = cupy.empty(x.shape, dtype), cupy.empty(C, dtype), cupy.empty(C, dtype)
    grad_shortcut = cupy.empty(x.shape, dtype) if with_shortcut else None
    sums = grad_y, x, y_or_null, mean, var, partial
    launch("normalization", "batch_norm_gradient_sums", dtype, grid, *sums, float(eps), *sizes)
    given = grad_y, x, y_or_null, weight, mean, var, partial
    made = grad_x, grad_weight, grad_bias, NULL if grad_shortcut is None else grad_shortcut
    launch("normalization", "batch_norm_gradients", dtype, grid, *given, *made, float(eps), *ints(constants), *sizes)
    return grad_x, grad_weight, grad_bias, grad_shortcut


def grid_and_sizes(x: Array) -> tuple[tuple[int, int], tuple[np.int32, ...]]:
    """Return the grid (parts of each channel, C), and M, C, H·W as the kernels take them."""
    C = x.shape[1]
    M = x.size // C
    parts = max(1, min(THREADS, blocks_for(ENOUGH_BLOCKS, C), blocks_for(M, FEWEST_NUMBERS)))
    return (parts, C), ints(M, C, math.prod(x.shape[2:]))
