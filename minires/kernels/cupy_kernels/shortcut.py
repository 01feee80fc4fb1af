"""Option A, the shortcut without parameters (`cuda/shortcut.cu`)."""

import cupy
import numpy as np

from minires.kernels import Array, checks
from minires.kernels.cupy_kernels.launching import contiguous, ints, launch_over
from minires.kernels.numpy_kernels import Shape


def option_a_forward(x: Array, out_channels: int, stride: int) -> Array:
    """Return (N, F, ⌈H/stride⌉, ⌈W/stride⌉) with x's channels in the middle, ⌊(F−C)/2⌋ zero channels before them."""
    checks.check_option_a("option_a_forward", x.shape, out_channels, stride)
    stride = min(stride, max(1, *x.shape[2:]))
    x = contiguous(x, x.dtype)
    N, C, H, W = x.shape
    y = cupy.empty((N, out_channels, -(-H // stride), -(-W // stride)), x.dtype)
    sizes = ints(*x.shape[1:], *y.shape[1:], (out_channels - C) // 2, stride)
    launch_over(y.size, "shortcut", "option_a_forward", x.dtype, x, y, np.int64(y.size), *sizes)
    return y


def option_a_backward(grad_y: Array, x_shape: Shape, stride: int) -> Array:
    """Return dL/dx: dy where x was kept, 0 elsewhere."""
    checks.check_option_a_gradient("option_a_backward", grad_y, x_shape, stride)
    stride = min(stride, max(1, *x_shape[2:]))
    grad_y = contiguous(grad_y, grad_y.dtype)
    grad_x = cupy.empty(x_shape, grad_y.dtype)
    sizes = ints(*x_shape[1:], *grad_y.shape[1:], (grad_y.shape[1] - x_shape[1]) // 2, stride)
    launch_over(
        grad_x.size, "shortcut", "option_a_backward", grad_y.dtype, grad_y, grad_x, np.int64(grad_x.size), *sizes
    )
    return grad_x
