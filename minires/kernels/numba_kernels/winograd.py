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
a time in registers, and some rounding, about five times the sum's own. Tiles are worked on in groups, so that a group's
V and M stay in the cache.

The gradient of x is the same computation on dL/dy, with filters flipped and channels exchanged. The gradient of the
weight runs the picture backwards: Z = A dy Aᵀ, dL/dU[p] = V[p]ᵀ @ Z[p], and dL/dg = Gᵀ dL/dU G.
"""

import numpy as np

from minires.kernels.numba_kernels.compilation import helper, kernel
from minires.kernels.numba_kernels.padding import copy_pixels, scratch
from minires.kernels.numba_kernels.simd import LANES, gather, load, splat, store
from minires.kernels.numba_kernels.threads import claim
from minires.kernels.numba_kernels.tile import product

# The one-dimensional transforms, of six, four or three vectors


@helper
def input_transform(d):
    """Return Bᵀ d."""
    d0, d1, d2, d3, d4, d5 = d
    two, four, five = splat(np.float32(2)), splat(np.float32(4)), splat(np.float32(5))
    even, odd = d4 - four * d2, d3 - four * d1
    outer, inner = d4 - d2, two * (d3 - d1)
    return (
        four * d0 - five * d2 + d4,
        even + odd,
        even - odd,
        outer + inner,
        outer - inner,
        four * d1 - five * d3 + d5,
    )


@helper
def output_transform(m):
    """Return Aᵀ m."""
    m0, m1, m2, m3, m4, m5 = m
    two, four, eight = splat(np.float32(2)), splat(np.float32(4)), splat(np.float32(8))
    sum12, difference12 = m1 + m2, m1 - m2
    sum34, difference34 = m3 + m4, m3 - m4
    return (
        m0 + sum12 + sum34,
        difference12 + two * difference34,
        sum12 + four * sum34,
        difference12 + eight * difference34 + m5,
    )


@helper
def output_gradient_transform(y):
    """Return A y."""
    y0, y1, y2, y3 = y
    two, four, eight = splat(np.float32(2)), splat(np.float32(4)), splat(np.float32(8))
    even, odd = y0 + y2, y1 + y3
    even4, odd8 = y0 + four * y2, two * y1 + eight * y3
    return y0, even + odd, even - odd, even4 + odd8, even4 - odd8, y3


@helper
def filter_transform(g):
    """Return G g."""
    g0, g1, g2 = g
    quarter, sixth = splat(np.float32(1 / 4)), splat(np.float32(1 / 6))
    twelfth, twentyfourth = splat(np.float32(1 / 12)), splat(np.float32(1 / 24))
    outer = splat(np.float32(-1 / 6)) * (g0 + g2)
    inner = twentyfourth * g0 + sixth * g2
    return quarter * g0, outer - sixth * g1, outer + sixth * g1, inner + twelfth * g1, inner - twelfth * g1, g2


@helper
def filter_gradient_transform(u):
    """Return Gᵀ u."""
    u0, u1, u2, u3, u4, u5 = u
    quarter, sixth = splat(np.float32(1 / 4)), splat(np.float32(1 / 6))
    twelfth, twentyfourth = splat(np.float32(1 / 12)), splat(np.float32(1 / 24))
    sum12, sum34 = sixth * (u1 + u2), u3 + u4
    return (
        quarter * u0 - sum12 + twentyfourth * sum34,
        sixth * (u2 - u1) + twelfth * (u3 - u4),
        sixth * sum34 - sum12 + u5,
    )


# Six vectors at equal distances


@helper
def load6(a, i, step):
    return (
        load(a, i),
        load(a, i + step),
        load(a, i + 2 * step),
        load(a, i + 3 * step),
        load(a, i + 4 * step),
        load(a, i + 5 * step),
    )


@helper
def store6(a, i, step, x):
    store(a, i, x[0])
    store(a, i + step, x[1])
    store(a, i + 2 * step, x[2])
    store(a, i + 3 * step, x[3])
    store(a, i + 4 * step, x[4])
    store(a, i + 5 * step, x[5])


@helper
def load4(a, i, step):
    return load(a, i), load(a, i + step), load(a, i + 2 * step), load(a, i + 3 * step)


@helper
def store4(a, i, step, x):
    store(a, i, x[0])
    store(a, i + step, x[1])
    store(a, i + 2 * step, x[2])
    store(a, i + 3 * step, x[3])


# The two-dimensional transforms of one tile: columns 0 … 5 first (t0 … t5), then rows. Position p = 6·row + column.


@helper
def transform_patch(x, x0, x_row, x_pixel, v, v0, v_position, C16):
    """Write V = Bᵀ d B of the 6×6 patch at x[x0] to v[v0 + p·v_position], channel by channel."""
    v_row = 6 * v_position
    for c in range(0, C16, LANES):
        i, o = x0 + c, v0 + c
        t0 = input_transform(load6(x, i, x_row))
        t1 = input_transform(load6(x, i + x_pixel, x_row))
        t2 = input_transform(load6(x, i + 2 * x_pixel, x_row))
        t3 = input_transform(load6(x, i + 3 * x_pixel, x_row))
        t4 = input_transform(load6(x, i + 4 * x_pixel, x_row))
        t5 = input_transform(load6(x, i + 5 * x_pixel, x_row))
        store6(v, o, v_position, input_transform((t0[0], t1[0], t2[0], t3[0], t4[0], t5[0])))
        store6(v, o + v_row, v_position, input_transform((t0[1], t1[1], t2[1], t3[1], t4[1], t5[1])))
        store6(v, o + 2 * v_row, v_position, input_transform((t0[2], t1[2], t2[2], t3[2], t4[2], t5[2])))
        store6(v, o + 3 * v_row, v_position, input_transform((t0[3], t1[3], t2[3], t3[3], t4[3], t5[3])))
        store6(v, o + 4 * v_row, v_position, input_transform((t0[4], t1[4], t2[4], t3[4], t4[4], t5[4])))
        store6(v, o + 5 * v_row, v_position, input_transform((t0[5], t1[5], t2[5], t3[5], t4[5], t5[5])))


@helper
def transform_products(m, m0, m_position, y, y0, y_row, y_pixel, F16):
    """Write the 4×4 outputs y = Aᵀ M A at y[y0]."""
    m_row = 6 * m_position
    for f in range(0, F16, LANES):
        i, o = m0 + f, y0 + f
        t0 = output_transform(load6(m, i, m_row))
        t1 = output_transform(load6(m, i + m_position, m_row))
        t2 = output_transform(load6(m, i + 2 * m_position, m_row))
        t3 = output_transform(load6(m, i + 3 * m_position, m_row))
        t4 = output_transform(load6(m, i + 4 * m_position, m_row))
        t5 = output_transform(load6(m, i + 5 * m_position, m_row))
        store4(y, o, y_pixel, output_transform((t0[0], t1[0], t2[0], t3[0], t4[0], t5[0])))
        store4(y, o + y_row, y_pixel, output_transform((t0[1], t1[1], t2[1], t3[1], t4[1], t5[1])))
        store4(y, o + 2 * y_row, y_pixel, output_transform((t0[2], t1[2], t2[2], t3[2], t4[2], t5[2])))
        store4(y, o + 3 * y_row, y_pixel, output_transform((t0[3], t1[3], t2[3], t3[3], t4[3], t5[3])))


@helper
def transform_output_gradient(y, y0, y_row, y_pixel, z, z0, z_panel, z_position, F16):
    """Write Z = A dy Aᵀ of the 4×4 outputs at y[y0] to z[z0 + p·z_position], panels of 16 channels z_panel apart."""
    z_row = 6 * z_position
    for f in range(0, F16, LANES):
        i, o = y0 + f, z0 + f // LANES * z_panel
        t0 = output_gradient_transform(load4(y, i, y_row))
        t1 = output_gradient_transform(load4(y, i + y_pixel, y_row))
        t2 = output_gradient_transform(load4(y, i + 2 * y_pixel, y_row))
        t3 = output_gradient_transform(load4(y, i + 3 * y_pixel, y_row))
        store6(z, o, z_position, output_gradient_transform((t0[0], t1[0], t2[0], t3[0])))
        store6(z, o + z_row, z_position, output_gradient_transform((t0[1], t1[1], t2[1], t3[1])))
        store6(z, o + 2 * z_row, z_position, output_gradient_transform((t0[2], t1[2], t2[2], t3[2])))
        store6(z, o + 3 * z_row, z_position, output_gradient_transform((t0[3], t1[3], t2[3], t3[3])))
        store6(z, o + 4 * z_row, z_position, output_gradient_transform((t0[4], t1[4], t2[4], t3[4])))
        store6(z, o + 5 * z_row, z_position, output_gradient_transform((t0[5], t1[5], t2[5], t3[5])))


# All tiles of a group: strips first … last, each a row of ⌈J/4⌉ tiles of one image. C16 and F16 are C and F rounded up.


@helper
def transform_inputs(x, first, last, H, W, C, I, J, P, Q, v, v_position, window):
    """Write V of every tile; the rows that a strip sees are copied to the window first, with zeros around."""
    strips, tiles, C16 = (I + 3) // 4, (J + 3) // 4, (C + 15) // LANES * LANES
    columns = 4 * tiles + 2
    for strip in range(first, last):
        h = strip % strips * 4 - P
        copy_pixels(x, strip // strips * H * W * C, h, -Q, H, W, C, 6, columns, window, 0, C16)
        for tile in range(tiles):
            v0 = ((strip - first) * tiles + tile) * C16
            transform_patch(window, tile * 4 * C16, columns * C16, C16, v, v0, v_position, C16)


@helper
def transform_outputs(m, m_position, first, last, I, J, F, f0, f1, y, patch):
    """Write channels f0 … f1 of the outputs of every tile. Tiles that are cut by the border go through `patch`."""
    strips, tiles, F16 = (I + 3) // 4, (J + 3) // 4, f1 - f0
    for strip in range(first, last):
        image, i = strip // strips * I * J * F, strip % strips * 4
        for tile in range(tiles):
            j = tile * 4
            m0 = ((strip - first) * tiles + tile) * F16
            y0 = image + (i * J + j) * F + f0
            if i + 4 <= I and j + 4 <= J and f1 <= F:
                transform_products(m, m0, m_position, y, y0, J * F, F, F16)
                continue
            transform_products(m, m0, m_position, patch, 0, 4 * F16, F16, F16)
            for row in range(min(4, I - i)):
                for column in range(min(4, J - j)):
                    for f in range(min(f1, F) - f0):
                        y[y0 + (row * J + column) * F + f] = patch[(row * 4 + column) * F16 + f]


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
    panel = claim(counter)
    while panel * LANES < F:
        transform_filters(weight, panel, panel + 1, F, C, flip, u, panel * C * LANES, F * C)
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


@helper
def transform_filter(weight, w0, step, f_step, u, u0, u_position):
    """Write U = G g Gᵀ of sixteen filters, whose taps are `step` apart."""
    u_row, row = 6 * u_position, 3 * step
    t0 = filter_transform(gather3(weight, w0, row, f_step))
    t1 = filter_transform(gather3(weight, w0 + step, row, f_step))
    t2 = filter_transform(gather3(weight, w0 + 2 * step, row, f_step))
    store6(u, u0, u_position, filter_transform((t0[0], t1[0], t2[0])))
    store6(u, u0 + u_row, u_position, filter_transform((t0[1], t1[1], t2[1])))
    store6(u, u0 + 2 * u_row, u_position, filter_transform((t0[2], t1[2], t2[2])))
    store6(u, u0 + 3 * u_row, u_position, filter_transform((t0[3], t1[3], t2[3])))
    store6(u, u0 + 4 * u_row, u_position, filter_transform((t0[4], t1[4], t2[4])))
    store6(u, u0 + 5 * u_row, u_position, filter_transform((t0[5], t1[5], t2[5])))


@helper
def gather3(a, i, step, lane_step):
    return gather(a, i, lane_step), gather(a, i + step, lane_step), gather(a, i + 2 * step, lane_step)


ARRAYS = "float32[::1], float32[::1], float32[::1]"
SIZES = ", ".join(["int64"] * 11)  # N, H, W, C, F, I, J, padding, group, parts


@kernel(f"void({ARRAYS}, float32[::1], {SIZES}, boolean, int64[::1])", dtypes=("float32",))
def winograd_products(x, weight, u, y, N, H, W, C, F, I, J, P, Q, group, parts, flip, counter):
    """Write y (N, I, J, F) from x (N, H, W, C), padding P×Q. group: strips that are worked on together.

    Where all filters are few, their U is given. Where they are cut into parts, since they are many or the tiles few,
    each thread makes U of the part that it works on, in its cache, and `u` is not looked at.
    """
    strips, tiles, panels = N * ((I + 3) // 4), (J + 3) // 4, (F + 15) // LANES
    C16, F16, groups = (C + 15) // LANES * LANES, (panels + parts - 1) // parts * LANES, (strips + group - 1) // group
    v_position, m_position = group * tiles * C16 + LANES, group * tiles * F16 + LANES  # not a power of two apart
    v, m = scratch(36 * v_position), scratch(36 * m_position)
    window, patch = scratch(6 * (4 * tiles + 2) * C16), scratch(16 * F16)
    if parts > 1:
        u = scratch(36 * F16 * C)
    transformed, prepared = -1, -1
    item = claim(counter)
    while item < groups * parts:
        part, start = item // groups, item % groups * group
        end = min(start + group, strips)
        panel0, panel1 = panels * part // parts, panels * (part + 1) // parts
        f0, f1 = panel0 * LANES, panel1 * LANES
        if start != transformed:
            transform_inputs(x, start, end, H, W, C, I, J, P, Q, v, v_position, window)
            transformed = start
        if parts > 1 and part != prepared:
            transform_filters(weight, panel0, panel1, panels * LANES, C, flip, u, 0, (f1 - f0) * C)
            prepared = part
        T, columns = (end - start) * tiles, f1 - f0
        for p in range(36):
            u0 = p * columns * C
            product(m, p * m_position, columns, v, p * v_position, C16, 0, 1, u, u0, T, columns, 1, C, False)
        transform_outputs(m, m_position, start, end, I, J, F, f0, f1, y, patch)
        item = claim(counter)


@kernel(f"void({ARRAYS}, {SIZES}, int64, int64[::1])", dtypes=("float32",))
def winograd_weight_products(x, grad_y, grad_u, N, H, W, C, F, I, J, P, Q, group, parts, shares, counter):
    """Write dL/dU (shares, 36, C, F16): the tiles are dealt out in `shares`, each with its own sum; parts as above."""
    item = claim(counter)
    while item < shares * parts:
        share_of_sum(item // parts, item % parts, x, grad_y, grad_u, N, H, W, C, F, I, J, P, Q, group, parts, shares)
        item = claim(counter)


@helper
def share_of_sum(share, part, x, grad_y, grad_u, N, H, W, C, F, I, J, P, Q, group, parts, shares):
    strips, tiles, panels = N * ((I + 3) // 4), (J + 3) // 4, (F + 15) // LANES
    C16, FP = (C + 15) // LANES * LANES, panels * LANES
    f0, f1 = panels * part // parts * LANES, panels * (part + 1) // parts * LANES
    groups = (strips + group - 1) // group
    first, last = groups * share // shares, groups * (share + 1) // shares
    v_position, z_position = group * tiles * C16 + LANES, group * tiles * (f1 - f0) + LANES
    v, z = scratch(36 * v_position), scratch(36 * z_position)
    window = scratch(6 * (4 * tiles + 2) * C16)
    patch = scratch(16 * FP)
    for number in range(first, last):
        start, end = number * group, min(number * group + group, strips)
        transform_inputs(x, start, end, H, W, C, I, J, P, Q, v, v_position, window)
        transform_output_gradients(grad_y, start, end, I, J, F, f0, f1, z, z_position, patch)
        T, add = (end - start) * tiles, number > first
        for p in range(36):
            u0 = ((share * 36 + p) * C) * FP + f0
            product(grad_u, u0, FP, v, p * v_position, 1, 0, C16, z, p * z_position, C, f1 - f0, 1, T, add)


@kernel("void(float32[::1], float32[::1], int64, int64, int64, int64[::1])", dtypes=("float32",))
def winograd_weight_gradient(grad_u, grad_weight, F, C, shares, counter):
    """Write dL/dg = Gᵀ dL/dU G, (F, C, 3, 3), dL/dU being the sum of the shares."""
    panels = (F + 15) // LANES
    g = scratch(9 * LANES)
    c = claim(counter)
    while c < C:
        for panel in range(panels):
            transform_filter_gradient(grad_u, (c * panels + panel) * LANES, C * panels * LANES, shares, g)
            for f in range(panel * LANES, min(F, panel * LANES + LANES)):
                for tap in range(9):
                    grad_weight[(f * C + c) * 9 + tap] = g[tap * LANES + f % LANES]
        c = claim(counter)


@helper
def sum_of_shares6(u, i, step, share, shares):
    """Return six vectors, summed over the shares."""
    total = load6(u, i, step)
    for _ in range(1, shares):
        i += share
        more = load6(u, i, step)
        total = (
            total[0] + more[0],
            total[1] + more[1],
            total[2] + more[2],
            total[3] + more[3],
            total[4] + more[4],
            total[5] + more[5],
        )
    return total


@helper
def transform_filter_gradient(u, u0, u_position, shares, g):
    """Write Gᵀ dU G of sixteen filters."""
    u_row, share = 6 * u_position, 36 * u_position
    t0 = filter_gradient_transform(sum_of_shares6(u, u0, u_row, share, shares))
    t1 = filter_gradient_transform(sum_of_shares6(u, u0 + u_position, u_row, share, shares))
    t2 = filter_gradient_transform(sum_of_shares6(u, u0 + 2 * u_position, u_row, share, shares))
    t3 = filter_gradient_transform(sum_of_shares6(u, u0 + 3 * u_position, u_row, share, shares))
    t4 = filter_gradient_transform(sum_of_shares6(u, u0 + 4 * u_position, u_row, share, shares))
    t5 = filter_gradient_transform(sum_of_shares6(u, u0 + 5 * u_position, u_row, share, shares))
    store3(g, 0, filter_gradient_transform((t0[0], t1[0], t2[0], t3[0], t4[0], t5[0])))
    store3(g, 3 * LANES, filter_gradient_transform((t0[1], t1[1], t2[1], t3[1], t4[1], t5[1])))
    store3(g, 6 * LANES, filter_gradient_transform((t0[2], t1[2], t2[2], t3[2], t4[2], t5[2])))


@helper
def store3(a, i, x):
    store(a, i, x[0])
    store(a, i + LANES, x[1])
    store(a, i + 2 * LANES, x[2])
