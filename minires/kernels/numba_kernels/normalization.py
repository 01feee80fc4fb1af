"""Batch norm as the ops call it, and, for chain.py, fused with shortcut and relu: two passes forward, two backward.

    forward     1  mean and var of each channel        2  y = max((x − mean) · scale + bias [+ shortcut], 0)
    backward    1  Σ g and Σ g · (x − mean)            2  dL/dx = factor₀ · g + factor₁ · (x − mean) + factor₂

g is dL/dy, behind relu's mask. The passes are in normalization_passes.py, and for float32 and channels by the sixteen
the first backward one in gradient_sums.py. Dtypes that are not compiled take the NumPy kernels.
"""

import numpy as np

from minires.kernels import Array, checks, numpy_kernels
from minires.kernels.numba_kernels.gradient_sums import BY_Y, NO_RELU, sum_gradients_by_16
from minires.kernels.numba_kernels.layout import contiguous, empty_like, flat
from minires.kernels.numba_kernels.machine import ahead
from minires.kernels.numba_kernels.machine.compilation import COMPILED
from minires.kernels.numba_kernels.machine.processor import HAS_SIMD
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.machine.threads import CHUNKS
from minires.kernels.numba_kernels.normalization_passes import (
    block_pixels,
    finish_gradients,
    finish_statistics,
    gradient_of_x,
    normalize,
    sum_channels,
    sum_gradients,
)

BATCH = 1 << 15  # numbers from which a layer is one of a training, not an example's


def batch_norm_forward(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Normalize x (N, C, …) by its own mean and biased variance; return y, mean (C,), var (C,)."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_forward(x, weight, bias, eps)
    checks.check_channels("batch_norm_forward", x.shape, weight=weight, bias=bias)
    checks.check_batch("batch_norm_forward", x.shape)
    if HAS_SIMD and x.dtype == np.float32 and x.size >= BATCH:
        ahead.expect(ahead.UNFUSED)
    return forward(x, None, weight, bias, eps, relu=False)


def batch_norm_inference(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """Normalize x (N, C, …) by a given mean and variance."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_inference(x, weight, bias, mean, var, eps)
    checks.check_channels("batch_norm_inference", x.shape, weight=weight, bias=bias, mean=mean, var=var)
    return apply(x, None, weight, bias, mean, var, eps, relu=False)


def batch_norm_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias, where mean and var were computed from x."""
    if x.dtype.char not in COMPILED or not np.isfinite(weight).all():  # what infinities make depends on the order
        return numpy_kernels.batch_norm_backward(grad_y, x, weight, mean, var, eps)
    checks.check_channels("batch_norm_backward", x.shape, weight=weight, mean=mean, var=var)
    checks.check_shape("batch_norm_backward", "grad_y", grad_y, x.shape)
    grad_x = empty_like(x)
    grad_weight, grad_bias = backward(grad_y, None, x, weight, mean, var, eps, grad_x, grad_x)
    return grad_x, grad_weight, grad_bias


def batch_norm_inference_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias where mean and var are constants. Rare, and left to NumPy."""
    return numpy_kernels.batch_norm_inference_backward(grad_y, x, weight, mean, var, eps)


def forward(
    x: Array, shortcut: Array | None, weight: Array, bias: Array, eps: float, relu: bool
) -> tuple[Array, Array, Array]:
    """Both passes: the statistics, and the rest."""
    mean, var = statistics_of(x)
    return apply(x, shortcut, weight, bias, mean, var, eps, relu), mean, var


def statistics_of(x: Array) -> tuple[Array, Array]:
    """The first pass: mean and biased variance per channel."""
    C = x.shape[1]
    pixels, block = x.size // C, block_pixels(C)
    numbers = flat(x)
    shift = numbers[:C].copy()  # near the mean, or the squares' difference would lose its digits
    shift[~np.isfinite(shift)] = 0
    sums = np.zeros(2 * CHUNKS * block * C, x.dtype)
    mean, var = np.empty(C, x.dtype), np.empty(C, x.dtype)
    sum_channels(numbers, shift, sums, pixels, block)
    finish_statistics(sums, shift, mean, var, pixels)
    return mean, var


def apply(
    x: Array,
    shortcut: Array | None,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    relu: bool,
) -> Array:
    """The second pass."""
    C = x.shape[1]
    y, numbers = empty_like(x), flat(x)
    scale = weight / np.sqrt(var + eps)
    added = numbers if shortcut is None else flat(shortcut)
    normalize(
        numbers,
        added,
        flat(y),
        contiguous(mean),
        scale,
        contiguous(bias),
        x.size // C,
        block_pixels(C),
        shortcut is not None,
        relu,
    )
    return y


def backward(
    grad_y: Array,
    y: Array | None,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    eps: float,
    masked: Array,
    grad_x: Array,
) -> tuple[Array, Array]:
    """Both passes: the sums, with the gradient behind relu written to `masked` (which may be grad_x), then dL/dx."""
    C = x.shape[1]
    relu = NO_RELU if y is None else BY_Y
    constants, grad_weight, grad_bias = gradient_constants(grad_y, y, x, weight, weight, mean, var, eps, masked, relu)
    g = flat(grad_y) if y is None else flat(masked)
    factors, m = constants[: 3 * C], constants[3 * C : 4 * C]
    in_place = masked is grad_x and y is not None
    gradient_of_x(g, flat(x), flat(grad_x), m, factors, x.size // C, block_pixels(C), in_place)
    return grad_weight, grad_bias


def gradient_constants(
    grad_y: Array,
    y: Array | None,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    masked: Array | None,
    relu: int,
) -> tuple[Array, Array, Array]:
    """The first pass: three factors, mean, scale, bias, C numbers each, which dL/dx is made of; dL/dweight, dL/dbias.

    relu: BY_Y with y and `masked`, which the gradient behind it is written to, or, where channels go by the sixteen,
    BY_FORMULA with the bias.
    """
    C = x.shape[1]
    pixels, block = x.size // C, block_pixels(C)
    numbers, g = flat(x), flat(grad_y)
    inv_std = 1 / np.sqrt(var + eps)
    constants = np.empty(6 * C, x.dtype)
    factors, rest = constants[: 3 * C], constants[3 * C :].reshape(3, C)
    rest[:] = mean, weight * inv_std, bias
    grad_weight, grad_bias = np.empty(C, x.dtype), np.empty(C, x.dtype)
    y_or_any, masked_or_any = g if y is None else flat(y), g if masked is None else flat(masked)
    arrays = g, y_or_any, numbers, masked_or_any
    if HAS_SIMD and x.dtype == np.float32 and C % LANES == 0:
        sums = np.empty(2 * CHUNKS * C, x.dtype)
        sum_gradients_by_16(*arrays, *rest, sums, pixels, relu)
    else:
        sums = np.zeros(2 * CHUNKS * block * C, x.dtype)
        sum_gradients(*arrays, rest[0], sums, pixels, block, relu == BY_Y)
    finish_gradients(sums, inv_std, contiguous(weight), factors, grad_weight, grad_bias, pixels)
    return constants, grad_weight, grad_bias
