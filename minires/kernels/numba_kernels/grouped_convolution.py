"""Convolution with groups and dilation: plain loops, for any window, float32 and float64.

Channels-last, the channels and filters of a group are neighbours in their pixels:

    x's pixel   │ C/G of group 0 │ C/G of group 1 │ …        filters are packed by tap and group, so that the innermost
    y's pixel   │ F/G of group 0 │ F/G of group 1 │ …        loop runs along filters (forward) or channels (backward)

Made to be right and not slow beyond reason; what is fast, Winograd and the direct kernels, is for one group without
dilation. The padding is zeros that are multiplied like all else, so that a filter or a gradient that is not finite
shows in every sum that it is in. Sums of the weight's gradient are float64: they run over all pixels of the batch.
"""

import numpy as np

from minires.kernels import Array, checks, grouped_checks, numpy_kernels
from minires.kernels.numba_kernels.layout import contiguous, flat, nhwc_empty
from minires.kernels.numba_kernels.machine.compilation import COMPILED, kernel
from minires.kernels.numba_kernels.machine.threads import claim

Pair = tuple[int, int]
Shape = tuple[int, ...]

# Sizes are N, C, H, W, F, I, J, KH, KW, stride, padding, dilation (height and width each), G.


@kernel("void(real[::1], real[::1], real[::1], UniTuple(int64, 16), int64[::1])")
def grouped_products(x, b, y, sizes, counter):
    """Write y, row of outputs by row; b: the filters as (KH, KW, G, C/G, F/G)."""
    N, C, H, W, F, I, J, KH, KW, SH, SW, PH, PW, DH, DW, G = sizes
    CG, FG, zero = C // G, F // G, x.dtype.type(0)
    row = claim(counter)
    while row < N * I:
        for j in range(J):
            o = y[(row * J + j) * F : (row * J + j + 1) * F]
            for f in range(F):
                o[f] = zero
            for u in range(KH):
                for v in range(KW):
                    h, w, tap = row % I * SH + u * DH - PH, j * SW + v * DW - PW, (u * KW + v) * C * FG
                    inside = h >= 0 and h < H and w >= 0 and w < W
                    pixel = ((row // I * H + h) * W + w) * C if inside else 0
                    for c in range(C):
                        seen, group = x[pixel + c] if inside else zero, c // CG * FG
                        for f in range(FG):
                            o[group + f] += seen * b[tap + c * FG + f]
        row = claim(counter)


@kernel("void(real[::1], real[::1], real[::1], UniTuple(int64, 16), int64[::1])")
def grouped_grad_input(grad_y, b, grad_x, sizes, counter):
    """Write dL/dx, image by image; b: the filters as (KH, KW, F, C/G)."""
    N, C, H, W, F, I, J, KH, KW, SH, SW, PH, PW, DH, DW, G = sizes
    CG, FG, zero = C // G, F // G, grad_y.dtype.type(0)
    n = claim(counter)
    while n < N:
        image = grad_x[n * H * W * C : (n + 1) * H * W * C]
        for at in range(image.size):
            image[at] = zero
        for i in range(I):
            for j in range(J):
                g = grad_y[((n * I + i) * J + j) * F : ((n * I + i) * J + j + 1) * F]
                for u in range(KH):
                    h = i * SH + u * DH - PH
                    if h < 0 or h >= H:
                        continue
                    for v in range(KW):
                        w = j * SW + v * DW - PW
                        if w < 0 or w >= W:
                            continue
                        pixel, tap = (h * W + w) * C, (u * KW + v) * F * CG
                        for f in range(F):
                            back, group = g[f], f // FG * CG
                            for c in range(CG):
                                image[pixel + group + c] += back * b[tap + f * CG + c]
        n = claim(counter)


@kernel("void(real[::1], real[::1], float64[::1], UniTuple(int64, 16), int64[::1])")
def grouped_grad_weight(x, grad_y, sums, sizes, counter):
    """Write dL/dweight as (F, KH, KW, C/G), filter by filter."""
    N, C, H, W, F, I, J, KH, KW, SH, SW, PH, PW, DH, DW, G = sizes
    CG, FG, zero = C // G, F // G, x.dtype.type(0)
    f = claim(counter)
    while f < F:
        s, group = sums[f * KH * KW * CG : (f + 1) * KH * KW * CG], f // FG * CG
        for at in range(s.size):
            s[at] = 0
        for n in range(N):
            for i in range(I):
                for j in range(J):
                    back = np.float64(grad_y[((n * I + i) * J + j) * F + f])
                    for u in range(KH):
                        for v in range(KW):
                            h, w, tap = i * SH + u * DH - PH, j * SW + v * DW - PW, (u * KW + v) * CG
                            inside = h >= 0 and h < H and w >= 0 and w < W
                            pixel = ((n * H + h) * W + w) * C + group if inside else 0
                            for c in range(CG):
                                s[tap + c] += back * (x[pixel + c] if inside else zero)
        f = claim(counter)


def sizes_of(
    x_shape: Shape, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[int, ...]:
    """Return all sizes, as the kernels take them."""
    F, _, KH, KW = weight_shape
    stride = checks.stride_within(x_shape, stride, padding)
    I, J = grouped_checks.output_size(x_shape, (KH, KW), stride, padding, dilation)
    dilation = (dilation[0] if KH > 1 else 1, dilation[1] if KW > 1 else 1)  # of one tap it may be any number
    return *x_shape, F, I, J, KH, KW, *stride, *padding, *dilation, groups


def grouped_conv2d_forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return y (N, F, I, J) = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · padded_x[n, g·C/G + c, i·stride + u·dilation, …].

    weight is (F, C/G, KH, KW); g is the group of f: filters f·G/F, channels g·C/G to (g + 1)·C/G.
    """
    window = stride, padding, dilation, groups
    if x.dtype.char not in COMPILED or weight.dtype != x.dtype:
        return numpy_kernels.grouped_conv2d_forward(x, weight, bias, *window)
    grouped_checks.check_grouped_conv2d("grouped_conv2d_forward", x.shape, weight.shape, *window, None, bias)
    F, C, KH, KW = weight.shape
    sizes = sizes_of(x.shape, weight.shape, *window)
    b = weight.reshape(groups, F // groups, C, KH, KW).transpose(3, 4, 0, 2, 1)
    I, J = sizes[5:7]
    y = nhwc_empty(x.shape[0], F, I, J, x.dtype)
    grouped_products(flat(x), contiguous(b), flat(y), sizes)
    if bias is not None:
        y += bias.reshape(F, 1, 1)
    return y


def grouped_conv2d_grad_input(
    grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return dL/dx (N, C, H, W): through each tap comes weightᵀ @ dL/dy, and is added to the pixels that it saw."""
    window = stride, padding, dilation, groups
    if grad_y.dtype.char not in COMPILED or weight.dtype != grad_y.dtype:
        return numpy_kernels.grouped_conv2d_grad_input(grad_y, weight, x_shape, *window)
    grouped_checks.check_grouped_conv2d("grouped_conv2d_grad_input", x_shape, weight.shape, *window, grad_y)
    N, C, H, W = x_shape
    grad_x = nhwc_empty(N, C, H, W, grad_y.dtype)
    sizes = sizes_of(x_shape, weight.shape, *window)
    grouped_grad_input(flat(grad_y), contiguous(weight.transpose(2, 3, 0, 1)), flat(grad_x), sizes)
    return grad_x


def grouped_conv2d_grad_weight(
    grad_y: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return dL/dweight (F, C/G, KH, KW), C-contiguous."""
    window = stride, padding, dilation, groups
    if grad_y.dtype.char not in COMPILED or x.dtype != grad_y.dtype:
        return numpy_kernels.grouped_conv2d_grad_weight(grad_y, x, weight_shape, *window)
    grouped_checks.check_grouped_conv2d("grouped_conv2d_grad_weight", x.shape, weight_shape, *window, grad_y)
    F, C, KH, KW = weight_shape
    sums = np.empty((F, KH, KW, C), np.float64)
    grouped_grad_weight(flat(x), flat(grad_y), sums.reshape(-1), sizes_of(x.shape, weight_shape, *window))
    return np.array(sums.transpose(0, 3, 1, 2), grad_y.dtype, order="C")
