"""Maximum and average over windows, forward and backward, for any window, stride and padding.

Channels-last, a window's pixels are rows of C numbers, and all channels of an output are worked on at once:

    x   · · · · ·          tap (u, v) of output (i, j) is the pixel (i·stride + u − padding, j·stride + v − padding);
        · a b c ·    →  y  the padding is skipped: it never wins, and adds nothing
        · d e f ·
        · · · · ·          y[c] = max or sum over a, b, c, d … of the row of C numbers there

Why it is fast: no copies of windows, rows of numbers side by side, threads over images. The output's rows are read
again for each tap, from the nearest cache.
"""

import numpy as np

from minires.kernels import Array, checks, numpy_kernels
from minires.kernels.numba_kernels.layout import flat, nhwc_empty
from minires.kernels.numba_kernels.machine.compilation import COMPILED, helper, kernel
from minires.kernels.numba_kernels.machine.threads import claim
from minires.kernels.numpy_kernels import output_size

Pair = tuple[int, int]
Shape = tuple[int, ...]


@helper
def first_tap(place, stride, padding):
    """Return the first tap that is not in the padding before."""
    return max(0, padding - place * stride)


@helper
def after_taps(place, stride, padding, kernel_size, size):
    """Return the tap after the last that is not in the padding behind."""
    return min(kernel_size, size + padding - place * stride)


@kernel("void(real[::1], real[::1], int16[::1], UniTuple(int64, 12), int64[::1])")
def maximum(x, y, winners, sizes, counter):
    """Write each window's largest number and its tap, the first of equals; the last NaN wins, padding never."""
    N, C, H, W, I, J, KH, KW, SH, SW, PH, PW = sizes
    n = claim(counter)
    while n < N:
        for i in range(I):
            for j in range(J):
                out = ((n * I + i) * J + j) * C
                o = y[out : out + C]
                w = winners[out : out + C]
                o[:] = -np.inf
                w[:] = np.int16(first_tap(i, SH, PH) * KW + first_tap(j, SW, PW))
                for u in range(first_tap(i, SH, PH), after_taps(i, SH, PH, KH, H)):
                    for v in range(first_tap(j, SW, PW), after_taps(j, SW, PW, KW, W)):
                        at = ((n * H + i * SH + u - PH) * W + j * SW + v - PW) * C
                        seen = x[at : at + C]
                        tap = np.int16(u * KW + v)
                        for c in range(C):
                            wins = seen[c] > o[c] or seen[c] != seen[c]
                            o[c] = seen[c] if wins else o[c]
                            w[c] = tap if wins else w[c]
        n = claim(counter)


@kernel("void(real[::1], int16[::1], real[::1], UniTuple(int64, 12), int64[::1])")
def maximum_backward(grad_y, winners, grad_x, sizes, counter):
    """Add each window's gradient to its winner."""
    N, C, H, W, I, J, KH, KW, SH, SW, PH, PW = sizes
    zero = grad_y.dtype.type(0)
    n = claim(counter)
    while n < N:
        grad_x[n * H * W * C : (n + 1) * H * W * C] = 0
        for i in range(I):
            for j in range(J):
                out = ((n * I + i) * J + j) * C
                g = grad_y[out : out + C]
                w = winners[out : out + C]
                for u in range(first_tap(i, SH, PH), after_taps(i, SH, PH, KH, H)):
                    for v in range(first_tap(j, SW, PW), after_taps(j, SW, PW, KW, W)):
                        at = ((n * H + i * SH + u - PH) * W + j * SW + v - PW) * C
                        d = grad_x[at : at + C]
                        tap = np.int16(u * KW + v)
                        for c in range(C):
                            d[c] += g[c] if w[c] == tap else zero
        n = claim(counter)


@kernel("void(real[::1], real[::1], UniTuple(int64, 12), int64[::1])")
def average(x, y, sizes, counter):
    """Write each window's sum divided by KH·KW."""
    N, C, H, W, I, J, KH, KW, SH, SW, PH, PW = sizes
    share = x.dtype.type(1 / (KH * KW))
    n = claim(counter)
    while n < N:
        for i in range(I):
            for j in range(J):
                out = ((n * I + i) * J + j) * C
                o = y[out : out + C]
                o[:] = 0
                for u in range(first_tap(i, SH, PH), after_taps(i, SH, PH, KH, H)):
                    for v in range(first_tap(j, SW, PW), after_taps(j, SW, PW, KW, W)):
                        at = ((n * H + i * SH + u - PH) * W + j * SW + v - PW) * C
                        seen = x[at : at + C]
                        for c in range(C):
                            o[c] += seen[c]
                for c in range(C):
                    o[c] *= share
        n = claim(counter)


@kernel("void(real[::1], real[::1], UniTuple(int64, 12), int64[::1])")
def average_backward(grad_y, grad_x, sizes, counter):
    """Add each window's gradient, divided by KH·KW, to all its pixels."""
    N, C, H, W, I, J, KH, KW, SH, SW, PH, PW = sizes
    share = grad_y.dtype.type(1 / (KH * KW))
    n = claim(counter)
    while n < N:
        grad_x[n * H * W * C : (n + 1) * H * W * C] = 0
        for i in range(I):
            for j in range(J):
                out = ((n * I + i) * J + j) * C
                g = grad_y[out : out + C]
                for u in range(first_tap(i, SH, PH), after_taps(i, SH, PH, KH, H)):
                    for v in range(first_tap(j, SW, PW), after_taps(j, SW, PW, KW, W)):
                        at = ((n * H + i * SH + u - PH) * W + j * SW + v - PW) * C
                        d = grad_x[at : at + C]
                        for c in range(C):
                            d[c] += g[c] * share
        n = claim(counter)


def sizes_of(x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[Shape, Shape]:
    """Return all sizes, as the kernels take them, and the output's shape."""
    stride = checks.stride_within(x_shape, stride, padding)
    I, J = output_size(x_shape, kernel_size, stride, padding)
    return (*x_shape, I, J, *kernel_size, *stride, *padding), (*x_shape[:2], I, J)


def max_pool2d_forward(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[Array, Array]:
    """Return each window's largest number (N, C, I, J), and the tap u·KW + v it came from.

    The first of equals wins, the last of NaNs, which win over all else. Padding never wins, not even over −∞.
    """
    if x.dtype.char not in COMPILED:
        return numpy_kernels.max_pool2d_forward(x, kernel_size, stride, padding)
    checks.check_pool2d("max_pool2d_forward", x.shape, kernel_size, stride, padding)
    sizes, (N, C, I, J) = sizes_of(x.shape, kernel_size, stride, padding)
    y, winners = nhwc_empty(N, C, I, J, x.dtype), nhwc_empty(N, C, I, J, np.dtype(np.int16))
    maximum(flat(x), flat(y), flat(winners), sizes)
    return y, winners


def max_pool2d_backward(
    grad_y: Array, winners: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Return dL/dx: each window's gradient goes to its winner alone."""
    if grad_y.dtype.char not in COMPILED:
        return numpy_kernels.max_pool2d_backward(grad_y, winners, x_shape, kernel_size, stride, padding)
    checks.check_pool2d("max_pool2d_backward", x_shape, kernel_size, stride, padding, grad_y)
    checks.check_shape("max_pool2d_backward", "winners", winners, grad_y.shape)
    sizes, _ = sizes_of(x_shape, kernel_size, stride, padding)
    N, C, H, W = x_shape
    grad_x = nhwc_empty(N, C, H, W, grad_y.dtype)
    maximum_backward(flat(grad_y), flat(winners), flat(grad_x), sizes)
    return grad_x


def avg_pool2d_forward(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Return the mean of each window, (N, C, I, J); the padding counts as zeros."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.avg_pool2d_forward(x, kernel_size, stride, padding)
    checks.check_pool2d("avg_pool2d_forward", x.shape, kernel_size, stride, padding)
    sizes, (N, C, I, J) = sizes_of(x.shape, kernel_size, stride, padding)
    y = nhwc_empty(N, C, I, J, x.dtype)
    average(flat(x), flat(y), sizes)
    return y


def avg_pool2d_backward(grad_y: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Return dL/dx: each window's gradient goes in equal parts to its KH·KW numbers."""
    if grad_y.dtype.char not in COMPILED:
        return numpy_kernels.avg_pool2d_backward(grad_y, x_shape, kernel_size, stride, padding)
    checks.check_pool2d("avg_pool2d_backward", x_shape, kernel_size, stride, padding, grad_y)
    sizes, _ = sizes_of(x_shape, kernel_size, stride, padding)
    N, C, H, W = x_shape
    grad_x = nhwc_empty(N, C, H, W, grad_y.dtype)
    average_backward(flat(grad_y), flat(grad_x), sizes)
    return grad_x
