"""A layer's backward pass as one kernel: relu, batch norm and 3×3 convolution, with one look at the gradient for both.

    phase           what threads claim                                        memory
    two sums        shares: Σ g and Σ g · (z − mean) (gradient_sums.py)       reads dL/dy, z [, y; writes g]
    dL/dx, dL/dU    shares of the images                                      reads g, z, x, writes dL/dx
    dL/dfilters     channels: the sum of the shares' Gᵀ dL/dU G               stays in the cache

g is dL/dy behind relu's mask. The gradient at z is a formula of it, so it is never stored (prologue.py):

        g, z ────▶ dz, six rows at a time ──┬──▶ V = Bᵀ dz B ──▶ M[p] = V[p] @ U[p] ──▶ dL/dx = Aᵀ M A
       (N, H, W, F)    in the cache         └──▶ Z = A dz Aᵀ ─┐
        x ───────────────────────────────────▶ V' = Bᵀ x B  ──┴▶ dL/dU[p] += V'[p]ᵀ @ Z[p]

The strips of both halves are the same where padding is 1. In a block of two layers x of the second is made from the
first one's z, and the first one's sums are taken of dL/dx while it is in the cache. So are, where that is asked for,
those of the layer that made the block's x, in the order in which it would take them: its own backward pass then leaves
out the first phase, and has the same numbers. `winograd.py` explains the rest.

Why it is fast: one after the other, the passes of relu, batch norm and both gradients would write g and dz once and
read each of them twice.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from minires.kernels.numba_kernels.gradient_sums import BY_FORMULA, BY_FORMULA_KEPT, BY_Y, sum_pixels
from minires.kernels.numba_kernels.layer_forward import scale_of
from minires.kernels.numba_kernels.machine.compilation import FLOATS, array_helper, kernel, record, section
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.machine.threads import claim, complete, phase, wait
from minires.kernels.numba_kernels.machine.tile import fits_in_place, product
from minires.kernels.numba_kernels.normalization_passes import gradients_from_sums
from minires.kernels.numba_kernels.padding import copy_numbers, prefetch_part, scratch, write_zeros
from minires.kernels.numba_kernels.prologue import gradient_window
from minires.kernels.numba_kernels.winograd import (
    SIZES,
    first_of_share,
    place_of,
    sum_of_shares,
    transform_all_filters,
    transform_inputs,
    transform_outputs,
    transform_share,
)
from minires.kernels.numba_kernels.winograd_transforms import transform_output_gradient, transform_patch


class BackwardLayer(NamedTuple):
    """The arrays of a layer: z, its filters (F, C16, 3, 3), C16 being C and zeros up to a multiple of 16, its norm, and
    room for what is made of them; grad_norm is dL/dweight and dL/dbias."""

    z: np.ndarray
    filters: np.ndarray
    u: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    sums: np.ndarray
    grad_shares: np.ndarray
    grad_filters: np.ndarray
    grad_norm: np.ndarray


class Images(NamedTuple):
    """The arrays of activations and their gradients. masked: dL/dshortcut, where relu's mask comes from y. between: the
    gradient behind the first layer's relu, of which its sums (shares, 2, C) are taken."""

    y: np.ndarray
    masked: np.ndarray
    x: np.ndarray
    grad_x: np.ndarray
    between: np.ndarray


class LayerBefore(NamedTuple):
    """Of the layer whose relu made x: z and its mean, and room for its sums, (shares, 2, C), which are taken of dL/dx
    behind that relu, what dL/dx then is; all empty where that is not wanted."""

    z: np.ndarray
    mean: np.ndarray
    sums: np.ndarray


class Wanted(NamedTuple):
    """sums_ready: the second layer's are there, and grad_y is behind relu's mask. mask_from_y: the mask comes from y,
    not from the formula. add_to_grad_x: dL/dx is added to what is there."""

    both_layers: bool
    sums_ready: bool
    mask_from_y: bool
    with_x: bool
    add_to_grad_x: bool


class Path(NamedTuple):
    """One layer's way back: from the gradient g behind its outputs z to that of its input x.

    constants: the norm's, see `constants_of`. input_norm: empty, or mean, scale and bias of the norm with relu that x
    still has to go through; then dL/dx is taken behind its relu, and its sums (shares, 2, C) are made.
    """

    g: np.ndarray
    z: np.ndarray
    constants: np.ndarray
    u: np.ndarray
    grad_shares: np.ndarray
    x: np.ndarray
    input_norm: np.ndarray
    grad_x: np.ndarray
    input_sums: np.ndarray


@kernel(
    types.void(
        FLOATS, record(Images, FLOATS), *[record(BackwardLayer, FLOATS)] * 2, record(LayerBefore, FLOATS), SIZES,
        types.int64, types.UniTuple(types.float64, 2), record(Wanted, types.boolean), types.int64[::1],
    ),
    dtypes=("float32",),
)  # fmt: skip
def winograd_layers_backward(grad_y, images, first, second, before, sizes, sum_group, eps, wanted, counter):
    """Write all gradients of two layers, or of the second alone where `both_layers` is false.

    F, of two layers C too, is a multiple of 16. sum_group: how many strips the second layer's sums are taken of at a
    time; their number of shares is that for which there is room.
    """
    y, masked, x, grad_x, between = images
    both_layers, sums_ready, mask_from_y, with_x, add_to_grad_x = wanted
    shares, sum_shares = sizes.parts, second.sums.size // (2 * sizes.F)
    C, F, pixels, empty = sizes.C, sizes.F, sizes.N * sizes.H * sizes.W, x[:0]
    nothing = LayerBefore(empty, empty, empty)
    constants2 = constants_of(second.mean, second.var, second.weight, second.bias, eps[1])
    if not sums_ready:
        relu, summing = BY_Y if mask_from_y else BY_FORMULA, phase(counter, 6)
        sums_of_shares(grad_y, y, masked, second, constants2, sizes, sum_group, relu, summing)
        wait(summing, sum_shares)
    factors_of(second, sum_shares, eps[1], constants2, pixels)
    constants1 = constants_of(first.mean, first.var, first.weight, first.bias, eps[0])

    # the last layer first
    g = masked if mask_from_y and not sums_ready else grad_y
    path = Path(g, second.z, constants2, second.u, second.grad_shares, x, empty, grad_x, empty)
    if both_layers:
        of_first = first.z, constants1[3 * C :], between, first.sums
        path = Path(g, second.z, constants2, second.u, second.grad_shares, *of_first)
    formula, with_target = not mask_from_y and not sums_ready, with_x or both_layers
    add_to, layer_before = add_to_grad_x and not both_layers, nothing if both_layers else before
    for step in range(2 if both_layers else 1):
        layer = second if step == 0 else first
        if step == 1:
            factors_of(first, shares, eps[0], constants1, pixels)
            path = Path(between, first.z, constants1, first.u, first.grad_shares, x, empty, grad_x, empty)
            formula, with_target, add_to, layer_before = False, with_x, add_to_grad_x, before
        transforming = phase(counter, 3 * step)
        if with_target:
            C16 = (C + LANES - 1) // LANES * LANES
            transform_all_filters(layer.filters, layer.u, C16, F, True, transforming)
            wait(transforming, C16 // LANES)
        backward_shares(path, layer_before, sizes, formula, with_target, add_to, phase(counter, 3 * step + 1))
        sum_of_shares(layer.grad_shares, layer.grad_filters, F, C, shares, phase(counter, 3 * step + 2))


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
def factors_of(layer, parts, eps, constants, pixels):
    """Write the factors, dL/dweight and dL/dbias. Every thread writes the same numbers."""
    F = layer.var.size
    inv_std = np.empty(F, np.float32)
    for f in range(F):
        inv_std[f] = 1 / np.sqrt(np.float64(layer.var[f]) + eps)
    factors, grad_weight, grad_bias = constants[: 3 * F], layer.grad_norm[:F], layer.grad_norm[F:]
    gradients_from_sums(layer.sums, parts, inv_std, layer.weight, factors, grad_weight, grad_bias, pixels)


@section
def sums_of_shares(grad_y, y, masked, layer, constants, sizes, group, relu, counter):
    """Write the sums of a layer's outputs, share by share, as threads claim them."""
    F, shares = sizes.F, layer.sums.size // (2 * sizes.F)
    z, sums, mean, scale, bias = layer.z, layer.sums, layer.mean, constants[4 * F : 5 * F], layer.bias
    strips = sizes.N * ((sizes.H + 3) // 4)
    groups = (strips + group - 1) // group
    share = claim(counter)
    while share < shares:
        write_zeros(sums, 2 * share * F, 2 * F)
        for number in range(first_of_share(share, groups, shares), first_of_share(share + 1, groups, shares)):
            start, end = number * group, min(number * group + group, strips)
            p0, p1 = place_of(start, sizes.H, sizes.H, sizes.W, 0), place_of(end, sizes.H, sizes.H, sizes.W, 0)
            sum_pixels(grad_y, y, z, masked, p0, p1, mean, scale, bias, sums, 2 * share * F, relu)
        complete(counter)
        share = claim(counter)


@section
def backward_shares(path, before, sizes, masked, with_x, add_to_grad_x, counter):
    """Write dL/dx and Gᵀ dL/dU G, share by share, as threads claim them; return when all of them are done."""
    shares = sizes.parts
    share = claim(counter)
    while share < shares:
        backward_share(share, path, before, sizes, masked, with_x, add_to_grad_x)
        complete(counter)
        share = claim(counter)
    wait(counter, shares)


@section
def backward_share(share, path, before, sizes, masked, with_x, add_to_grad_x):
    """u: U of the flipped filters. dL/dU, (C, 36·F + 16), is the thread's own."""
    g, z, constants, u, grad_shares, x, input_norm, grad_x, input_sums = path
    N, H, W, C, F, _, _, _, _, group, shares = sizes
    strips, tiles, C16 = N * ((H + 3) // 4), (W + 3) // 4, (C + 15) // LANES * LANES
    groups, u_row = (strips + group - 1) // group, 36 * F + LANES
    x_position, z_position = group * tiles * C16 + LANES, group * tiles * F + LANES  # not a power of two apart
    v_x, v, z_tiles = scratch(36 * x_position), scratch(36 * z_position), scratch(36 * z_position)
    grad_u = scratch(C * u_row)
    window, patch = scratch(6 * (4 * tiles + 2) * max(C16, F)), scratch(16 * C16)
    first, last = first_of_share(share, groups, shares), first_of_share(share + 1, groups, shares)
    if input_norm.size > 0:
        write_zeros(input_sums, 2 * share * C, 2 * C)
    if before.z.size > 0:
        write_zeros(before.sums, 2 * share * C, 2 * C)
    for number in range(first, last):
        start, end = number * group, min(number * group + group, strips)
        next_end = min(end + group, strips)
        transform_inputs(x, input_norm, start, end, sizes, v_x, x_position, window)
        transform_gradients(start, end, (g, z, constants, masked), H, W, F, window, v, z_tiles, z_position, with_x)
        T, accumulate = (end - start) * tiles, number > first
        p0, p1, p2 = place_of(start, H, H, W, 0), place_of(end, H, H, W, 0), place_of(next_end, H, H, W, 0)
        for p in range(36):
            prefetch_part(x, p1 * C, p2 * C, p, 36, False)
            prefetch_part(g, p1 * F, p2 * F, p, 36, False)
            prefetch_part(z, p1 * F, p2 * F, p, 36, False)
            u0, x0, z0 = p * F, p * x_position, p * z_position
            product(grad_u, u0, u_row, v_x, x0, 1, 0, C16, z_tiles, z0, C, F, 1, T, accumulate)
        if with_x:
            products = v_x
            if C16 == F and fits_in_place(T, C16, F):
                products = v  # half of the cache; V is not needed any more
            for p in range(36):
                prefetch_part(grad_x, p0 * C, p1 * C, p, 36, True)
                if before.z.size > 0:
                    prefetch_part(before.z, p0 * C, p1 * C, p, 36, False)
                m0, u0 = p * x_position, p * C16 * F
                product(products, m0, C16, v, p * z_position, F, 0, 1, u, u0, T, C16, 1, F, False)
            transform_outputs(products, x_position, start, end, H, W, C, 0, C16, grad_x, patch, add_to_grad_x)
        if input_norm.size > 0:
            mean, scale, bias = input_norm[:C], input_norm[C : 2 * C], input_norm[2 * C :]
            kept = BY_FORMULA_KEPT
            sum_pixels(grad_x, grad_x, x, grad_x, p0, p1, mean, scale, bias, input_sums, 2 * share * C, kept)
        if before.z.size > 0:
            mean, none = before.mean, before.mean
            sum_pixels(grad_x, x, before.z, grad_x, p0, p1, mean, none, none, before.sums, 2 * share * C, BY_Y)
    transform_share(grad_u, C, F, grad_shares, share * 9 * C * F, F)


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
