"""A chain of layers, each convolution, batch norm and relu, with a shortcut before the last relu: which way each goes.

z = conv(x)      y = max((z − mean) · scale + bias [+ shortcut], 0)          scale = weight / √(var + eps)

3×3, stride 1        layer_forward.py and layer_backward.py, also two layers at once: the usual residual block;
                     with the norm folded into the filters outputs are finished in the cache (epilogue.py)
a network's first    backward needs no dL/dx, and dL/dz is made on the way to dL/dfilters
everything else      the passes of the single kernels, one after the other
"""

from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.kernels.chain import Gradients, Layer, SavedLayer, Skip, total_stride
from minires.kernels.numba_kernels import convolution, normalization
from minires.kernels.numba_kernels import shortcut as option_a
from minires.kernels.numba_kernels.convolution import (
    EMPTY,
    Epilogue,
    conv2d_forward,
    conv2d_grad_input,
    conv2d_grad_weight,
)
from minires.kernels.numba_kernels.epilogue import ADD_RELU, RELU
from minires.kernels.numba_kernels.gradient_sums import BY_FORMULA
from minires.kernels.numba_kernels.layer_backward import (
    BackwardLayer,
    Images,
    LayerBefore,
    Wanted,
    winograd_layers_backward,
)
from minires.kernels.numba_kernels.layer_forward import ForwardLayer, winograd_layers_forward
from minires.kernels.numba_kernels.layout import contiguous, empty_like, flat, in_order, nhwc_empty
from minires.kernels.numba_kernels.machine import ahead
from minires.kernels.numba_kernels.machine.compilation import COMPILED
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.normalization_passes import block_pixels
from minires.kernels.numba_kernels.winograd import Sizes

NO_LAYER = LayerBefore(EMPTY, EMPTY, EMPTY)
TOGETHER = 1 << 12  # C·F up to which one pass makes both gradients: above, the sums of dL/dU leave the cache


def chain_forward(x: Array, layers: list[Layer], shortcut: Array | Skip) -> tuple[Array, list[SavedLayer]]:
    """Return y = relu(norm(conv(… relu(norm(conv(x))) …)) + shortcut), and what backward needs of each layer.

    The usual block of two 3×3 layers is one kernel, which does not store the activation between them. Of a layer whose
    norm is folded into its filters, relu(conv + bias), nothing is kept.
    """
    if x.dtype.char not in COMPILED:
        return numpy_kernels.chain_forward(x, layers, shortcut)
    if layers[0].weight is not None and convolution.is_fast(x):
        ahead.expect(ahead.FUSED)
    if shortcut is Skip.IDENTITY and is_usual_block(x, layers):
        return usual_block_forward(x, layers)
    added = shortcut_of(x, layers, shortcut)
    y, saved = x, []
    for i, layer in enumerate(layers):
        before, shortcut_here = y, added if i == len(layers) - 1 else None
        if layer.weight is None:
            y = folded_layer(before, layer, shortcut_here)
        else:
            y, z, mean, var = layer_forward(before, layer, shortcut_here)
            saved.append(SavedLayer(before, z, mean, var, y))
    return y, saved


def chain_backward(
    grad_y: Array,
    saved: list[SavedLayer],
    layers: list[Layer],
    shortcut: Array | Skip,
    with_x: bool,
    before: SavedLayer | None = None,
) -> tuple[Array | None, list[Gradients], Array | None]:
    """Return dL/dx, None unless `with_x`; the gradients of each layer's filters, weight and bias; and dL/dshortcut
    where the shortcut is an array.

    before: what the chain that made x saved of its last layer, where dL/dx goes nowhere else. Then dL/dx may be that
    behind its relu, and the sums that it begins with may be in `before.grad_and_sums`: taken here, while dL/dx is in
    the cache. Its backward pass gives the same bits either way.
    """
    if grad_y.dtype.char not in COMPILED:
        return numpy_kernels.chain_backward(grad_y, saved, layers, shortcut, with_x)
    if saved[0].y is None:  # no activation was stored: forward took the usual block
        return *usual_block_backward(grad_y, saved, layers, with_x, before), None
    grad: Any = grad_y
    grads: list[Gradients] = []
    grad_shortcut: Any = None
    for i in range(len(layers) - 1, -1, -1):
        last, first = i == len(layers) - 1, i == 0
        residual = grad_shortcut if first and shortcut is Skip.IDENTITY else None
        wanted = not first or with_x, last and shortcut is not Skip.NOTHING
        grad, of_layer, masked = layer_backward(grad, saved[i], layers[i], *wanted, residual)
        grads.insert(0, of_layer)
        grad_shortcut = masked if last else grad_shortcut
    if not isinstance(shortcut, Skip):
        return grad, grads, grad_shortcut
    if with_x and shortcut is Skip.OPTION_A:
        option_a.add_option_a_gradient(grad, grad_shortcut, total_stride(layers))
    elif with_x and shortcut is Skip.IDENTITY and len(layers) == 1:  # too late for the chain: it came with its own
        option_a.add_in_place(flat(grad), flat(grad_shortcut))
    return grad, grads, None


def shortcut_of(x: Array, layers: list[Layer], shortcut: Array | Skip) -> Array | None:
    """Return the array that is added before the last relu, if there is one."""
    if shortcut is Skip.OPTION_A:
        return option_a.option_a_forward(x, layers[-1].filters.shape[0], total_stride(layers))
    if isinstance(shortcut, Skip):
        return x if shortcut is Skip.IDENTITY else None
    return shortcut


# One layer


def layer_forward(x: Array, layer: Layer, shortcut: Array | None) -> tuple[Array, Array, Array, Array]:
    """Return y = max(norm of z [+ shortcut], 0), z = the convolution of x, and z's mean (F,) and var (F,)."""
    F, C = layer.filters.shape[:2]
    if C * F <= convolution.MANY_FILTERS and takes_winograd(x, layer):
        I, J = numpy_kernels.output_size(x.shape, (3, 3), layer.stride, layer.padding)
        sizes = sizes_forward(x, F, I, J, layer.padding)
        arrays, z, mean, var = forward_arrays(layer, sizes)
        y = nhwc_empty(x.shape[0], F, I, J, x.dtype)
        images = flat(x), EMPTY if shortcut is None else flat(shortcut), flat(y)
        eps = layer.eps, layer.eps
        winograd_layers_forward(*images, arrays, arrays, sizes, eps, block_pixels(F), False, shortcut is not None)
        return y, z, mean, var
    if not takes_winograd(x, layer) and convolution.is_fast(x, layer.filters):
        z, mean, var = convolution.direct_with_statistics(x, layer.filters, layer.stride, layer.padding)
    else:
        z = conv2d_forward(x, layer.filters, None, layer.stride, layer.padding)
        mean, var = normalization.statistics_of(z)
    y = normalization.apply(z, shortcut, layer.weight, layer.bias, mean, var, layer.eps, relu=True)
    return y, z, mean, var


def layer_backward(
    grad_y: Array, saved: SavedLayer, layer: Layer, with_x: bool, with_shortcut: bool, residual: Array | None
) -> tuple[Array | None, Gradients, Array | None]:
    """Return dL/dx, the gradients of filters, weight and bias, and dL/dshortcut; None for what is not wanted.

    residual: a gradient that is added to dL/dx, and given up to it: dL/dx may be written in its place.
    """
    x, z, mean, var, y = saved.x, saved.z, saved.mean, saved.var, saved.y
    filters, weight, bias, stride, padding, eps, _ = layer
    F = filters.shape[0]
    if F % LANES == 0 and together(x, layer):
        sizes, of_y = sizes_backward(x, F), sizes_backward(y, F)
        sums = ready_sums(saved, grad_y)
        arrays, grads = backward_arrays(z, layer, mean, var, of_y.parts if sums is None else sums, with_x, sizes)
        g = None if not with_shortcut else empty_like(z) if sums is None else grad_y
        grad_x = residual if residual is not None and in_order(residual) else empty_like(x)
        if residual is not None and grad_x is not residual:
            grad_x[...] = residual
        images = Images(flat(y), EMPTY if g is None else flat(g), flat(x), flat(grad_x), EMPTY)
        wanted = Wanted(False, sums is not None, with_shortcut, with_x, residual is not None)
        winograd_layers_backward(flat(grad_y), images, arrays, arrays, NO_LAYER, sizes, of_y.group, (eps, eps), wanted)
        return grad_x if with_x else None, grads, g
    g = empty_like(z) if with_shortcut else None
    if F % LANES == 0 and not with_x and not with_shortcut and convolution.is_fast(x, filters):
        norm = weight, bias, mean, var, eps, None, BY_FORMULA
        constants, grad_weight, grad_bias = normalization.gradient_constants(grad_y, None, z, *norm)
        behind = z, constants, True
        grad_filters = convolution.direct_grad_weight(grad_y, x, filters.shape, stride, padding, *behind)
        return None, (grad_filters, grad_weight, grad_bias), None
    grad_z = empty_like(z)
    masked = grad_z if g is None else g
    grad_weight, grad_bias = normalization.backward(grad_y, y, z, weight, mean, var, eps, masked, grad_z)
    grads = conv2d_grad_weight(grad_z, x, filters.shape, stride, padding), grad_weight, grad_bias
    if not with_x:
        return None, grads, g
    grad_x = conv2d_grad_input(grad_z, filters, x.shape, stride, padding)
    if residual is not None:
        option_a.add_in_place(flat(grad_x), flat(residual))
    return grad_x, grads, g


def folded_layer(x: Array, layer: Layer, shortcut: Array | None) -> Array:
    """Return max(conv(x) + bias [+ shortcut], 0)."""
    if convolution.is_fast(x, layer.filters):
        bias = contiguous(layer.bias)
        after = Epilogue(RELU, bias) if shortcut is None else Epilogue(ADD_RELU, bias, flat(shortcut))
        return convolution.convolve(x, layer.filters, layer.stride, layer.padding, after, layer.prepared)
    z = conv2d_forward(x, layer.filters, None, layer.stride, layer.padding)
    zeros = np.zeros_like(layer.bias)
    return normalization.apply(z, shortcut, zeros + 1, layer.bias, zeros, zeros + 1, 0.0, relu=True)


# The usual block: two 3×3 layers of as many channels as x, which is the shortcut


def is_usual_block(x: Array, layers: list[Layer]) -> bool:
    """Say whether one kernel takes both layers."""
    C = x.shape[1]
    fits = len(layers) == 2 and C % LANES == 0 and all(layer.filters.shape == (C, C, 3, 3) for layer in layers)
    return fits and all(layer.weight is not None and together(x, layer) for layer in layers)


def usual_block_forward(x: Array, layers: list[Layer]) -> tuple[Array, list[SavedLayer]]:
    """Return y, and what backward needs."""
    C = x.shape[1]
    sizes = sizes_forward(x, C, x.shape[2], x.shape[3], (1, 1))
    first, z1, mean1, var1 = forward_arrays(layers[0], sizes)
    second, z2, mean2, var2 = forward_arrays(layers[1], sizes)
    y, eps = empty_like(x), (layers[0].eps, layers[1].eps)
    winograd_layers_forward(flat(x), flat(x), flat(y), first, second, sizes, eps, block_pixels(C), True, True)
    return y, [SavedLayer(x, z1, mean1, var1, None), SavedLayer(None, z2, mean2, var2, y)]


def usual_block_backward(
    grad_y: Array, saved: list[SavedLayer], layers: list[Layer], with_x: bool, before: SavedLayer | None
) -> tuple[Array | None, list[Gradients]]:
    """Return dL/dx, None unless it is wanted, and each layer's gradients. before: as of `chain_backward`."""
    x, y = saved[0].x, saved[1].y
    sizes = sizes_backward(x, x.shape[1])
    sums = ready_sums(saved[1], grad_y)
    first, grads1 = backward_arrays(saved[0].z, layers[0], saved[0].mean, saved[0].var, sizes.parts, with_x, sizes)
    given = sizes.parts if sums is None else sums
    second, grads2 = backward_arrays(saved[1].z, layers[1], saved[1].mean, saved[1].var, given, True, sizes)
    grad_x = empty_like(x) if sums is None else grad_y  # it holds dL/dshortcut first, and the branch's is added to it
    images = Images(flat(y), flat(grad_x), flat(x), flat(grad_x), flat(empty_like(x)))
    eps, wanted = (layers[0].eps, layers[1].eps), Wanted(True, sums is not None, True, with_x, True)
    layer_before = NO_LAYER
    if before is not None and with_x and before.y is x and before.z.shape == x.shape:
        sums_before = np.empty(2 * sizes.parts * sizes.C, np.float32)
        layer_before = LayerBefore(flat(before.z), contiguous(before.mean), sums_before)
        before.grad_and_sums = grad_x, layer_before.sums
    winograd_layers_backward(flat(grad_y), images, first, second, layer_before, sizes, sizes.group, eps, wanted)
    return grad_x if with_x else None, [grads1, grads2]


def ready_sums(saved: SavedLayer, grad_y: Array) -> Array | None:
    """Return the sums that the chain behind has taken of this very gradient, if it has."""
    grad_and_sums, saved.grad_and_sums = saved.grad_and_sums, None
    if grad_and_sums is None or grad_and_sums[0] is not grad_y or not in_order(grad_y):
        return None
    return grad_and_sums[1]


# What layer_forward.py and layer_backward.py are handed of a layer


def takes_winograd(x: Array, layer: Layer) -> bool:
    """Say whether the convolution is one of winograd.py's."""
    I, J = numpy_kernels.output_size(x.shape, layer.filters.shape[2:], layer.stride, layer.padding)
    pays = convolution.winograd_pays(layer.filters.shape, layer.stride, I, J)
    return pays and convolution.is_fast(x, layer.filters)


def together(x: Array, layer: Layer) -> bool:
    """Say whether one pass makes both gradients: of 3×3 filters, not too many, with padding 1."""
    return layer.filters.size <= 9 * TOGETHER and layer.padding == (1, 1) and takes_winograd(x, layer)


def sizes_forward(x: Array, F: int, I: int, J: int, padding: tuple[int, int]) -> Sizes:
    N, C, H, W = x.shape
    group, _ = convolution.strips_together(N, C + F, False, I, J, forward=True)
    return Sizes(N, H, W, C, F, I, J, *padding, group, 1)


def forward_arrays(layer: Layer, sizes: Sizes) -> tuple[ForwardLayer, Array, Array, Array]:
    """Return the kernel's arrays of a layer, and among them its outputs z, their mean and their var."""
    N, _, _, C, F, I, J, _, _, group, _ = sizes
    groups = -(-N * -(-I // 4) // group)
    z, mean, var = nhwc_empty(N, F, I, J, layer.filters.dtype), np.empty(F, np.float32), np.empty(F, np.float32)
    u = np.empty(36 * convolution.panels_of(F) * LANES * C, np.float32)
    statistics = np.empty(groups * (1 + 2 * F), np.float32)
    whole, norm = convolution.whole_panels(layer.filters, 0), (contiguous(layer.weight), contiguous(layer.bias))
    return ForwardLayer(whole, u, flat(z), statistics, mean, var, *norm), z, mean, var


def sizes_backward(x: Array, F: int) -> Sizes:
    N, C, H, W = x.shape
    group, groups = convolution.strips_together(N, C + 2 * F, False, H, W)
    shares, _ = convolution.shares_and_parts(4 * convolution.numbers_of_share(C, F), F // LANES, groups)
    return Sizes(N, H, W, C, F, H, W, 1, 1, group, shares)


def backward_arrays(
    z: Array, layer: Layer, mean: Array, var: Array, sums: Array | int, with_x: bool, sizes: Sizes
) -> tuple[BackwardLayer, Gradients]:
    """Return the kernel's arrays of a layer, and among them its gradients. sums: those of the norm, or for how many
    shares of them there has to be room."""
    C, F = sizes.C, sizes.F
    grad_filters, grad_norm = np.empty(layer.filters.shape, np.float32), np.empty((2, F), np.float32)
    u = np.empty(36 * convolution.panels_of(C) * LANES * F if with_x else 0, np.float32)
    if isinstance(sums, int):
        sums = np.empty(2 * sums * F, np.float32)
    grad_shares = np.empty(sizes.parts * convolution.numbers_of_share(C, F), np.float32)
    norm = contiguous(layer.weight), contiguous(layer.bias), contiguous(mean), contiguous(var)
    whole = convolution.whole_panels(layer.filters, 1)
    made = grad_filters.reshape(-1), grad_norm.reshape(-1)
    return BackwardLayer(flat(z), whole, u, *norm, sums, grad_shares, *made), (grad_filters, grad_norm[0], grad_norm[1])
