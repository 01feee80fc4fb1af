"""Convolution as it is written, for every filter, stride and padding: 1×1, 7×7 with stride 2, the first layer, 3×3 with
stride 2.

Channels are last in memory, so the KW pixels under one row of a filter are one run of KW·C numbers, and the next
output's run begins stride·C further on. Runs overlap; nothing is copied to columns:

     a row of x, padded     c c c│c c c│c c c│c c c│c c c│ …          C numbers a pixel
     output j = 0           └── run: KW·C ───┘
     output j = 1                 └── run: KW·C ───┘                  3×3, stride 1
                                                                                          ┌ F ┐
     y[i, j] (J, F)  =  Σ_u  runs of row i·stride + u  (J, KW·C)  @  weight row u  (KW·C, F)

That is one product of `tile.py` a row of outputs, its r the filter's rows, its k the numbers of a run. A 1×1 filter has
runs of one pixel, and all pixels of the batch make one product.

Why it is fast: the products run at the speed of the processor's multipliers, and the padded window of the image that is
read KH·KW times is small enough for the cache.

The gradient of x with stride s: the pixels h with the same (h + padding) mod s see the same filter rows, every s-th,
so each of the s·s classes is a stride-1 convolution of dL/dy with its part of the flipped filter, written to every s-th
pixel. The gradient of the weight, row u, is runs (KW·C, I·J) @ dL/dy (I·J, F): the same runs, transposed by strides.
"""

from typing import NamedTuple

from numba import types

from minires.kernels.numba_kernels.epilogue import finish_outputs
from minires.kernels.numba_kernels.machine.compilation import FLOATS, helper, kernel, record, section
from minires.kernels.numba_kernels.machine.simd import LANES, gather, load, store
from minires.kernels.numba_kernels.machine.threads import claim
from minires.kernels.numba_kernels.machine.tile import product
from minires.kernels.numba_kernels.padding import copy_numbers, copy_pixels, prefetch_part, scratch, write_zeros
from minires.kernels.numba_kernels.prologue import gradient_row

ARRAYS = "float32[::1], float32[::1], float32[::1]"


class Sizes(NamedTuple):
    """Of a convolution, stride and padding two each; lines: rows of outputs that are worked on together, of so many
    images; output (n, i, j) is at y[y0 + n·y_image + i·y_row + j·y_pixel]."""

    N: int
    H: int
    W: int
    C: int
    F: int
    I: int
    J: int
    KH: int
    KW: int
    SH: int
    SW: int
    P: int
    Q: int
    images: int
    lines: int
    y0: int
    y_image: int
    y_row: int
    y_pixel: int


@kernel(f"void(float32[::1], float32[::1], {', '.join(['int64'] * 9)}, int64[::1])", dtypes=("float32",))
def pack_filters(weight, b, F, C, KH, KW, f_step, c_step, first, u_step, v_step, counter):
    """Write panels of (KH, KW, C) × 16 filters to b, F a multiple of 16; taps are u_step and v_step apart."""
    panel = claim(counter)
    while panel * LANES < F:
        o, w0 = panel * KH * KW * C * LANES, first + panel * LANES * f_step
        for u in range(KH):
            for v in range(KW):
                for c in range(C):
                    store(b, o, gather(weight, w0 + c * c_step + u * u_step + v * v_step, f_step))
                    o += LANES
        panel = claim(counter)


@helper
def reaches_over(H, W, I, J, KH, KW, SH, SW, P, Q):
    """Say whether a filter reaches over a border somewhere; where none does, x is read where it is."""
    return P != 0 or Q != 0 or (I - 1) * SH + KH > H or (J - 1) * SW + KW > W


@kernel(
    types.void(*[FLOATS] * 6, record(Sizes, types.int64), types.int64, types.int64[::1]),
    dtypes=("float32",),
    threads_from=1 << 12,
)
def direct_products(x, b, y, shortcut, bias, statistics, sizes, then, counter):
    """Write y from x (N, H, W, C) and packed filters. then: see `epilogue.py`; something only where no other pixels lie
    between the outputs."""
    N, H, W, C, F, I, J, KH, KW, SH, SW, P, Q, images, lines, y0, y_image, y_row, y_pixel = sizes
    groups, units = (N + images - 1) // images, (I + lines - 1) // lines
    rows, columns = (lines - 1) * SH + KH, (J - 1) * SW + KW
    padded = reaches_over(H, W, I, J, KH, KW, SH, SW, P, Q)
    source, x_image, x_row = x, H * W * C, W * C
    if padded:
        source, x_image, x_row = scratch(images * rows * columns * C), rows * columns * C, columns * C
    line = scratch(max(J, lines) * LANES)
    item = claim(counter)
    while item < groups * units:
        next_item = claim(counter)
        n, i = item // units * images, item % units * lines
        many, count = min(images, N - n), min(lines, I - i)
        s0 = n * x_image + i * SH * x_row
        if padded:
            s0 = 0
            for image in range(many):
                x0 = (n + image) * H * W * C
                copy_pixels(x, x0, i * SH - P, -Q, H, W, C, rows, columns, source, image * x_image, C)
        o = y0 + n * y_image + i * y_row
        x1, x2 = 0, 0  # where the next item's x begins and ends
        if next_item < groups * units:
            row0 = next_item // units * images * H + max(next_item % units * lines * SH - P, 0)
            x1, x2 = row0 * W * C, min(row0 + (images - 1) * H + rows, N * H) * W * C
        y1 = o + (many - 1) * y_image + count * y_row if y_pixel == F else o  # only where no other pixels lie between
        s1 = y1 if shortcut.size > 0 else o
        outputs, runs, y_step, a_step = count, J, y_pixel, SW * C
        if J == 1:  # a column of outputs is treated as a row
            outputs, runs, y_step, a_step = 1, count, y_row, SH * x_row
        part, parts = 0, (F + 2 * LANES - 1) // (2 * LANES) * many * outputs
        for f in range(0, F, 2 * LANES):  # two panels of filters, for all outputs of the item, while they are cached
            for image in range(many):
                for row in range(outputs):
                    prefetch_part(x, x1, x2, part, parts, False)
                    prefetch_part(y, o, y1, part, parts, True)
                    prefetch_part(shortcut, o, s1, part, parts, False)
                    part += 1
                    a0, t = s0 + image * x_image + row * SH * x_row, o + image * y_image + row * y_row
                    line_product(y, t, y_step, line, source, a0, a_step, x_row, b, runs, F, f, KH, KW * C)
        finish_outputs(then, y, o, y1, F, 0, F, shortcut, bias, statistics, item)
        item = next_item


@helper
def line_product(y, o, y_step, line, a, a0, a_step, a_row, b, count, F, f, R, K):
    """Write channels f … f + 32 of `count` outputs, y_step apart, from runs that begin a_step apart.

    No section: among all that the kernel keeps at hand, the tiles would not have registers enough for their addresses.
    """
    end = min(F, f + 2 * LANES)
    while f < end:
        out, out0, out_step, columns = y, o + f, y_step, (end - f) // LANES * LANES
        if columns == 0:  # the last panel is wider than a pixel has channels
            out, out0, out_step, columns = line, 0, LANES, LANES
        product(out, out0, out_step, a, a0, a_step, a_row, 1, b, f * R * K, count, columns, R, K, False)
        if f + columns > end:
            for j in range(count):
                copy_numbers(line, j * LANES, y, o + j * y_step + f, end - f)
        f += columns


@kernel(
    f"void({ARRAYS}, float32[::1], float32[::1], boolean, UniTuple(int64, 16), int64[::1])",
    dtypes=("float32",),
    threads_from=1 << 12,
)
def direct_weight_products(x, grad_y, sums, z, constants, masked, sizes, counter):
    """Write dL/dweight as (shares, KH·KW·C, F16): outputs are dealt out in `shares`, each with its own sum, and filters
    in `parts`. constants: empty, or those of batch norm behind the outputs z; then grad_y is the gradient behind it."""
    parts, shares = sizes[14:]
    item = claim(counter)
    while item < shares * parts:
        share_of_sum(item // parts, item % parts, x, grad_y, sums, z, constants, masked, sizes)
        item = claim(counter)


@section
def share_of_sum(share, part, x, grad_y, sums, z, constants, masked, sizes):
    N, H, W, C, F, I, J, KH, KW, SH, SW, P, Q, lines, parts, shares = sizes
    panels, units = (F + LANES - 1) // LANES, (I + lines - 1) // lines
    f0, f1 = panels * part // parts * LANES, panels * (part + 1) // parts * LANES
    first, last = N * units * share // shares, N * units * (share + 1) // shares
    padded, columns = reaches_over(H, W, I, J, KH, KW, SH, SW, P, Q), (J - 1) * SW + KW
    source, x_row = x, W * C
    if padded:
        source, x_row = scratch(((lines - 1) * SH + KH) * columns * C), columns * C
    packed, made = scratch(lines * J * (f1 - f0)), scratch(lines * J * F if constants.size > 0 else 0)
    for item in range(first, last):
        n, i = item // units, item % units * lines
        count, s0 = min(lines, I - i), (n * H + i * SH) * W * C
        if padded:
            rows, s0 = (count - 1) * SH + KH, 0
            copy_pixels(x, n * H * W * C, i * SH - P, -Q, H, W, C, rows, columns, source, 0, C)
        y0 = (n * I + i) * J * F
        if constants.size > 0:
            gradient_row((grad_y, z, constants, masked), y0, count * J, F, made, 0)
            pack_outputs(made, 0, count * J, F, f0, f1, packed)
        else:
            pack_outputs(grad_y, y0, count * J, F, f0, f1, packed)
        R, K, a_r, a_k = count, J, SH * x_row, SW * C
        if J == 1:  # one long sum instead of many of one number
            R, K, a_r, a_k = 1, count, 0, SH * x_row
        for u in range(KH):
            o = (share * KH + u) * KW * C * panels * LANES + f0
            s, step = s0 + u * x_row, panels * LANES
            product(sums, o, step, source, s, 1, a_r, a_k, packed, 0, KW * C, f1 - f0, R, K, item > first)


@helper
def pack_outputs(grad_y, y0, pixels, F, f0, f1, packed):
    """Copy channels f0 … f1 of dL/dy to panels of 16 channels, (pixels, 16) each."""
    for f in range(f0, f1, LANES):
        p0, valid = (f - f0) * pixels, min(LANES, F - f)
        for pixel in range(pixels):
            if valid == LANES:
                store(packed, p0 + pixel * LANES, load(grad_y, y0 + pixel * F + f))
                continue
            write_zeros(packed, p0 + pixel * LANES, LANES)
            copy_numbers(grad_y, y0 + pixel * F + f, packed, p0 + pixel * LANES, valid)


@kernel("void(float32[::1], float32[::1], int64, int64, int64, int64, int64[::1])", dtypes=("float32",))
def direct_weight_gradient(sums, grad_weight, F, C, taps, shares, counter):
    """Write dL/dweight (F, C, KH·KW), the sum of the shares: a transposition, in blocks of 16 channels × 16 filters."""
    block = scratch(LANES * taps * LANES)
    channels = claim(counter) * LANES
    while channels < C:
        count = min(LANES, C - channels) * taps  # numbers of a filter that lie side by side
        for f0 in range(0, F, LANES):
            sum_of_shares(sums, channels, count, f0, F, C, taps, shares, block)
            for f in range(f0, min(F, f0 + LANES)):
                o, j = (f * C + channels) * taps, 0
                while j + LANES <= count:
                    store(grad_weight, o + j, gather(block, j * LANES + f - f0, LANES))
                    j += LANES
                while j < count:
                    grad_weight[o + j] = block[j * LANES + f - f0]
                    j += 1
        channels = claim(counter) * LANES


@helper
def sum_of_shares(sums, channels, count, f0, F, C, taps, shares, block):
    """Write the sums of 16 filters from f0 on, for all taps of some channels: row c·taps + tap of the block."""
    F16 = (F + LANES - 1) // LANES * LANES
    for j in range(count):
        i = (j % taps * C + channels + j // taps) * F16 + f0
        vector = load(sums, i)
        for share in range(1, shares):
            vector = vector + load(sums, i + share * taps * C * F16)
        store(block, j * LANES, vector)
