"""The sums of batch norm's backward pass, in registers: `sum_gradients` for channels by the sixteen.

    g     pixel 0: c₀ … c₁₅ │ c₁₆ … c₃₁ │ …       s₀ … s₁₅  += g
    x     pixel 0: c₀ … c₁₅ │ c₁₆ … c₃₁ │ …       q₀ … q₁₅  += g · (x − mean)
          pixel 1: …                              PIXELS of them, then the next sixteen channels

Why it is fast: both sums, the mask of relu and the constants of sixteen channels stay in registers, so that memory is
the limit. After each block the sums are added to those of the chunk, since a long sum in float32 loses digits.
"""

import numpy as np

from minires.kernels.numba_kernels.machine.compilation import helper, kernel
from minires.kernels.numba_kernels.machine.simd import LANES, load, positive, splat, store
from minires.kernels.numba_kernels.machine.threads import CHUNKS, claim, complete
from minires.kernels.numba_kernels.padding import write_zeros

# Where relu let nothing through, the gradient behind it is 0. Where that was says y, or the formula that made it.
NO_RELU, BY_Y, BY_FORMULA, BY_FORMULA_KEPT = range(4)
PIXELS = 64
ARRAYS = "float32[::1], float32[::1], float32[::1], float32[::1]"


@kernel(f"void({ARRAYS}, {ARRAYS}, int64, int64, int64[::1])", dtypes=("float32",))
def sum_gradients_by_16(grad_y, y, x, masked, mean, scale, bias, sums, pixels, relu, counter):
    """Write sums (CHUNKS, 2, C) of g and g · (x − mean), C a multiple of 16; g is grad_y behind relu's mask. BY_Y and
    BY_FORMULA_KEPT it is written to `masked`, BY_FORMULA it is nowhere kept."""
    sum_chunks_by_16(grad_y, y, x, masked, mean, scale, bias, sums, pixels, relu, counter)


@helper
def sum_chunks_by_16(grad_y, y, x, masked, mean, scale, bias, sums, pixels, relu, counter):
    """Write the sums, chunk by chunk, as threads claim them."""
    C = mean.size
    claimed = claim(counter)
    while claimed < CHUNKS:
        chunk = CHUNKS - 1 - claimed  # what was written last is still in the cache
        start, end = chunk * pixels // CHUNKS, (chunk + 1) * pixels // CHUNKS
        write_zeros(sums, 2 * chunk * C, 2 * C)
        sum_pixels(grad_y, y, x, masked, start, end, mean, scale, bias, sums, 2 * chunk * C, relu)
        complete(counter)
        claimed = claim(counter)


@helper
def sum_pixels(grad_y, y, x, masked, start, end, mean, scale, bias, sums, s0, relu):
    """Add the sums over the pixels start … end to sums[s0], C of g and C of g · (x − mean)."""
    C = mean.size
    for block in range(start, end, PIXELS):
        count = min(PIXELS, end - block)
        for c in range(0, C, LANES):
            constants = load(mean, c), load(scale, c), load(bias, c)
            s, q = sums_of_block(grad_y, y, x, masked, block * C + c, C, count, constants, relu)
            store(sums, s0 + c, load(sums, s0 + c) + s)
            store(sums, s0 + C + c, load(sums, s0 + C + c) + q)


@helper
def sums_of_block(grad_y, y, x, masked, i, C, count, constants, relu):
    """Return both sums over `count` pixels, C apart. Two at a time: an addition waits for the one before."""
    s0, q0 = splat(np.float32(0)), splat(np.float32(0))
    s1, q1 = s0, q0
    for _ in range(count // 2):
        g, centred = gradient_and_centred(grad_y, y, x, masked, i, constants, relu)
        s0, q0 = s0 + g, q0 + g * centred
        g, centred = gradient_and_centred(grad_y, y, x, masked, i + C, constants, relu)
        s1, q1 = s1 + g, q1 + g * centred
        i += 2 * C
    if count % 2 == 1:
        g, centred = gradient_and_centred(grad_y, y, x, masked, i, constants, relu)
        s0, q0 = s0 + g, q0 + g * centred
    return s0 + s1, q0 + q1


@helper
def gradient_and_centred(grad_y, y, x, masked, i, constants, relu):
    """Return g and x − mean."""
    mean, scale, bias = constants
    g, centred = load(grad_y, i), load(x, i) - mean
    if relu == BY_Y:
        g = positive(load(y, i), g)
        store(masked, i, g)
    elif relu == BY_FORMULA or relu == BY_FORMULA_KEPT:
        g = positive(centred * scale + bias, g)
    if relu == BY_FORMULA_KEPT:
        store(masked, i, g)
    return g, centred
