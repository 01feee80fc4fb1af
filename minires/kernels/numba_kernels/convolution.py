"""The convolutions, as the ops call them: which way each is computed is chosen here, for fused ones in chain.py.

    forward, gradient of x       3×3, stride 1, 8 channels or more each side: winograd.py; everything else: direct.py
    gradient of the weight       the same
    float64; other processors than x86-64 with AVX2 and FMA; empty batches: the NumPy kernels, and the result is brought
    into the memory order of this package

Shapes, signatures and results are those of the NumPy kernels. Ways and sizes are chosen from shapes and the processor's
row in machine/processor.py alone, never from the number of threads, so that results are the same to the last bit
whatever that is.
"""

import math
from typing import NamedTuple

import numpy as np

from minires.kernels import Array, checks, numpy_kernels
from minires.kernels.chain import Prepared
from minires.kernels.numba_kernels import direct, winograd
from minires.kernels.numba_kernels.epilogue import BIAS, NOTHING, STATISTICS, finish_group_statistics
from minires.kernels.numba_kernels.layout import contiguous, flat, nhwc_empty
from minires.kernels.numba_kernels.machine.processor import CHOICE, HAS_SIMD
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.machine.tile import ROWS
from minires.kernels.numba_kernels.shortcut import every

Pair = tuple[int, int]
Shape = tuple[int, ...]
Sizes = tuple[int, ...]  # N, H, W, C, F, I, J

PRODUCTS = 48_000  # numbers of V and M that Winograd's way works on together: 192 kB
MANY_FILTERS = 1 << 14  # C·F beyond which their transforms, four times as large, would not stay in the cache
WINDOW = 1 << 16  # numbers of a padded window of x: 256 kB
ITEMS = 16  # pieces that work is cut into at least, where it can be: threads take them one by one

EMPTY = np.empty(0, np.float32)  # stands for an array that is not looked at

use_winograd = True


class Epilogue(NamedTuple):
    """What is done with the outputs while they are in the cache, and the arrays for it: see `epilogue.py`."""

    then: int = NOTHING
    bias: Array = EMPTY
    shortcut: Array = EMPTY  # flat


NOTHING_MORE = Epilogue()


def channels_last(x: Array) -> Array:
    """Return x (N, C, H, W) with its memory channels-last."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def is_fast(*arrays: Array) -> bool:
    """Say whether the compiled convolutions take these arrays."""
    return HAS_SIMD and all(array.dtype == np.float32 and array.size > 0 for array in arrays)


def winograd_pays(weight_shape: Shape, stride: Pair, I: int, J: int) -> bool:
    """Say whether Winograd's way is the faster: few channels make transforms dear, tiny images cut tiles."""
    F, C, KH, KW = weight_shape
    large = min(F, C) >= CHOICE.winograd_channels and min(I, J) >= CHOICE.winograd_outputs
    return use_winograd and large and (KH, KW) == (3, 3) and stride == (1, 1)


def conv2d_forward(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair) -> Array:
    """Return y (N, F, I, J) = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · padded_x[n, c, i·stride+u, j·stride+v]."""
    checks.check_conv2d("conv2d_forward", x.shape, weight.shape, stride, padding, None, bias)
    stride = checks.stride_within(x.shape, stride, padding)
    if not is_fast(x, weight):
        return channels_last(numpy_kernels.conv2d_forward(x, weight, bias, stride, padding))
    after = NOTHING_MORE if bias is None else Epilogue(BIAS, contiguous(bias.astype(x.dtype, copy=False)))
    return convolve(x, weight, stride, padding, after)


def convolve(
    x: Array, weight: Array, stride: Pair, padding: Pair, after: Epilogue, prepared: Prepared | None = None
) -> Array:
    """Return y (N, F, I, J), with what is done to it while it is in the cache.

    prepared: where filters that do not change any more are kept as the kernels want them.
    """
    I, J = numpy_kernels.output_size(x.shape, weight.shape[2:], stride, padding)
    if winograd_pays(weight.shape, stride, I, J):
        return winograd_convolution(x, weight, I, J, padding, False, after, prepared)
    x, y, sizes = direct_outputs(x, weight, I, J, stride, padding)
    then, bias, shortcut = after
    direct.direct_products(flat(x), packed_filters(weight, prepared), flat(y), shortcut, bias, EMPTY, sizes, then)
    return y


def conv2d_grad_input(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """Return dL/dx (N, C, H, W): each dy · weight goes back to the x that it came from."""
    checks.check_conv2d("conv2d_grad_input", x_shape, weight.shape, stride, padding, grad_y)
    stride = checks.stride_within(x_shape, stride, padding)
    if not is_fast(grad_y, weight):
        return channels_last(numpy_kernels.conv2d_grad_input(grad_y, weight, x_shape, stride, padding))
    H, W = x_shape[2:]
    if winograd_pays(weight.shape, stride, H, W):
        return winograd_convolution(grad_y, weight, H, W, (2 - padding[0], 2 - padding[1]), flip=True)
    return direct_grad_input(grad_y, weight, x_shape, stride, padding)


def conv2d_grad_weight(grad_y: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """Return dL/dweight (F, C, KH, KW), C-contiguous."""
    checks.check_conv2d("conv2d_grad_weight", x.shape, weight_shape, stride, padding, grad_y)
    stride = checks.stride_within(x.shape, stride, padding)
    if not is_fast(grad_y, x):
        return numpy_kernels.conv2d_grad_weight(grad_y, x, weight_shape, stride, padding)
    if winograd_pays(weight_shape, stride, *grad_y.shape[2:]):
        return winograd_grad_weight(grad_y, x, weight_shape, padding)
    return direct_grad_weight(grad_y, x, weight_shape, stride, padding)


# Images to columns, and back: nothing here needs them, since no convolution makes columns. Callers get NumPy's.

im2col, col2im = numpy_kernels.im2col, numpy_kernels.col2im


def panels_of(channels: int) -> int:
    """Return how many panels of 16 hold this many channels."""
    return -(-channels // LANES)


def shares_and_parts(numbers: int, panels: int, items: int) -> Pair:
    """Cut the gradient of a weight of so many numbers: into shares of the sum, and parts of the filters.

    Each share has its own copy of the sum, so large weights are cut by filters instead.
    """
    shares = 16 if numbers <= 1 << 16 else 8 if numbers <= 1 << 18 else 4 if numbers <= 1 << 20 else 1
    return min(shares, items), min(max(1, panels // 4), ITEMS // shares)


def whole_panels(weight: Array, axis: int) -> Array:
    """Return the weight as a flat array, with zeros for filters until `axis`, theirs, is a multiple of 16."""
    missing = -weight.shape[axis] % LANES
    if missing:
        weight = np.pad(weight, [(0, missing if axis == number else 0) for number in range(4)])
    return contiguous(weight)


# Winograd


def strips_together(N: int, numbers: int, many_filters: bool, I: int, J: int, forward: bool = False) -> Pair:
    """Return how many strips of tiles are worked on together, and how many such groups there are.

    numbers: those that a tile has at each of the 36 positions. A group's tiles are rows of products, so there are ROWS
    of them, or a multiple, where that can be; of a forward pass with wide tiles rather too many than no multiple.
    """
    wanted = 128 if many_filters else min(max(PRODUCTS // (36 * numbers), 16), 64)
    tiles, strips = -(-J // 4), N * -(-I // 4)
    step = ROWS // math.gcd(tiles, ROWS)
    group = max(1, wanted // tiles)
    if forward and CHOICE.two_panels and step * tiles <= 64:
        group = max(group, step)
    group = min(group, strips)
    group -= group % step if group > step else 0
    return group, -(-strips // group)


def winograd_convolution(
    x: Array,
    weight: Array,
    I: int,
    J: int,
    padding: Pair,
    flip: bool,
    after: Epilogue = NOTHING_MORE,
    prepared: Prepared | None = None,
) -> Array:
    """Convolve x with 3×3 filters; flip: with the filters of the gradient of x, where F and C have changed places.

    prepared: where U is kept, of filters that do not change any more.
    """
    N, C, H, W = x.shape
    F = weight.shape[1 if flip else 0]
    panels = panels_of(F)
    group, groups = strips_together(N, C + F, C * F > MANY_FILTERS, I, J, forward=True)
    parts = max(1, panels // 4) if C * F > MANY_FILTERS else min(-(-panels // 2), -(-ITEMS // 2 // groups))
    if prepared is not None and prepared.holds(weight):
        u = prepared.form("winograd", all_filters_transformed)
        weight = EMPTY
    elif parts == 1:
        u = all_filters_transformed(weight, flip)
        weight = EMPTY
    else:
        u, weight = EMPTY, whole_panels(weight, 1 if flip else 0)
    y = nhwc_empty(N, F, I, J, x.dtype)
    sizes = winograd.Sizes(N, H, W, C, F, I, J, *padding, group, parts)
    then, bias, shortcut = after
    winograd.winograd_products(flat(x), weight, u, flat(y), shortcut, bias, EMPTY, sizes, flip, then)
    return y


def all_filters_transformed(weight: Array, flip: bool = False) -> Array:
    """Return U of all filters, in whole panels."""
    F, C = weight.shape[:2] if not flip else weight.shape[1::-1]
    u = np.empty(36 * panels_of(F) * LANES * C, np.float32)
    winograd.winograd_filters(whole_panels(weight, 1 if flip else 0), u, panels_of(F) * LANES, C, flip)
    return u


def numbers_of_share(C: int, F: int) -> int:
    """Return how many numbers a share of the gradient of 3×3 filters has: C·9 rows of whole panels."""
    return C * 9 * panels_of(F) * LANES


def winograd_grad_weight(grad_y: Array, x: Array, weight_shape: Shape, padding: Pair) -> Array:
    """Return dL/dweight of 3×3 filters."""
    N, C, H, W = x.shape
    _, F, I, J = grad_y.shape
    group, groups = strips_together(N, C + F, C * F > MANY_FILTERS, I, J)
    numbers = numbers_of_share(C, F)
    shares, parts = shares_and_parts(4 * numbers, panels_of(F), groups)  # dL/dU is four times as large
    grad_shares = np.empty(shares * numbers, np.float32)
    sizes = winograd.Sizes(N, H, W, C, F, I, J, *padding, group, parts)
    winograd.winograd_weight_products(flat(x), flat(grad_y), grad_shares, sizes, shares)
    grad_weight = np.empty(weight_shape, np.float32)
    winograd.winograd_weight_gradient(grad_shares, grad_weight.reshape(-1), F, C, shares)
    return grad_weight


# Direct


def pointwise(KH: int, KW: int, stride: Pair, padding: Pair) -> bool:
    """Say whether each output sees just the pixel at its own place."""
    return (KH, KW) == (1, 1) and stride == (1, 1) and padding == (0, 0)


def seen_alone(x: Array, weight_shape: Shape, stride: Pair, padding: Pair) -> tuple[Array, Pair]:
    """Return x and the stride; for a 1×1 filter x without the pixels that it never sees, and stride 1."""
    if weight_shape[2:] == (1, 1) and stride != (1, 1) and padding == (0, 0):
        return every(x, stride), (1, 1)
    return x, stride


def one_column(N: int, H: int, W: int, C: int, F: int, I: int, J: int) -> Sizes:
    """Return the sizes where all pixels of a batch are seen as one image, a single column."""
    return 1, N * H * W, 1, C, F, N * I * J, 1


def lines_together(W: int, C: int, I: int, KH: int, SH: int) -> int:
    """Return how many rows of outputs are worked on together: the window of x that they see has WINDOW numbers."""
    lines = (WINDOW // max(1, W * C) - KH) // SH + 1  # W: with the padding, which is negative where rows are never seen
    return min(max(1, lines // 24 * 24 if lines > 24 else lines), 384, I)


def direct_with_statistics(x: Array, weight: Array, stride: Pair, padding: Pair) -> tuple[Array, Array, Array]:
    """Convolve x with any filters: y (N, F, I, J), and the mean and the biased variance of each channel."""
    b, F = packed(weight), weight.shape[0]
    I, J = numpy_kernels.output_size(x.shape, weight.shape[2:], stride, padding)
    x, y, sizes = direct_outputs(x, weight, I, J, stride, padding)
    groups = -(-sizes.N // sizes.images) * -(-sizes.I // sizes.lines)
    statistics, mean, var = np.empty(groups * (1 + 2 * F), np.float32), np.empty(F, np.float32), np.empty(F, np.float32)
    direct.direct_products(flat(x), b, flat(y), EMPTY, EMPTY, statistics, sizes, STATISTICS)
    finish_group_statistics(statistics, mean, var)
    return y, mean, var


def direct_outputs(
    x: Array, weight: Array, I: int, J: int, stride: Pair, padding: Pair
) -> tuple[Array, Array, direct.Sizes]:
    """Return x as the filters see it, room for y, and the sizes."""
    x, stride = seen_alone(x, weight.shape, stride, padding)
    N, C, H, W = x.shape
    F, _, KH, KW = weight.shape
    y = nhwc_empty(N, F, I, J, x.dtype)
    sizes: Sizes = N, H, W, C, F, I, J
    places = 0, I * J * F, J * F, F
    if pointwise(KH, KW, stride, padding):
        sizes, places = one_column(*sizes), (0, 0, F, F)
    return x, y, direct_sizes(sizes, (KH, KW), stride, padding, places)


def packed_filters(weight: Array, prepared: Prepared | None) -> Array:
    """Return the packed filters, those that are kept where they do not change."""
    if prepared is not None and prepared.holds(weight):
        return prepared.form("packed", packed)
    return packed(weight)


def packed(weight: Array) -> Array:
    """Return the filters in whole panels, tap by tap."""
    F, C, KH, KW = weight.shape
    b = np.empty(panels_of(F) * LANES * C * KH * KW, np.float32)
    direct.pack_filters(whole_panels(weight, 0), b, panels_of(F) * LANES, C, KH, KW, C * KH * KW, KH * KW, 0, KW, 1)
    return b


def direct_grad_weight(
    grad_y: Array,
    x: Array,
    weight_shape: Shape,
    stride: Pair,
    padding: Pair,
    z: Array = EMPTY,
    constants: Array = EMPTY,
    masked: bool = False,
) -> Array:
    """Return dL/dweight of any filters. constants: those of batch norm behind the outputs z, with its gradient grad_y,
    which is to be masked or not, in place of the convolution's (prologue.py)."""
    x, stride = seen_alone(x, weight_shape, stride, padding)
    N, C, H, W = x.shape
    F, _, KH, KW = weight_shape
    sizes: Sizes = N, H, W, C, F, *grad_y.shape[2:]
    if pointwise(KH, KW, stride, padding):
        sizes = one_column(*sizes)
    N, H, W, C, F, I, J = sizes
    lines = lines_together(W + 2 * padding[1], C, I, KH, stride[0])
    if J == 1:
        lines = min(max(lines, 96), I)  # each of them adds to all of the gradient
    numbers = KH * KW * C * panels_of(F) * LANES
    shares, parts = shares_and_parts(numbers, panels_of(F), N * -(-I // lines))
    sums = np.empty(shares * numbers, np.float32)
    all_sizes = *sizes, KH, KW, *stride, *padding, lines, parts, shares
    direct.direct_weight_products(flat(x), flat(grad_y), sums, flat(z), constants, masked, all_sizes)
    grad_weight = np.empty(weight_shape, np.float32)
    direct.direct_weight_gradient(sums, grad_weight.reshape(-1), F, C, KH * KW, shares)
    return grad_weight


def direct_grad_input(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """Return dL/dx of any filters, one class of pixels after the other."""
    N, C, H, W = x_shape
    SH, SW = stride
    grad_x = nhwc_empty(N, C, H, W, grad_y.dtype)
    for h in range(min(SH, H)):
        for w in range(min(SW, W)):
            class_grad_input(grad_y, weight, grad_x, (h, w), stride, padding)
    return grad_x


def taps_of_class(h: int, K: int, S: int, P: int) -> tuple[int, int, int]:
    """Return the first filter row that pixels h, h + S, … see, how many (every S-th), and the padding of their class.

    y[i] sees x[h] through row u = h + P − i·S: rows u ≡ h + P (mod S), and i = (h + P − u) / S.
    """
    first = (h + P) % S
    count = len(range(first, K, S))
    return first, count, count - 1 - (h + P - first) // S


def class_grad_input(grad_y: Array, weight: Array, grad_x: Array, pixel: Pair, stride: Pair, padding: Pair) -> None:
    """Write dL/dx of pixels (h + SH·i, w + SW·j): a stride-1 convolution of dL/dy with the taps that they see."""
    N, F, I, J = grad_y.shape
    _, C, KH, KW = weight.shape
    (h, w), (SH, SW), (H, W) = pixel, stride, grad_x.shape[2:]
    u, UH, P = taps_of_class(h, KH, SH, padding[0])
    v, VW, Q = taps_of_class(w, KW, SW, padding[1])
    if UH == 0 or VW == 0:  # a stride larger than the filter jumps over these
        grad_x[:, :, h::SH, w::SW] = 0
        return
    b = np.empty(panels_of(C) * LANES * F * UH * VW, np.float32)
    last = (u + (UH - 1) * SH) * KW + v + (VW - 1) * SW  # flipped: the last tap comes first
    C16 = panels_of(C) * LANES
    direct.pack_filters(whole_panels(weight, 1), b, C16, F, UH, VW, KH * KW, C16 * KH * KW, last, -SH * KW, -SW)
    rows, columns = -(-(H - h) // SH), -(-(W - w) // SW)
    sizes: Sizes = N, I, J, F, C, rows, columns
    places = (h * W + w) * C, H * W * C, SH * W * C, SW * C
    if pointwise(KH, KW, stride, padding):
        sizes, places = one_column(*sizes), (0, 0, C, C)
    all_sizes = direct_sizes(sizes, (UH, VW), (1, 1), (P, Q), places)
    direct.direct_products(flat(grad_y), b, flat(grad_x), EMPTY, EMPTY, EMPTY, all_sizes, NOTHING)


def direct_sizes(
    sizes: Sizes, kernel_size: Pair, stride: Pair, padding: Pair, places: tuple[int, ...]
) -> direct.Sizes:
    """Return all sizes that the kernel needs; places: where the first output is in y, and how far images, rows, pixels
    are apart."""
    N, _, W, C, _, I, J = sizes
    lines = lines_together(W + 2 * padding[1], C, I, kernel_size[0], stride[0])
    images = max(1, min(N // ITEMS, WINDOW // (W * C * I * stride[0]))) if lines == I else 1
    if N == 1 and J == 1:  # all pixels of a batch: an even number of pieces of about one size
        pieces = -(-I // (2 * lines)) * 2
        lines = min(-(-I // (pieces * ROWS)) * ROWS, I)
    numbers = *sizes, *kernel_size, *stride, *padding, images, lines, *places
    return direct.Sizes(*numbers)
