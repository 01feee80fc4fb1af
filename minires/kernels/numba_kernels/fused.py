"""Convolution, batch norm, the residual add and relu in one call, and blocks of them: which way each is computed.

z = conv(x)      y = max((z − mean) · scale + bias [+ shortcut], 0)          scale = weight / √(var + eps)

3×3, stride 1        layer_forward.py and layer_backward.py, also two layers at once: the usual residual block;
                     in inference the filters are multiplied by scale, and the outputs finished in the cache
a network's first    backward needs no dL/dx, and dL/dz is made on the way to dL/dfilters
everything else      the passes of the single kernels, one after the other
"""

from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.kernels.blocks import Layer, Saved, block_backward, block_forward
from minires.kernels.numba_kernels import convolution, normalization
from minires.kernels.numba_kernels.convolution import EMPTY, Pair, conv2d_forward, conv2d_grad_input, conv2d_grad_weight
from minires.kernels.numba_kernels.epilogue import ADD_RELU, RELU
from minires.kernels.numba_kernels.gradient_sums import BY_FORMULA
from minires.kernels.numba_kernels.layer_backward import winograd_layers_backward
from minires.kernels.numba_kernels.layer_forward import winograd_layers_forward
from minires.kernels.numba_kernels.layout import contiguous, empty_like, flat, in_order, nhwc_empty
from minires.kernels.numba_kernels.machine.compilation import COMPILED
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.machine.threads import CHUNKS
from minires.kernels.numba_kernels.normalization_passes import block_pixels
from minires.kernels.numba_kernels.shortcut import add_in_place, add_option_a_backward, option_a_forward

TOGETHER = 1 << 12  # C·F up to which one pass makes both gradients: above, the sums of dL/dU leave the cache

NO_LAYER_FORWARD = [EMPTY] * 8
NO_LAYER_BACKWARD = [EMPTY] * 11


def conv2d_batch_norm_relu_forward(
    x: Array,
    filters: Array,
    weight: Array,
    bias: Array,
    shortcut: Array | None,
    stride: Pair,
    padding: Pair,
    eps: float,
) -> tuple[Array, Array, Array, Array]:
    """Return y = max(batch norm of z [+ shortcut], 0), z = the convolution of x, and z's mean (F,) and var (F,)."""
    if x.dtype.char not in COMPILED:
        given = x, filters, weight, bias, shortcut, stride, padding, eps
        return numpy_kernels.conv2d_batch_norm_relu_forward(*given)
    F, C = filters.shape[:2]
    if C * F <= convolution.MANY_FILTERS and takes_winograd(x, filters, stride, padding):
        I, J = numpy_kernels.output_size(x.shape, (3, 3), stride, padding)
        sizes = sizes_forward(x, F, I, J, padding)
        arrays, z, mean, var = layer_forward(filters, weight, bias, sizes)
        y = nhwc_empty(x.shape[0], F, I, J, x.dtype)
        images = flat(x), EMPTY if shortcut is None else flat(shortcut), flat(y), EMPTY
        options = eps, eps, sizes, sizes, False, shortcut is not None
        winograd_layers_forward(*images, *NO_LAYER_FORWARD, *arrays, *options)
        return y, z, mean, var
    z = conv2d_forward(x, filters, None, stride, padding)
    mean, var = normalization.statistics_of(z)
    return normalization.apply(z, shortcut, weight, bias, mean, var, eps, relu=True), z, mean, var


def conv2d_batch_norm_relu_inference(
    x: Array,
    filters: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    shortcut: Array | None,
    stride: Pair,
    padding: Pair,
    eps: float,
) -> Array:
    """Return max(batch norm by a given mean and variance of the convolution of x [+ shortcut], 0)."""
    if x.dtype.char not in COMPILED:
        given = x, filters, weight, bias, mean, var, shortcut, stride, padding, eps
        return numpy_kernels.conv2d_batch_norm_relu_inference(*given)
    if not takes_winograd(x, filters, stride, padding):
        z = conv2d_forward(x, filters, None, stride, padding)
        return normalization.apply(z, shortcut, weight, bias, mean, var, eps, relu=True)
    I, J = numpy_kernels.output_size(x.shape, (3, 3), stride, padding)
    scale = weight / np.sqrt(var + eps)
    scaled, moved = filters * scale.reshape(-1, 1, 1, 1), bias - mean * scale
    then, added = (RELU, EMPTY) if shortcut is None else (ADD_RELU, flat(shortcut))
    return convolution.winograd_convolution(x, scaled, I, J, padding, False, then, moved, added)


def conv2d_batch_norm_relu_backward(
    grad_y: Array,
    y: Array,
    z: Array,
    x: Array,
    filters: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    stride: Pair,
    padding: Pair,
    eps: float,
    with_x: bool,
    with_shortcut: bool,
    residual: Array | None,
) -> tuple[Array | None, Array, Array, Array, Array | None]:
    """Return dL/dx, dL/dfilters, dL/dweight, dL/dbias, dL/dshortcut; None for what is not wanted.

    residual: a gradient that is added to dL/dx, and given up to it: dL/dx may be written in its place.
    """
    if x.dtype.char not in COMPILED:
        given = grad_y, y, z, x, filters, weight, bias, mean, var, stride, padding, eps, with_x, with_shortcut, residual
        return numpy_kernels.conv2d_batch_norm_relu_backward(*given)
    F = filters.shape[0]
    g = empty_like(z) if with_shortcut else None
    if F % LANES == 0 and stride == (1, 1) and padding == (1, 1) and together(x, filters):
        sizes = sizes_backward(x, F)
        arrays, grads = layer_backward(z, filters, weight, bias, mean, var, CHUNKS, with_x, sizes)
        grad_x = residual if residual is not None and in_order(residual) else empty_like(x)
        if residual is not None and grad_x is not residual:
            grad_x[...] = residual
        images = flat(grad_y), flat(y), EMPTY if g is None else flat(g), flat(x), flat(grad_x), EMPTY
        options = eps, eps, sizes, False, with_shortcut, with_x, residual is not None
        winograd_layers_backward(*images, *NO_LAYER_BACKWARD, *arrays, *options)
        return grad_x if with_x else None, *grads, g
    if F % LANES == 0 and not with_x and not with_shortcut and convolution.is_fast(x, filters):
        norm = weight, bias, mean, var, eps, None, BY_FORMULA
        constants, grad_weight, grad_bias = normalization.gradient_constants(grad_y, None, z, *norm)
        behind = z, constants, True
        grad_filters = convolution.direct_grad_weight(grad_y, x, filters.shape, stride, padding, *behind)
        return None, grad_filters, grad_weight, grad_bias, None
    grad_z = empty_like(z)
    masked = grad_z if g is None else g
    grad_weight, grad_bias = normalization.backward(grad_y, y, z, weight, mean, var, eps, masked, grad_z)
    grad_filters = conv2d_grad_weight(grad_z, x, filters.shape, stride, padding)
    if not with_x:
        return None, grad_filters, grad_weight, grad_bias, g
    grad_x = conv2d_grad_input(grad_z, filters, x.shape, stride, padding)
    if residual is not None:
        add_in_place(flat(grad_x), flat(residual))
    return grad_x, grad_filters, grad_weight, grad_bias, g


def residual_block_forward(
    x: Array, layers: list[Layer], strides: tuple[int, ...], eps: tuple[float, ...]
) -> tuple[Array, list[Saved]]:
    """Return the output of a residual block with a shortcut that has no parameters, and what backward needs.

    The usual block of two 3×3 layers is one kernel, which does not store the activation between them.
    """
    C, filters = x.shape[1], [layer[0] for layer in layers]
    usual = strides == (1, 1) and all(one.shape == (C, C, 3, 3) for one in filters) and C % LANES == 0
    if not (usual and together(x, *filters)):
        return block_forward(conv2d_batch_norm_relu_forward, option_a_forward, x, layers, strides, eps)
    sizes = sizes_forward(x, C, x.shape[2], x.shape[3], (1, 1))
    arrays1, z1, mean1, var1 = layer_forward(*layers[0], sizes)
    arrays2, z2, mean2, var2 = layer_forward(*layers[1], sizes)
    y = empty_like(x)
    winograd_layers_forward(flat(x), flat(x), flat(y), EMPTY, *arrays1, *arrays2, *eps, sizes, sizes, True, True)
    return y, [(None, z1, x, mean1, var1), (y, z2, None, mean2, var2)]


def residual_block_backward(
    grad_y: Array,
    saved: list[Saved],
    layers: list[Layer],
    strides: tuple[int, ...],
    eps: tuple[float, ...],
    with_x: bool,
) -> tuple[Array | None, list[Layer]]:
    """Return dL/dx, None if it is not wanted, and the gradients of each layer's filters, weight and bias."""
    if saved[0][0] is not None:  # an activation was stored: forward took the layers one by one
        chain = conv2d_batch_norm_relu_backward, add_option_a_backward
        return block_backward(*chain, grad_y, saved, layers, strides, eps, with_x)
    (_, z1, x, mean1, var1), (y, z2, _, mean2, var2) = saved
    assert x is not None and y is not None
    sizes = sizes_backward(x, x.shape[1])
    arrays1, grads1 = layer_backward(z1, *layers[0], mean1, var1, sizes[6], with_x, sizes)
    arrays2, grads2 = layer_backward(z2, *layers[1], mean2, var2, CHUNKS, True, sizes)
    grad_x, between = empty_like(x), empty_like(x)  # grad_x holds dL/dshortcut first, and the branch's is added to it
    images = flat(grad_y), flat(y), flat(grad_x), flat(x), flat(grad_x), flat(between)
    winograd_layers_backward(*images, *arrays1, *arrays2, *eps, sizes, True, True, with_x, True)
    return grad_x if with_x else None, [grads1, grads2]


# What layer_forward.py and layer_backward.py are handed of a layer


def takes_winograd(x: Array, filters: Array, stride: Pair, padding: Pair) -> bool:
    """Say whether the convolution is one of winograd.py's."""
    I, J = numpy_kernels.output_size(x.shape, filters.shape[2:], stride, padding)
    return convolution.is_fast(x, filters) and convolution.winograd_pays(filters.shape, stride, I, J)


def together(x: Array, *filters: Array) -> bool:
    """Say whether one pass makes both gradients of these 3×3 convolutions with padding 1."""
    return all(one.size <= 9 * TOGETHER and takes_winograd(x, one, (1, 1), (1, 1)) for one in filters)


def sizes_forward(x: Array, F: int, I: int, J: int, padding: Pair) -> tuple[int, ...]:
    """Return N, H, W, C, F, I, J, the padding, how many strips are a group, and how many pixels a block."""
    N, C, H, W = x.shape
    group, _ = convolution.strips_together(N, C + F, False, I, J)
    return N, H, W, C, F, I, J, *padding, group, block_pixels(F)


def layer_forward(
    filters: Array, weight: Array, bias: Array, sizes: tuple[int, ...]
) -> tuple[list[Array], Array, Array, Array]:
    """Return the kernel's eight arrays of a layer, and among them its outputs z, their mean and their var."""
    N, _, _, C, F, I, J, _, _, group, _ = sizes
    groups = -(-N * -(-I // 4) // group)
    z, mean, var = nhwc_empty(N, F, I, J, filters.dtype), np.empty(F, np.float32), np.empty(F, np.float32)
    u = np.empty(36 * convolution.panels_of(F) * LANES * C, np.float32)
    statistics = np.empty(groups * (1 + 2 * F), np.float32)
    whole = convolution.whole_panels(filters, 0)
    return [whole, u, flat(z), statistics, mean, var, contiguous(weight), contiguous(bias)], z, mean, var


def sizes_backward(x: Array, F: int) -> tuple[int, ...]:
    """Return N, H, W, C, F, how many strips are a group, and in how many shares dL/dU is summed."""
    N, C, H, W = x.shape
    group, groups = convolution.strips_together(N, C + 2 * F, False, H, W)
    shares, _ = convolution.shares_and_parts(convolution.sum_of_products(C, F), F // LANES, groups)
    return N, H, W, C, F, group, shares


def layer_backward(
    z: Array,
    filters: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    parts: int,
    with_x: bool,
    sizes: tuple[int, ...],
) -> tuple[list[Array], Any]:
    """Return the kernel's eleven arrays of a layer, and among them its gradients. parts: of the sums of the norm."""
    C, F, shares = sizes[3], sizes[4], sizes[6]
    grad_filters, grad_norm = np.empty(filters.shape, np.float32), np.empty((2, F), np.float32)
    u = np.empty(36 * convolution.panels_of(C) * LANES * F if with_x else 0, np.float32)
    sums = np.empty(2 * parts * F, np.float32)
    grad_u = np.empty(shares * convolution.sum_of_products(C, F), np.float32)
    norm = contiguous(weight), contiguous(bias), contiguous(mean), contiguous(var)
    made = grad_filters.reshape(-1), grad_norm.reshape(-1)
    arrays = [flat(z), convolution.whole_panels(filters, 1), u, *norm, sums, grad_u, *made]
    return arrays, (grad_filters, *grad_norm)
