"""Convolution with groups and dilation (`cuda/grouped_convolution.cu`)."""

import cupy
import numpy as np

from minires.kernels import Array, checks, grouped_checks
from minires.kernels.cupy_kernels.launching import contiguous, ints, launch, launch_over, or_null
from minires.kernels.numpy_kernels import Pair, Shape

FILE = "grouped_convolution"


def grouped_conv2d_forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return y (N, F, I, J) = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · padded_x[n, g·C/G + c, i·stride + u·dilation, …].

    weight is (F, C/G, KH, KW); g is the group of f: filters f·G/F, channels g·C/G to (g + 1)·C/G.
    """
    name, window = "grouped_conv2d_forward", (stride, padding, dilation, groups)
    grouped_checks.check_grouped_conv2d(name, x.shape, weight.shape, *window, None, bias)
    x, weight = contiguous(x, x.dtype), contiguous(weight, x.dtype)
    sizes = sizes_of(x.shape, weight.shape, *window)
    I, J = grouped_checks.output_size(x.shape, weight.shape[2:], stride, padding, dilation)
    y = cupy.empty((x.shape[0], weight.shape[0], I, J), x.dtype)
    launch_over(y.size, FILE, name, x.dtype, x, weight, or_null(bias, x.dtype), y, *sizes)
    return y


def grouped_conv2d_grad_input(
    grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return dL/dx (N, C, H, W): through each tap comes weightᵀ @ dL/dy, and is added to the pixels that it saw."""
    name, window = "grouped_conv2d_grad_input", (stride, padding, dilation, groups)
    grouped_checks.check_grouped_conv2d(name, x_shape, weight.shape, *window, grad_y)
    grad_y, weight = contiguous(grad_y, grad_y.dtype), contiguous(weight, grad_y.dtype)
    grad_x = cupy.empty(x_shape, grad_y.dtype)
    sizes = sizes_of(x_shape, weight.shape, *window)
    launch_over(grad_x.size, FILE, name, grad_y.dtype, grad_y, weight, grad_x, *sizes)
    return grad_x


def grouped_conv2d_grad_weight(
    grad_y: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return dL/dweight (F, C/G, KH, KW): each number's sum over the batch in one block, in an order of its own."""
    name, window = "grouped_conv2d_grad_weight", (stride, padding, dilation, groups)
    grouped_checks.check_grouped_conv2d(name, x.shape, weight_shape, *window, grad_y)
    grad_y, x = contiguous(grad_y, grad_y.dtype), contiguous(x, grad_y.dtype)
    grad_weight = cupy.empty(weight_shape, grad_y.dtype)
    sizes = sizes_of(x.shape, weight_shape, *window)
    launch(FILE, name, grad_y.dtype, (grad_weight.size,), grad_y, x, grad_weight, *sizes)
    return grad_weight


def sizes_of(
    x_shape: Shape, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[np.int32, ...]:
    """Return N, C, H, W, F, I, J, the window and the sizes of one group, as the kernels take them."""
    F, CG, KH, KW = weight_shape
    stride = checks.stride_within(x_shape, stride, padding)
    I, J = grouped_checks.output_size(x_shape, (KH, KW), stride, padding, dilation)
    dilation = (dilation[0] if KH > 1 else 1, dilation[1] if KW > 1 else 1)  # of one tap it may be any number
    return ints(*x_shape, F, I, J, KH, KW, *stride, *padding, *dilation, CG, F // groups)
