"""Convolution with groups and dilation in plain NumPy, as `numpy_kernels.py` has it without.

G groups, each of C/G channels in and F/G filters: the matrix product of one tap, (F/G, C/G) times (C/G, I·J), is made
for all images and groups at once. Tap (u, v) of a filter with dilation sees the pixel u·dilation rows and v·dilation
columns on. No columns are made, so memory does not grow with the filter.
"""

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.kernels.grouped_checks import check_grouped_conv2d, output_size

Pair = tuple[int, int]
Shape = tuple[int, ...]


def grouped_conv2d_forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return y (N, F, I, J) = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · padded_x[n, g·C/G + c, i·stride + u·dilation, …].

    weight is (F, C/G, KH, KW); g is the group of f: filters f·G/F, channels g·C/G to (g + 1)·C/G.
    """
    check_grouped_conv2d("grouped_conv2d_forward", x.shape, weight.shape, stride, padding, dilation, groups, None, bias)
    N = x.shape[0]
    F, C, KH, KW = weight.shape  # C: of one group
    I, J = output_size(x.shape, (KH, KW), stride, padding, dilation)
    w = weight.reshape(groups, F // groups, C, KH, KW)
    padded = numpy_kernels.pad_images(x, padding)
    y = np.zeros((N, groups, F // groups, I * J), x.dtype)
    for u in range(KH):
        for v in range(KW):
            seen = padded[numpy_kernels.tap(u * dilation[0], v * dilation[1], I, J, stride)]
            y += w[:, :, :, u, v] @ seen.reshape(N, groups, C, I * J)
    y = y.reshape(N, F, I, J)
    if bias is not None:
        y += bias.reshape(F, 1, 1)
    return y


def grouped_conv2d_grad_input(
    grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return dL/dx (N, C, H, W): through each tap comes weightᵀ @ dL/dy, and is added to the pixels that it saw."""
    name = "grouped_conv2d_grad_input"
    check_grouped_conv2d(name, x_shape, weight.shape, stride, padding, dilation, groups, grad_y)
    N, F, I, J = grad_y.shape
    C, KH, KW = weight.shape[1:]
    w = weight.reshape(groups, F // groups, C, KH, KW)
    dy = grad_y.reshape(N, groups, F // groups, I * J)
    grad_x = numpy_kernels.padded_zeros(x_shape, padding, grad_y.dtype)
    for u in range(KH):
        for v in range(KW):
            grad_seen = w[:, :, :, u, v].transpose(0, 2, 1) @ dy  # (N, G, C/G, I·J)
            place = numpy_kernels.tap(u * dilation[0], v * dilation[1], I, J, stride)
            grad_x[place] += grad_seen.reshape(N, groups * C, I, J)
    return numpy_kernels.crop_images(grad_x, x_shape, padding)


def grouped_conv2d_grad_weight(
    grad_y: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return dL/dweight (F, C/G, KH, KW): of each tap, Σₙ dL/dy[n] @ seen[n]ᵀ, group by group."""
    name = "grouped_conv2d_grad_weight"
    check_grouped_conv2d(name, x.shape, weight_shape, stride, padding, dilation, groups, grad_y)
    N, F, I, J = grad_y.shape
    C, KH, KW = weight_shape[1:]
    dy = grad_y.reshape(N, groups, F // groups, I * J)
    padded = numpy_kernels.pad_images(x, padding)
    grad_w = np.empty((groups, F // groups, C, KH, KW), grad_y.dtype)
    for u in range(KH):
        for v in range(KW):
            seen = padded[numpy_kernels.tap(u * dilation[0], v * dilation[1], I, J, stride)]
            products = dy @ seen.reshape(N, groups, C, I * J).transpose(0, 1, 3, 2)  # (N, G, F/G, C/G)
            grad_w[:, :, :, u, v] = products.sum(axis=0)
    return grad_w.reshape(weight_shape)
