"""Winograd's transforms, of sixteen channels at a time: the fixed matrices of F(4×4, 3×3), written out as sums.

         ⎡1   0 −5/2   0  1  0⎤          ⎡   1     0     0 ⎤
         ⎢0 −√2   −2  √½  1  0⎥          ⎢−2/3 −√2/3  −1/3 ⎥          ⎡1   1   1   ½   ½  0⎤
    Bᵀ = ⎢0  √2   −2 −√½  1  0⎥      G = ⎢−2/3  √2/3  −1/3 ⎥     Aᵀ = ⎢0  √½ −√½  √½ −√½  0⎥
         ⎢0 −√½   −½  √2  1  0⎥          ⎢ 1/3  √2/3   2/3 ⎥          ⎢0   ½   ½   1   1  0⎥
         ⎢0  √½   −½ −√2  1  0⎥          ⎢ 1/3 −√2/3   2/3 ⎥          ⎣0  √⅛ −√⅛  √2 −√2  1⎦
         ⎣0   1    0 −5/2 0  1⎦          ⎣   0     0     1 ⎦

They evaluate polynomials at 0, ±√½, ±√2 and ∞ and interpolate between them (Toom and Cook). The usual 0, ±1, ±2, ∞
have rounder numbers, but their powers spread further: these points, of the form ±c, ±1/c of Alam, Anderson, Barabasz
and Gregg, "Winograd Convolution for Deep Neural Networks: Efficient Point Selection" (2022), halve the rounding error.

The two-dimensional transforms do the columns of a tile first, then its rows:

     6×6 patch                t0 t1 t2 t3 t4 t5                 36 positions
    ┌ ↓ ↓ ↓ ↓ ↓ ↓ ┐          ┌ →  →  →  →  →  → ┐
    │ six vectors │  ─────▶  │ →  →  →  →  →  → │  ─────▶  p = 6·row + column, stored `position` apart
    └ a column    ┘          └ one of each      ┘

Why it is fast: the numbers between the two halves stay in registers as far as there are registers, rows that nearly
agree share their sums (1 and 2, 3 and 4 of each matrix), and every load and store is a whole vector.
"""

import math

import numpy as np

from minires.kernels.numba_kernels.machine.compilation import helper
from minires.kernels.numba_kernels.machine.simd import LANES, gather, load, splat, store

ROOT_2 = np.float32(math.sqrt(2))
ROOT_HALF = np.float32(math.sqrt(1 / 2))
ROOT_EIGHTH = np.float32(math.sqrt(1 / 8))
ROOT_2_THIRD = np.float32(math.sqrt(2) / 3)

# The one-dimensional transforms, of six, four or three vectors


@helper
def input_transform(d):
    """Return Bᵀ d."""
    d0, d1, d2, d3, d4, d5 = d
    half, two, five_halves = splat(np.float32(0.5)), splat(np.float32(2)), splat(np.float32(2.5))
    even12, odd12 = d4 - two * d2, splat(ROOT_HALF) * (d3 - two * d1)
    even34, odd34 = d4 - half * d2, splat(ROOT_2) * (d3 - half * d1)
    return (
        d0 + d4 - five_halves * d2,
        even12 + odd12,
        even12 - odd12,
        even34 + odd34,
        even34 - odd34,
        d1 + d5 - five_halves * d3,
    )


@helper
def output_transform(m):
    """Return Aᵀ m."""
    m0, m1, m2, m3, m4, m5 = m
    half = splat(np.float32(0.5))
    sum12, difference12 = m1 + m2, m1 - m2
    sum34, difference34 = m3 + m4, m3 - m4
    return (
        m0 + sum12 + half * sum34,
        splat(ROOT_HALF) * (difference12 + difference34),
        half * sum12 + sum34,
        splat(ROOT_EIGHTH) * difference12 + splat(ROOT_2) * difference34 + m5,
    )


@helper
def output_gradient_transform(y):
    """Return A y."""
    y0, y1, y2, y3 = y
    half, two, root_half = splat(np.float32(0.5)), splat(np.float32(2)), splat(ROOT_HALF)
    even12, odd12 = y0 + half * y2, root_half * (y1 + half * y3)
    even34, odd34 = half * y0 + y2, root_half * (y1 + two * y3)
    return y0, even12 + odd12, even12 - odd12, even34 + odd34, even34 - odd34, y3


@helper
def filter_transform(g):
    """Return G g."""
    g0, g1, g2 = g
    third, two_thirds = splat(np.float32(1 / 3)), splat(np.float32(2 / 3))
    odd = splat(ROOT_2_THIRD) * g1
    even12, even34 = splat(np.float32(-2 / 3)) * g0 - third * g2, third * g0 + two_thirds * g2
    return g0, even12 - odd, even12 + odd, even34 + odd, even34 - odd, g2


@helper
def filter_gradient_transform(u):
    """Return Gᵀ u."""
    u0, u1, u2, u3, u4, u5 = u
    third, two_thirds = splat(np.float32(1 / 3)), splat(np.float32(2 / 3))
    sum12, sum34 = u1 + u2, u3 + u4
    return (
        u0 - two_thirds * sum12 + third * sum34,
        splat(ROOT_2_THIRD) * (u2 - u1 + u3 - u4),
        two_thirds * sum34 - third * sum12 + u5,
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
def put4(a, i, step, x, accumulate):
    """Store four vectors, or add them to those that are there."""
    if accumulate:
        there = load4(a, i, step)
        x = there[0] + x[0], there[1] + x[1], there[2] + x[2], there[3] + x[3]
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
def transform_products(m, m0, m_position, y, y0, y_row, y_pixel, F16, accumulate):
    """Write the 4×4 outputs y = Aᵀ M A at y[y0], or add them to what is there."""
    m_row = 6 * m_position
    for f in range(0, F16, LANES):
        i, o = m0 + f, y0 + f
        t0 = output_transform(load6(m, i, m_row))
        t1 = output_transform(load6(m, i + m_position, m_row))
        t2 = output_transform(load6(m, i + 2 * m_position, m_row))
        t3 = output_transform(load6(m, i + 3 * m_position, m_row))
        t4 = output_transform(load6(m, i + 4 * m_position, m_row))
        t5 = output_transform(load6(m, i + 5 * m_position, m_row))
        put4(y, o, y_pixel, output_transform((t0[0], t1[0], t2[0], t3[0], t4[0], t5[0])), accumulate)
        put4(y, o + y_row, y_pixel, output_transform((t0[1], t1[1], t2[1], t3[1], t4[1], t5[1])), accumulate)
        put4(y, o + 2 * y_row, y_pixel, output_transform((t0[2], t1[2], t2[2], t3[2], t4[2], t5[2])), accumulate)
        put4(y, o + 3 * y_row, y_pixel, output_transform((t0[3], t1[3], t2[3], t3[3], t4[3], t5[3])), accumulate)


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


# Filters


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


@helper
def transform_filter_gradient(u, u0, u_position, g, g0, g_tap):
    """Write Gᵀ dU G of sixteen filters, tap t to g[g0 + t·g_tap]."""
    u_row = 6 * u_position
    t0 = filter_gradient_transform(load6(u, u0, u_row))
    t1 = filter_gradient_transform(load6(u, u0 + u_position, u_row))
    t2 = filter_gradient_transform(load6(u, u0 + 2 * u_position, u_row))
    t3 = filter_gradient_transform(load6(u, u0 + 3 * u_position, u_row))
    t4 = filter_gradient_transform(load6(u, u0 + 4 * u_position, u_row))
    t5 = filter_gradient_transform(load6(u, u0 + 5 * u_position, u_row))
    store3(g, g0, g_tap, filter_gradient_transform((t0[0], t1[0], t2[0], t3[0], t4[0], t5[0])))
    store3(g, g0 + 3 * g_tap, g_tap, filter_gradient_transform((t0[1], t1[1], t2[1], t3[1], t4[1], t5[1])))
    store3(g, g0 + 6 * g_tap, g_tap, filter_gradient_transform((t0[2], t1[2], t2[2], t3[2], t4[2], t5[2])))


@helper
def store3(a, i, step, x):
    store(a, i, x[0])
    store(a, i + step, x[1])
    store(a, i + 2 * step, x[2])
