"""A layer's backward pass as one kernel: relu, batch norm and 3×3 convolution, with one look at the gradient for both.

    phase           what threads claim                                        memory
    two sums        chunks: Σ g and Σ g · (z − mean) (gradient_sums.py)       reads dL/dy, z [, y; writes g]
    dL/dx, dL/dU    shares of the images                                      reads g, z, x, writes dL/dx
    dL/dfilters     channels: Gᵀ dL/dU G of the sum of the shares             stays in the cache

g is dL/dy behind relu's mask. The gradient at z is a formula of it, so it is never stored (prologue.py):

        g, z ────▶ dz, six rows at a time ──┬──▶ V = Bᵀ dz B ──▶ M[p] = V[p] @ U[p] ──▶ dL/dx = Aᵀ M A
       (N, H, W, F)    in the cache         └──▶ Z = A dz Aᵀ ─┐
        x ───────────────────────────────────▶ V' = Bᵀ x B  ──┴▶ dL/dU[p] += V'[p]ᵀ @ Z[p]

The strips of both halves are the same where padding is 1. In a block of two layers x of the second is made from the
first one's z, and the first one's sums are taken of dL/dx while it is in the cache. `winograd.py` explains the rest.

Why it is fast: one after the other, the passes of relu, batch norm and both gradients would write g and dz once and
read each of them twice.
"""

import numpy as np

from minires.kernels.numba_kernels.gradient_sums import BY_FORMULA, BY_FORMULA_KEPT, BY_Y, sum_chunks_by_16, sum_pixels
from minires.kernels.numba_kernels.layer_forward import ARRAYS, scale_of
from minires.kernels.numba_kernels.machine.compilation import array_helper, kernel, section
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.machine.threads import CHUNKS, claim, complete, phase, wait
from minires.kernels.numba_kernels.machine.tile import fits_in_place, product
from minires.kernels.numba_kernels.normalization_passes import gradients_from_sums
from minires.kernels.numba_kernels.padding import copy_numbers, prefetch_part, scratch, write_zeros
from minires.kernels.numba_kernels.prologue import gradient_window
from minires.kernels.numba_kernels.winograd import (
    filter_gradients,
    first_of_share,
    place_of,
    transform_all_filters,
    transform_inputs,
    transform_outputs,
)
from minires.kernels.numba_kernels.winograd_transforms import transform_output_gradient, transform_patch


@kernel(
    f"void({ARRAYS}, {ARRAYS}, {ARRAYS}, {ARRAYS}, {ARRAYS}, {ARRAYS}, {ARRAYS}, float64, float64, UniTuple(int64, 7), "
    "boolean, boolean, boolean, boolean, int64[::1])",
    dtypes=("float32",),
)
def winograd_layers_backward(
    grad_y, y, masked, x, grad_x, between,
    z1, filters1, u1, weight1, bias1, mean1, var1, sums1, grad_u1, grad_filters1, grad_norm1,
    z2, filters2, u2, weight2, bias2, mean2, var2, sums2, grad_u2, grad_filters2, grad_norm2,
    eps1, eps2, sizes, both_layers, mask_from_y, with_x, add_to_grad_x, counter,
):  # fmt: skip
    """Write all gradients of two layers, or of the second alone where `both_layers` is false.

    F, of two layers C too, is a multiple of 16. filters: (F, C16, 3, 3), C16 being C and zeros up to a multiple of 16;
    grad_norm: dL/dweight and dL/dbias. mask_from_y: relu's mask comes from y, and `masked` is dL/dshortcut; else it
    comes from the formula. between: the gradient behind the first layer's relu, of which sums1 (shares, 2, C) are
    taken. add_to_grad_x: dL/dx is added to what is in grad_x.
    """
    N, H, W, C, F, _, shares = sizes
    C16, pixels, empty = (C + LANES - 1) // LANES * LANES, N * H * W, between[:0]
    constants2 = constants_of(mean2, var2, weight2, bias2, eps2)
    scale2, relu, summing = constants2[4 * F : 5 * F], BY_Y if mask_from_y else BY_FORMULA, phase(counter, 6)
    sum_chunks_by_16(grad_y, y, z2, masked, mean2, scale2, bias2, sums2, pixels, relu, summing)
    wait(summing, CHUNKS)
    factors_of(sums2, CHUNKS, var2, weight2, eps2, constants2, grad_norm2, pixels)
    constants1 = constants_of(mean1, var1, weight1, bias1, eps1)

    # the last layer first: its gradient g, its z and constants, its input and the norm before it, and where dL/dx goes
    g, formula = masked if mask_from_y else grad_y, not mask_from_y
    z, constants, filters, u, grad_u, grad_filters = z2, constants2, filters2, u2, grad_u2, grad_filters2
    source, input_norm, sums, target, wanted, add_to_target = x, empty, empty, grad_x, with_x, add_to_grad_x
    if both_layers:
        source, input_norm, sums, target, wanted, add_to_target = z1, constants1[3 * C :], sums1, between, True, False
    for step in range(2 if both_layers else 1):
        if step == 1:
            factors_of(sums1, shares, var1, weight1, eps1, constants1, grad_norm1, pixels)
            g, formula = between, False
            z, constants, filters, u, grad_u, grad_filters = z1, constants1, filters1, u1, grad_u1, grad_filters1
            source, input_norm, sums, target, wanted, add_to_target = x, empty, empty, grad_x, with_x, add_to_grad_x
        first = phase(counter, 3 * step)
        if wanted:
            transform_all_filters(filters, u, C16, F, True, first)
            wait(first, C16 // LANES)
        second = phase(counter, 3 * step + 1)
        backward_shares(
            source, input_norm, g, z, u, constants, formula, grad_u, target, sums, sizes, wanted, add_to_target, second
        )
        filter_gradients(grad_u, grad_filters, F, C, shares, phase(counter, 3 * step + 2))


@array_helper
def constants_of(mean, var, weight, bias, eps):
    """Return a norm's constants: room for three factors, mean, scale and bias, one number a channel each."""
    F = mean.size
    constants = np.empty(6 * F, np.float32)
    copy_numbers(mean, 0, constants, 3 * F, F)
    scale_of(weight, var, eps, constants[4 * F : 5 * F])
    copy_numbers(bias, 0, constants, 5 * F, F)
    return constants


@array_helper
def factors_of(sums, parts, var, weight, eps, constants, grad_norm, pixels):
    """Write the factors, dL/dweight and dL/dbias. Every thread writes the same numbers."""
    F = var.size
    inv_std = np.empty(F, np.float32)
    for f in range(F):
        inv_std[f] = 1 / np.sqrt(np.float64(var[f]) + eps)
    gradients_from_sums(sums, parts, inv_std, weight, constants[: 3 * F], grad_norm[:F], grad_norm[F:], pixels)


@section
def backward_shares(
    x, input_norm, g, z, u, constants, masked, grad_u, grad_x, input_sums, sizes, with_x, add_to_grad_x, counter
):
    """Write dL/dx and dL/dU, share by share, as threads claim them; return when all of them are done."""
    shares = sizes[6]
    share = claim(counter)
    while share < shares:
        backward_share(
            share, x, input_norm, g, z, u, constants, masked, grad_u, grad_x, input_sums, sizes, with_x, add_to_grad_x
        )
        complete(counter)
        share = claim(counter)
    wait(counter, shares)


@section
def backward_share(
    share, x, input_norm, g, z, u, constants, masked, grad_u, grad_x, input_sums, sizes, with_x, add_to_grad_x
):
    """u: U of the flipped filters; dL/dU is (shares, C, 36·F + 16). input_norm: empty, or mean, scale and bias of a
    norm with relu that x still has to go through; then dL/dx is taken behind its relu, and its sums (shares, 2, C) are
    made."""
    N, H, W, C, F, group, shares = sizes
    strips, tiles, C16 = N * ((H + 3) // 4), (W + 3) // 4, (C + 15) // LANES * LANES
    groups, u_row = (strips + group - 1) // group, 36 * F + LANES
    x_position, z_position = group * tiles * C16 + LANES, group * tiles * F + LANES  # not a power of two apart
    v_x, v, z_tiles = scratch(36 * x_position), scratch(36 * z_position), scratch(36 * z_position)
    window, patch = scratch(6 * (4 * tiles + 2) * max(C16, F)), scratch(16 * C16)
    first, last = first_of_share(share, groups, shares), first_of_share(share + 1, groups, shares)
    if input_norm.size > 0:
        write_zeros(input_sums, 2 * share * C, 2 * C)
    for number in range(first, last):
        start, end = number * group, min(number * group + group, strips)
        next_end = min(end + group, strips)
        transform_inputs(x, input_norm, start, end, H, W, C, H, W, 1, 1, v_x, x_position, window)
        transform_gradients(start, end, (g, z, constants, masked), H, W, F, window, v, z_tiles, z_position, with_x)
        T, accumulate = (end - start) * tiles, number > first
        p0, p1, p2 = place_of(start, H, H, W, 0), place_of(end, H, H, W, 0), place_of(next_end, H, H, W, 0)
        for p in range(36):
            prefetch_part(x, p1 * C, p2 * C, p, 36, False)
            prefetch_part(g, p1 * F, p2 * F, p, 36, False)
            prefetch_part(z, p1 * F, p2 * F, p, 36, False)
            u0 = share * C * u_row + p * F
            product(grad_u, u0, u_row, v_x, p * x_position, 1, 0, C16, z_tiles, p * z_position, C, F, 1, T, accumulate)
        if with_x:
            products = v_x
            if C16 == F and fits_in_place(T, C16, F):
                products = v  # half of the cache; V is not needed any more
            for p in range(36):
                prefetch_part(grad_x, p0 * C, p1 * C, p, 36, True)
                m0, u0 = p * x_position, p * C16 * F
                product(products, m0, C16, v, p * z_position, F, 0, 1, u, u0, T, C16, 1, F, False)
            transform_outputs(products, x_position, start, end, H, W, C, 0, C16, grad_x, patch, add_to_grad_x)
        if input_norm.size > 0:
            mean, scale, bias = input_norm[:C], input_norm[C : 2 * C], input_norm[2 * C :]
            kept = BY_FORMULA_KEPT
            sum_pixels(grad_x, grad_x, x, grad_x, p0, p1, mean, scale, bias, input_sums, 2 * share * C, kept)


@section
def transform_gradients(first, last, sources, H, W, F, window, v, z_tiles, position, with_v):
    """Write Z of every tile of a group, and V if it is asked for."""
    strips, tiles = (H + 3) // 4, (W + 3) // 4
    columns, z_panel = (4 * tiles + 2) * F, (last - first) * tiles * LANES
    for strip in range(first, last):
        continued = strip > first and strip % strips != 0
        gradient_window(strip, continued, sources, H, W, F, tiles, window)
        for tile in range(tiles):
            t, i = (strip - first) * tiles + tile, tile * 4 * F
            if with_v:
                transform_patch(window, i, columns, F, v, t * F, position, F)
            inside = i + columns + F  # without the border of one pixel
            transform_output_gradient(window, inside, columns, F, z_tiles, t * LANES, z_panel, position, F)
