"""The passes of batch norm over memory, plain and fused with relu, or with the residual add and relu.

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

from minires.kernels.numba_kernels.machine.compilation import array_helper, helper, kernel
from minires.kernels.numba_kernels.machine.threads import CHUNKS, claim

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
    """Return where a chunk of the pixels starts and ends."""
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
        start, end = chunk_of(chunk, pixels)
        s = sums[2 * chunk * L : (2 * chunk + 1) * L]
        q = sums[(2 * chunk + 1) * L : (2 * chunk + 2) * L]
        for pixel in range(start, end, block):
            size = min(block, end - pixel) * C
            v = x[pixel * C : pixel * C + size]
            for i in range(size):
                s[i] += v[i] - around[i]
                q[i] += (v[i] - around[i]) * (v[i] - around[i])
        chunk = claim(counter)


@array_helper
def add_up(sums, C, parts=CHUNKS):
    """Add up the two kinds of sums of all parts, in float64: (2, C)."""
    totals = np.zeros((2, C), np.float64)
    L = sums.size // (2 * parts)
    for row in range(2 * parts):
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
def normalize(x, shortcut, y, mean, scale, bias, pixels, block, add_shortcut, relu, counter):
    """Write y = (x − mean) · scale + bias, plus the shortcut if `add_shortcut`, above zero only if `relu`."""
    normalize_chunks(x, shortcut, y, mean, scale, bias, pixels, block, add_shortcut, relu, counter)


@array_helper
def normalize_chunks(x, shortcut, y, mean, scale, bias, pixels, block, add_shortcut, relu, counter):
    """Write y, chunk by chunk, as threads claim them."""
    C = mean.size
    L = block * C
    m, a, b = np.empty(L, x.dtype), np.empty(L, x.dtype), np.empty(L, x.dtype)
    spread(mean, m)
    spread(scale, a)
    spread(bias, b)
    zero = x.dtype.type(0)
    claimed = claim(counter)
    while claimed < CHUNKS:
        chunk = CHUNKS - 1 - claimed  # what was written last is still in the cache
        start, end = chunk_of(chunk, pixels)
        for pixel in range(start, end, block):
            size = min(block, end - pixel) * C
            v = x[pixel * C : pixel * C + size]
            o = y[pixel * C : pixel * C + size]
            if add_shortcut:
                r = shortcut[pixel * C : pixel * C + size]
                for i in range(size):
                    o[i] = (v[i] - m[i]) * a[i] + b[i] + r[i]
            else:
                for i in range(size):
                    o[i] = (v[i] - m[i]) * a[i] + b[i]
            if relu:
                for i in range(size):
                    o[i] = zero if o[i] <= zero else o[i]  # NaN stays
        claimed = claim(counter)


@kernel("void(real[::1], real[::1], real[::1], real[::1], real[::1], real[::1], int64, int64, boolean, int64[::1])")
def sum_gradients(grad_y, y, x, masked, mean, sums, pixels, block, relu, counter):
    """Sum g and g · (x − mean) as `sum_channels` does. relu: g is grad_y behind the mask of y, and goes to `masked`."""
    C = mean.size
    L = block * C
    m = np.empty(L, x.dtype)
    spread(mean, m)
    zero = x.dtype.type(0)
    claimed = claim(counter)
    while claimed < CHUNKS:
        chunk = CHUNKS - 1 - claimed  # what was written last is still in the cache
        start, end = chunk_of(chunk, pixels)
        s = sums[2 * chunk * L : (2 * chunk + 1) * L]
        q = sums[(2 * chunk + 1) * L : (2 * chunk + 2) * L]
        for pixel in range(start, end, block):
            size = min(block, end - pixel) * C
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
        claimed = claim(counter)


@kernel("void(real[::1], real[::1], real[::1], real[::1], real[::1], real[::1], int64)", threads_from=None)
def finish_gradients(sums, inv_std, weight, factors, grad_weight, grad_bias, pixels):
    """dL/dweight, dL/dbias, and the three factors per channel of dL/dx, one after the other, from the sums."""
    gradients_from_sums(sums, CHUNKS, inv_std, weight, factors, grad_weight, grad_bias, pixels)


@array_helper
def gradients_from_sums(sums, parts, inv_std, weight, factors, grad_weight, grad_bias, pixels):
    """Do so, from the sums of so many parts."""
    C = weight.size
    totals = add_up(sums, C, parts)
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
        start, end = chunk_of(chunk, pixels)
        for pixel in range(start, end, block):
            size = min(block, end - pixel) * C
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
