"""Pooling (`cuda/pooling.cu`)."""

import cupy
import numpy as np

from minires.kernels import Array, checks
from minires.kernels.cupy_kernels.launching import contiguous, ints, launch_over
from minires.kernels.numpy_kernels import Pair, Shape, output_size


def max_pool2d_forward(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[Array, Array]:
    """Return each window's largest number (N, C, I, J), and the tap u·KW + v it came from.

    The first of equals wins, the last of NaNs, which win over all else. Padding never wins, not even over −∞.
    """
    checks.check_pool2d("max_pool2d_forward", x.shape, kernel_size, stride, padding)
    x = contiguous(x, x.dtype)
    y = cupy.empty((*x.shape[:2], *output_size(x.shape, kernel_size, stride, padding)), x.dtype)
    winners = cupy.empty(y.shape, np.int16)
    sizes = pool_sizes(x.shape, kernel_size, stride, padding)
    launch_over(y.size, "pooling", "max_pool2d_forward", x.dtype, x, y, winners, np.int64(y.size), *sizes)
    return y, winners


def max_pool2d_backward(
    grad_y: Array, winners: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Return dL/dx: each window's gradient goes to its winner alone."""
    checks.check_pool2d("max_pool2d_backward", x_shape, kernel_size, stride, padding, grad_y)
    checks.check_shape("max_pool2d_backward", "winners", winners, grad_y.shape)
    grad_y = contiguous(grad_y, grad_y.dtype)
    grad_x = cupy.empty(x_shape, grad_y.dtype)
    sizes = pool_sizes(x_shape, kernel_size, stride, padding)
    arrays = grad_y, contiguous(winners, np.dtype(np.int16)), grad_x
    launch_over(grad_x.size, "pooling", "max_pool2d_backward", grad_y.dtype, *arrays, np.int64(grad_x.size), *sizes)
    return grad_x


def avg_pool2d_forward(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Return the mean of each window, (N, C, I, J); the padding counts as zeros."""
    checks.check_pool2d("avg_pool2d_forward", x.shape, kernel_size, stride, padding)
    x = contiguous(x, x.dtype)
    y = cupy.empty((*x.shape[:2], *output_size(x.shape, kernel_size, stride, padding)), x.dtype)
    sizes = pool_sizes(x.shape, kernel_size, stride, padding)
    launch_over(y.size, "pooling", "avg_pool2d_forward", x.dtype, x, y, np.int64(y.size), *sizes)
    return y


def avg_pool2d_backward(grad_y: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Return dL/dx: each window's gradient goes in equal parts to its KH·KW numbers."""
    checks.check_pool2d("avg_pool2d_backward", x_shape, kernel_size, stride, padding, grad_y)
    grad_y = contiguous(grad_y, grad_y.dtype)
    grad_x = cupy.empty(x_shape, grad_y.dtype)
    sizes = pool_sizes(x_shape, kernel_size, stride, padding)
    launch_over(
        grad_x.size, "pooling", "avg_pool2d_backward", grad_y.dtype, grad_y, grad_x, np.int64(grad_x.size), *sizes
    )
    return grad_x


def pool_sizes(x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[np.int32, ...]:
    """Return H, W, I, J, the window, stride and padding, as the kernels take them."""
    stride = checks.stride_within(x_shape, stride, padding)
    return ints(*x_shape[2:], *output_size(x_shape, kernel_size, stride, padding), *kernel_size, *stride, *padding)
