"""ReLU (`cuda/activation.cu`)."""

import cupy
import numpy as np

from minires.kernels import Array, checks
from minires.kernels.cupy_kernels.launching import contiguous, launch_over


def relu_forward(x: Array) -> Array:
    """Return max(x, 0), elementwise; NaN stays NaN."""
    x = contiguous(x, x.dtype)
    y = cupy.empty(x.shape, x.dtype)
    launch_over(x.size, "activation", "relu_forward", x.dtype, x, y, np.int64(x.size))
    return y


def relu_backward(grad_y: Array, y: Array) -> Array:
    """Return dL/dx: 0 where y ≤ 0, else dy, whatever either is. So dy passes where y is NaN, as in PyTorch."""
    checks.check_shape("relu_backward", "grad_y", grad_y, y.shape)
    grad_y, y = contiguous(grad_y, grad_y.dtype), contiguous(y, grad_y.dtype)
    grad_x = cupy.empty(y.shape, y.dtype)
    launch_over(y.size, "activation", "relu_backward", y.dtype, grad_y, y, grad_x, np.int64(y.size))
    return grad_x
