"""3×3 convolution with stride 1 by Winograd's F(4×4, 3×3): 36 products for 16 outputs, where the sum needs 144.

A 4×4 tile of outputs sees a 6×6 patch d of the input. With three fixed matrices (Lavin & Gray 2015, "Fast Algorithms
for Convolutional Neural Networks", §4.3)

    y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A          ⊙ multiplies the 6×6 = 36 positions one by one,

and summing over channels makes each position p a matrix product over all tiles t at once:

       x (N, H, W, C)            V[p] (T, C)       U[p] (C, F)         M[p] (T, F)           y (N, I, J, F)
      ┌──┬──┬──┬──┐ 6×6 patches                                                             ┌──┬──┬──┬──┐
      ├──┼──┼──┼──┤    Bᵀ d B     ┌───┐            ┌─────┐            ┌─────┐    Aᵀ M A     ├──┼──┼──┼──┤
      ├──┼──┼──┼──┤ ───────────▶  │   │     @      │     │     =      │     │ ───────────▶  ├──┼──┼──┼──┤
      ├──┼──┼──┼──┤               └───┘ 36×        └─────┘ 36×        └─────┘ 36×           ├──┼──┼──┼──┤
      └──┴──┴──┴──┘                                   ▲ G g Gᵀ, once                        └──┴──┴──┴──┘

Why it is fast: a quarter of the multiplications. The price is the transforms, additions mostly, done on 16 channels at
a time in registers, and some rounding, about twice the sum's own. Tiles are worked on in groups, so that a group's
V and M stay in the cache; while it is multiplied, the next group's x is fetched from memory.

The gradient of x is the same computation on dL/dy, with filters flipped and channels exchanged. The gradient of the
weight runs the picture backwards: Z = A dy Aᵀ, dL/dU[p] = V[p]ᵀ @ Z[p], and dL/dg = Gᵀ dL/dU G. The tiles are dealt out
in shares, whose number does not depend on that of the threads. A thread sums dL/dU of a share in memory of its own,
which is in its cache, makes Gᵀ dL/dU G of it, a quarter as large, and the shares are added up at the end, in one order.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from minires.kernels.numba_kernels.epilogue import finish_outputs
from minires.kernels.numba_kernels.machine.compilation import FLOATS, array_helper, helper, kernel, record, section
from minires.kernels.numba_kernels.machine.simd import LANES, load, store
from minires.kernels.numba_kernels.machine.threads import claim, complete
from minires.kernels.numba_kernels.machine.tile import fits_in_place, product
from minires.kernels.numba_kernels.padding import copy_pixels, prefetch_part, scratch
from minires.kernels.numba_kernels.prologue import activation_window
from minires.kernels.numba_kernels.winograd_transforms import (
    transform_filter,
    transform_filter_gradient,
    transform_output_gradient,
    transform_patch,
    transform_products,
)


class Sizes(NamedTuple):
    """Of a convolution: N images H×W of C channels, outputs I×J of F channels, padding P×Q; how many strips of tiles
    are worked on together, and in how many parts the filters are taken, or, of a layer's backward pass, in how many
    shares the tiles are dealt out."""

    N: int
    H: int
    W: int
    C: int
    F: int
    I: int
    J: int
    P: int
    Q: int
    group: int
    parts: int


class Operands(NamedTuple):
    """The arrays of a forward pass; input_norm is empty, or mean, scale and bias of a norm with relu that x still has
    to go through (prologue.py); shortcut, bias and statistics as in epilogue.py."""

    x: np.ndarray
    input_norm: np.ndarray
    weight: np.ndarray
    u: np.ndarray
    y: np.ndarray
    shortcut: np.ndarray
    bias: np.ndarray
    statistics: np.ndarray


SIZES = record(Sizes, types.int64)

# All tiles of a group: strips first … last, each a row of ⌈J/4⌉ tiles of one image. C16 and F16 are C and F rounded up.


@helper
def place_of(strip, I, H, row, P):
    """Return where the rows begin that a strip of an image's I rows of outputs sees: H rows of `row` numbers an image,
    P rows of padding."""
    strips = (I + 3) // 4
    return (strip // strips * H + max(strip % strips * 4 - P, 0)) * row


@section
def transform_inputs(x, input_norm, first, last, sizes, v, v_position, window):
    """Write V of every tile; the rows that a strip sees are copied to the window first, with zeros around."""
    _, H, W, C, _, I, J, P, Q, _, _ = sizes
    strips, tiles, C16 = (I + 3) // 4, (J + 3) // 4, (C + 15) // LANES * LANES
    columns = 4 * tiles + 2
    for strip in range(first, last):
        h = strip % strips * 4 - P
        if input_norm.size > 0:
            continued = strip > first and strip % strips != 0
            activation_window(strip, continued, (x, input_norm), H, W, C, tiles, window)
        else:
            copy_pixels(x, strip // strips * H * W * C, h, -Q, H, W, C, 6, columns, window, 0, C16)
        for tile in range(tiles):
            v0 = ((strip - first) * tiles + tile) * C16
            transform_patch(window, tile * 4 * C16, columns * C16, C16, v, v0, v_position, C16)


@section
def transform_outputs(m, m_position, first, last, I, J, F, f0, f1, y, patch, accumulate):
    """Write channels f0 … f1 of the outputs of every tile, or add them to y.

    Tiles that are cut by the border go through `patch`."""
    strips, tiles, F16 = (I + 3) // 4, (J + 3) // 4, f1 - f0
    for strip in range(first, last):
        image, i = strip // strips * I * J * F, strip % strips * 4
        for tile in range(tiles):
            j = tile * 4
            m0 = ((strip - first) * tiles + tile) * F16
            y0 = image + (i * J + j) * F + f0
            if i + 4 <= I and j + 4 <= J and f1 <= F:
                transform_products(m, m0, m_position, y, y0, J * F, F, F16, accumulate)
                continue
            transform_products(m, m0, m_position, patch, 0, 4 * F16, F16, F16, False)
            for row in range(min(4, I - i)):
                for column in range(min(4, J - j)):
                    for f in range(min(f1, F) - f0):
                        at = y0 + (row * J + column) * F + f
                        y[at] = patch[(row * 4 + column) * F16 + f] + (y[at] if accumulate else np.float32(0))


@helper
def transform_output_gradients(y, first, last, I, J, F, f0, f1, z, z_position, patch):
    """Write Z of every tile, channels f0 … f1."""
    strips, tiles, F16 = (I + 3) // 4, (J + 3) // 4, f1 - f0
    z_panel = (last - first) * tiles * LANES
    for strip in range(first, last):
        image, i = strip // strips * I * J * F, strip % strips * 4
        for tile in range(tiles):
            j = tile * 4
            z0 = ((strip - first) * tiles + tile) * LANES
            if i + 4 <= I and j + 4 <= J and f1 <= F:
                y0 = image + (i * J + j) * F + f0
                transform_output_gradient(y, y0, J * F, F, z, z0, z_panel, z_position, F16)
            else:
                FP = (F + 15) // LANES * LANES
                copy_pixels(y, image, i, j, I, J, F, 4, 4, patch, 0, FP)
                transform_output_gradient(patch, f0, 4 * FP, FP, z, z0, z_panel, z_position, F16)


# The kernels


@kernel("void(float32[::1], float32[::1], int64, int64, boolean, int64[::1])", dtypes=("float32",))
def winograd_filters(weight, u, F, C, flip, counter):
    """Write U = G g Gᵀ, 36 × panels of 16 filters × C × 16, from weight (F, C, 3, 3), F a multiple of 16.

    flip: U of the gradient of x, from a weight (C, F, 3, 3): filters flipped, F and C having changed places.
    """
    transform_all_filters(weight, u, F, C, flip, counter)


@helper
def transform_all_filters(weight, u, F, C, flip, counter):
    """Write U, panel by panel, as threads claim them."""
    panel = claim(counter)
    while panel * LANES < F:
        transform_filters(weight, panel, panel + 1, F, C, flip, u, panel * C * LANES, F * C)
        complete(counter)
        panel = claim(counter)


@helper
def transform_filters(weight, first, last, F, C, flip, u, u0, u_position):
    """Write U of the panels first … last to u[u0]."""
    f_step, c_step, tap, step = (9, F * 9, 8, -1) if flip else (C * 9, 9, 0, 1)
    for panel in range(first, last):
        for c in range(C):
            w0 = panel * LANES * f_step + c * c_step + tap
            transform_filter(weight, w0, step, f_step, u, u0, u_position)
            u0 += LANES


@kernel(
    types.void(*[FLOATS] * 7, SIZES, types.boolean, types.int64, types.int64[::1]),
    dtypes=("float32",),
    threads_from=1 << 12,
)
def winograd_products(x, weight, u, y, shortcut, bias, statistics, sizes, flip, then, counter):
    """Write y (N, I, J, F) from x (N, H, W, C).

    Where all filters are few, or do not change any more, their U is given. Where `u` is empty, since they are cut into
    parts, being many or the tiles few, each thread makes U of the part that it works on. then: see `epilogue.py`.
    """
    operands = Operands(x, np.empty(0, np.float32), weight, u, y, shortcut, bias, statistics)
    convolve_groups(operands, sizes, flip, then, counter)


@section
def convolve_groups(operands, sizes, flip, then, counter):
    """Write y, group by group, part by part, as threads claim them."""
    x, input_norm, weight, u, y, shortcut, bias, statistics = operands
    N, H, W, C, F, I, J, P, Q, group, parts = sizes
    strips, tiles, panels = N * ((I + 3) // 4), (J + 3) // 4, (F + 15) // LANES
    C16, F16, groups = (C + 15) // LANES * LANES, (panels + parts - 1) // parts * LANES, (strips + group - 1) // group
    v_position, m_position = group * tiles * C16 + LANES, group * tiles * F16 + LANES  # not a power of two apart
    v, m = scratch(36 * v_position), scratch(36 * m_position)
    window, patch = scratch(6 * (4 * tiles + 2) * C16), scratch(16 * F16)
    given = u.size > 0
    if not given:
        u = scratch(36 * F16 * C)
    transformed, prepared = -1, -1
    item = claim(counter)
    while item < groups * parts:
        next_item = claim(counter)
        part, start = item // groups, item % groups * group
        end = min(start + group, strips)
        panel0, panel1 = panels * part // parts, panels * (part + 1) // parts
        f0, f1 = panel0 * LANES, panel1 * LANES
        if start != transformed:
            transform_inputs(x, input_norm, start, end, sizes, v, v_position, window)
            transformed = start
        u_part, u_position = f0 * C, panels * LANES * C
        if not given:
            u_part, u_position = 0, (f1 - f0) * C
            if part != prepared:
                transform_filters(weight, panel0, panel1, panels * LANES, C, flip, u, 0, u_position)
                prepared = part
        y0, y1 = place_of(start, I, I, J * F, 0), place_of(end, I, I, J * F, 0)
        x0, x1 = 0, 0
        if next_item < groups * parts:
            x0 = place_of(next_item % groups * group, I, H, W * C, P)
            x1 = place_of(min(next_item % groups * group + group, strips), I, H, W * C, P)
        T, columns, products = (end - start) * tiles, f1 - f0, m
        if parts == 1 and C16 == F16 and fits_in_place(T, columns, C):
            products = v  # half of the cache; V is not needed any more
        for p in range(36):
            prefetch_part(x, x0, x1, p, 36, False)
            prefetch_part(y, y0, y1, p, 36, True)
            u0 = u_part + p * u_position
            product(products, p * m_position, columns, v, p * v_position, C16, 0, 1, u, u0, T, columns, 1, C, False)
        transform_outputs(products, m_position, start, end, I, J, F, f0, f1, y, patch, False)
        finish_outputs(then, y, y0, y1, F, f0, min(f1, F), shortcut, bias, statistics, start // group)
        complete(counter)
        item = next_item


@kernel(types.void(*[FLOATS] * 3, SIZES, types.int64, types.int64[::1]), dtypes=("float32",), threads_from=1 << 12)
def winograd_weight_products(x, grad_y, grad_shares, sizes, shares, counter):
    """Write Gᵀ dL/dU G of each share, (shares, C, 9, F16); filters are dealt out in parts, as above."""
    item = claim(counter)
    while item < shares * sizes.parts:
        weight_gradient_of_share(item // sizes.parts, item % sizes.parts, x, grad_y, grad_shares, sizes, shares)
        item = claim(counter)


@helper
def first_of_share(share, groups, shares):
    """Return a share's first group, of at least one. Shares get smaller, so that threads end at about the same time."""
    return share + (groups - shares) * share * (2 * shares - share) // (shares * shares)


@array_helper
def weight_gradient_of_share(share, part, x, grad_y, grad_shares, sizes, shares):
    N, H, W, C, F, I, J, P, _, group, parts = sizes
    strips, tiles, panels = N * ((I + 3) // 4), (J + 3) // 4, (F + 15) // LANES
    C16, FP = (C + 15) // LANES * LANES, panels * LANES
    f0, f1 = panels * part // parts * LANES, panels * (part + 1) // parts * LANES
    groups, columns, u_row = (strips + group - 1) // group, f1 - f0, 36 * (f1 - f0) + LANES
    first, last = first_of_share(share, groups, shares), first_of_share(share + 1, groups, shares)
    v_position, z_position = group * tiles * C16 + LANES, group * tiles * columns + LANES
    grad_u, v, z = scratch(C * u_row), scratch(36 * v_position), scratch(36 * z_position)
    window = scratch(6 * (4 * tiles + 2) * C16)
    patch, no_norm = scratch(16 * FP), np.empty(0, np.float32)
    for number in range(first, last):
        start, end = number * group, min(number * group + group, strips)
        transform_inputs(x, no_norm, start, end, sizes, v, v_position, window)
        transform_output_gradients(grad_y, start, end, I, J, F, f0, f1, z, z_position, patch)
        T, accumulate, next_end = (end - start) * tiles, number > first, min(end + group, strips)
        x0, x1 = place_of(end, I, H, W * C, P), place_of(next_end, I, H, W * C, P)
        y0, y1 = place_of(end, I, I, J * F, 0), place_of(next_end, I, I, J * F, 0)
        for p in range(36):
            prefetch_part(x, x0, x1, p, 36, False)
            prefetch_part(grad_y, y0, y1, p, 36, False)
            u0 = p * columns
            product(grad_u, u0, u_row, v, p * v_position, 1, 0, C16, z, p * z_position, C, columns, 1, T, accumulate)
    transform_share(grad_u, C, columns, grad_shares, share * 9 * C * FP + f0, FP)


@helper
def transform_share(grad_u, C, columns, out, o, out_tap):
    """Write Gᵀ dL/dU G of C channels, nine taps each, and `columns` filters to out[o]; taps are out_tap apart."""
    for c in range(C):
        for f in range(0, columns, LANES):
            u0 = c * (36 * columns + LANES) + f
            transform_filter_gradient(grad_u, u0, columns, out, o + 9 * c * out_tap + f, out_tap)


@kernel("void(float32[::1], float32[::1], int64, int64, int64, int64[::1])", dtypes=("float32",))
def winograd_weight_gradient(grad_shares, grad_weight, F, C, shares, counter):
    """Write dL/dg (F, C, 3, 3), the sum of the shares."""
    sum_of_shares(grad_shares, grad_weight, F, C, shares, counter)


@array_helper
def sum_of_shares(grad_shares, grad_weight, F, C, shares, counter):
    """Write dL/dg, channel by channel, as threads claim them."""
    F16 = (F + 15) // LANES * LANES
    g = scratch(9 * LANES)
    c = claim(counter)
    while c < C:
        for f0 in range(0, F16, LANES):
            for tap in range(9):
                i = (9 * c + tap) * F16 + f0
                total = load(grad_shares, i)
                for share in range(1, shares):
                    total = total + load(grad_shares, i + share * 9 * C * F16)
                store(g, tap * LANES, total)
            for f in range(f0, min(F, f0 + LANES)):
                for tap in range(9):
                    grad_weight[(f * C + c) * 9 + tap] = g[tap * LANES + f % LANES]
        c = claim(counter)
