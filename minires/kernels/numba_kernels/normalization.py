"""Batch norm in training and inference, plain and fused with relu, or with the residual add and relu.

    y = (x − mean) · scale + bias    [+ shortcut]    [max(·, 0)]        scale = weight / √(var + eps)

Channels-last memory is one long row of pixels, C numbers each. It is read in blocks of whole pixels, and the constants
of the channels are laid out once in a row as long as a block, so that every loop is over plain rows, which the compiler
turns into vector instructions, whatever C is:

    x       c₀ c₁ c₂ c₀ c₁ c₂ c₀ c₁ c₂ c₀ c₁ c₂ │ c₀ c₁ c₂ …      a block: pixels · C numbers, about BLOCK
    scale   s₀ s₁ s₂ s₀ s₁ s₂ s₀ s₁ s₂ s₀ s₁ s₂ │ the same row again

Why it is fast: memory is the limit, so each pass does all it can with what it has read. Forward has two passes, the
sums and the rest; so has backward. Sums are kept per chunk and per place in the block, and added in one order.
"""

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.kernels.numba_kernels.compilation import COMPILED, helper, kernel
from minires.kernels.numba_kernels.layout import contiguous, empty_like, flat
from minires.kernels.numba_kernels.threads import CHUNKS, claim

BLOCK = 512


def block_pixels(C: int) -> int:
    """Return the number of pixels in a block."""
    return max(1, BLOCK // C)


@helper
def spread(values, row):
    """Repeat one number per channel along a block's row."""
    C = values.size
    for i in range(row.size):
        row[i] = values[i % C]


@helper
def chunk_of(chunk, pixels):
    """Return the first pixel of a chunk, and the first after it."""
    return chunk * pixels // CHUNKS, (chunk + 1) * pixels // CHUNKS


@kernel("void(real[::1], real[::1], real[::1], int64, int64, int64[::1])")
def sum_channels(x, shift, sums, pixels, block, counter):
    """Sum x − shift and its square per chunk and place: sums is (CHUNKS, 2, block · C)."""
    C = shift.size
    L = block * C
    around = np.empty(L, x.dtype)
    spread(shift, around)
    chunk = claim(counter)
    while chunk < CHUNKS:
        first, after = chunk_of(chunk, pixels)
        s = sums[2 * chunk * L : (2 * chunk + 1) * L]
        q = sums[(2 * chunk + 1) * L : (2 * chunk + 2) * L]
        for pixel in range(first, after, block):
            size = min(block, after - pixel) * C
            v = x[pixel * C : pixel * C + size]
            for i in range(size):
                s[i] += v[i] - around[i]
                q[i] += (v[i] - around[i]) * (v[i] - around[i])
        chunk = claim(counter)


@helper
def add_up(sums, C):
    """Add up the two kinds of sums, in float64: (2, C)."""
    totals = np.zeros((2, C), np.float64)
    L = sums.size // (2 * CHUNKS)
    for row in range(2 * CHUNKS):
        total = totals[row % 2]
        for first in range(row * L, (row + 1) * L, C):
            part = sums[first : first + C]
            for c in range(C):
                total[c] += part[c]
    return totals


@kernel("void(real[::1], real[::1], real[::1], real[::1], int64)", threads_from=None)
def finish_statistics(sums, shift, mean, var, pixels):
    """Mean and biased variance per channel from the sums of x − shift and its square."""
    totals = add_up(sums, shift.size)
    for c in range(shift.size):
        off = totals[0, c] / pixels
        spread = totals[1, c] / pixels - off * off
        mean[c] = shift[c] + off
        var[c] = 0.0 if spread < 0.0 else spread  # NaN stays


@kernel(
    "void(real[::1], real[::1], real[::1], real[::1], real[::1], real[::1], int64, int64, boolean, boolean, int64[::1])"
)
def normalize(x, shortcut, y, mean, scale, bias, pixels, block, add, relu, counter):
    """Write y = (x − mean) · scale + bias, plus the shortcut if `add`, above zero only if `relu`."""
    C = mean.size
    L = block * C
    m, a, b = np.empty(L, x.dtype), np.empty(L, x.dtype), np.empty(L, x.dtype)
    spread(mean, m)
    spread(scale, a)
    spread(bias, b)
    zero = x.dtype.type(0)
    chunk = claim(counter)
    while chunk < CHUNKS:
        first, after = chunk_of(chunk, pixels)
        for pixel in range(first, after, block):
            size = min(block, after - pixel) * C
            v = x[pixel * C : pixel * C + size]
            o = y[pixel * C : pixel * C + size]
            if add:
                r = shortcut[pixel * C : pixel * C + size]
                for i in range(size):
                    o[i] = (v[i] - m[i]) * a[i] + b[i] + r[i]
            else:
                for i in range(size):
                    o[i] = (v[i] - m[i]) * a[i] + b[i]
            if relu:
                for i in range(size):
                    o[i] = zero if o[i] <= zero else o[i]  # NaN stays
        chunk = claim(counter)


@kernel("void(real[::1], real[::1], real[::1], real[::1], real[::1], real[::1], int64, int64, boolean, int64[::1])")
def sum_gradients(grad_y, y, x, masked, mean, sums, pixels, block, relu, counter):
    """Sum g and g · (x − mean) as `sum_channels` does; g = grad_y, or `masked` = grad_y where y is not 0 if `relu`."""
    C = mean.size
    L = block * C
    m = np.empty(L, x.dtype)
    spread(mean, m)
    zero = x.dtype.type(0)
    chunk = claim(counter)
    while chunk < CHUNKS:
        first, after = chunk_of(chunk, pixels)
        s = sums[2 * chunk * L : (2 * chunk + 1) * L]
        q = sums[(2 * chunk + 1) * L : (2 * chunk + 2) * L]
        for pixel in range(first, after, block):
            size = min(block, after - pixel) * C
            v = x[pixel * C : pixel * C + size]
            g = grad_y[pixel * C : pixel * C + size]
            if relu:
                o = y[pixel * C : pixel * C + size]
                d = masked[pixel * C : pixel * C + size]
                for i in range(size):
                    d[i] = zero if o[i] <= zero else g[i]
                g = d
            for i in range(size):  # loops of few arrays: with many, the compiler gives up on vectors
                s[i] += g[i]
            for i in range(size):
                q[i] += g[i] * (v[i] - m[i])
        chunk = claim(counter)


@kernel("void(real[::1], real[::1], real[::1], real[::1], real[::1], real[::1], int64)", threads_from=None)
def finish_gradients(sums, inv_std, weight, factors, grad_weight, grad_bias, pixels):
    """dL/dweight, dL/dbias, and the three factors per channel of dL/dx, one after the other, from the sums."""
    C = weight.size
    totals = add_up(sums, C)
    for c in range(C):
        along = totals[1, c] * inv_std[c]  # Σ g · x̂
        k = weight[c] * inv_std[c]
        grad_weight[c] = along
        grad_bias[c] = totals[0, c]
        factors[c] = k
        factors[C + c] = -k * inv_std[c] * along / pixels
        factors[2 * C + c] = -k * totals[0, c] / pixels


@kernel("void(real[::1], real[::1], real[::1], real[::1], real[::1], int64, int64, boolean, int64[::1])")
def gradient_of_x(g, x, grad_x, mean, factors, pixels, block, in_place, counter):
    """Write dL/dx = factor₀ · g + factor₁ · (x − mean) + factor₂; in_place: g is grad_x."""
    C = mean.size
    L = block * C
    m, k, along, constant = np.empty(L, x.dtype), np.empty(L, x.dtype), np.empty(L, x.dtype), np.empty(L, x.dtype)
    spread(mean, m)
    spread(factors[:C], k)
    spread(factors[C : 2 * C], along)
    spread(factors[2 * C :], constant)
    chunk = claim(counter)
    while chunk < CHUNKS:
        first, after = chunk_of(chunk, pixels)
        for pixel in range(first, after, block):
            size = min(block, after - pixel) * C
            v = x[pixel * C : pixel * C + size]
            d = g[pixel * C : pixel * C + size]
            o = grad_x[pixel * C : pixel * C + size]
            if in_place:  # a loop of its own: vectors only where the compiler sees, or can test, what overlaps
                for i in range(size):
                    o[i] = k[i] * o[i] + along[i] * (v[i] - m[i]) + constant[i]
            else:
                for i in range(size):
                    o[i] = k[i] * d[i] + along[i] * (v[i] - m[i]) + constant[i]
        chunk = claim(counter)


# The functions that ops call


def batch_norm_forward(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Normalize x (N, C, …) by its own mean and biased variance; return y, mean (C,), var (C,)."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_forward(x, weight, bias, eps)
    return forward(x, None, weight, bias, eps, relu=False)


def batch_norm_relu_forward(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Return max(batch norm of x, 0), mean, var."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_relu_forward(x, weight, bias, eps)
    return forward(x, None, weight, bias, eps, relu=True)


def batch_norm_add_relu_forward(
    x: Array, shortcut: Array, weight: Array, bias: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return max(batch norm of x + shortcut, 0), mean, var."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_add_relu_forward(x, shortcut, weight, bias, eps)
    return forward(x, shortcut, weight, bias, eps, relu=True)


def batch_norm_inference(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """Normalize x (N, C, …) by a given mean and variance."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_inference(x, weight, bias, mean, var, eps)
    return apply(flat(x), x, None, weight, bias, mean, var, eps, relu=False)


def batch_norm_relu_inference(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """Return max(batch norm of x by a given mean and variance, 0)."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_relu_inference(x, weight, bias, mean, var, eps)
    return apply(flat(x), x, None, weight, bias, mean, var, eps, relu=True)


def batch_norm_add_relu_inference(
    x: Array, shortcut: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> Array:
    """Return max(batch norm of x by a given mean and variance + shortcut, 0)."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_add_relu_inference(x, shortcut, weight, bias, mean, var, eps)
    return apply(flat(x), x, shortcut, weight, bias, mean, var, eps, relu=True)


def batch_norm_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias, where mean and var were computed from x."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_backward(grad_y, x, weight, mean, var, eps)
    grad_x = empty_like(x)
    grad_weight, grad_bias = backward(grad_y, None, x, weight, mean, var, eps, grad_x, grad_x)
    return grad_x, grad_weight, grad_bias


def batch_norm_relu_backward(
    grad_y: Array, y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias through y = max(batch norm of x, 0)."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_relu_backward(grad_y, y, x, weight, mean, var, eps)
    grad_x = empty_like(x)
    grad_weight, grad_bias = backward(grad_y, y, x, weight, mean, var, eps, grad_x, grad_x)
    return grad_x, grad_weight, grad_bias


def batch_norm_add_relu_backward(
    grad_y: Array, y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array, Array]:
    """Return dL/dx, dL/dshortcut, dL/dweight, dL/dbias through y = max(batch norm of x + shortcut, 0)."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.batch_norm_add_relu_backward(grad_y, y, x, weight, mean, var, eps)
    grad_x, grad_shortcut = empty_like(x), empty_like(x)
    grad_weight, grad_bias = backward(grad_y, y, x, weight, mean, var, eps, grad_shortcut, grad_x)
    return grad_x, grad_shortcut, grad_weight, grad_bias


def batch_norm_inference_backward(
    grad_y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias where mean and var are constants. Rare, and left to NumPy."""
    return numpy_kernels.batch_norm_inference_backward(grad_y, x, weight, mean, var, eps)


def forward(
    x: Array, shortcut: Array | None, weight: Array, bias: Array, eps: float, relu: bool
) -> tuple[Array, Array, Array]:
    """Both passes: the statistics, and the rest."""
    C = x.shape[1]
    pixels, block = x.size // C, block_pixels(C)
    numbers = flat(x)
    shift = numbers[:C].copy()  # near the mean, or the squares' difference would lose its digits
    shift[~np.isfinite(shift)] = 0
    sums = np.zeros(2 * CHUNKS * block * C, x.dtype)
    mean, var = np.empty(C, x.dtype), np.empty(C, x.dtype)
    sum_channels(numbers, shift, sums, pixels, block)
    finish_statistics(sums, shift, mean, var, pixels)
    return apply(numbers, x, shortcut, weight, bias, mean, var, eps, relu), mean, var


def apply(
    numbers: Array,
    x: Array,
    shortcut: Array | None,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    relu: bool,
) -> Array:
    """The second pass. numbers: those of x, channels-last."""
    C = x.shape[1]
    y = empty_like(x)
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
    pixels, block = x.size // C, block_pixels(C)
    numbers, g, m = flat(x), flat(grad_y), contiguous(mean)
    sums = np.zeros(2 * CHUNKS * block * C, x.dtype)
    inv_std = 1 / np.sqrt(var + eps)
    factors = np.empty(3 * C, x.dtype)
    grad_weight, grad_bias = np.empty(C, x.dtype), np.empty(C, x.dtype)
    if y is None:
        sum_gradients(g, g, numbers, g, m, sums, pixels, block, False)
    else:
        sum_gradients(g, flat(y), numbers, flat(masked), m, sums, pixels, block, True)
        g = flat(masked)
    finish_gradients(sums, inv_std, contiguous(weight), factors, grad_weight, grad_bias, pixels)
    gradient_of_x(g, numbers, flat(grad_x), m, factors, pixels, block, masked is grad_x and y is not None)
    return grad_weight, grad_bias
