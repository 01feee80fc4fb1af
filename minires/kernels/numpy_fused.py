"""The fused kernels in NumPy: what they compute, as the single kernels of numpy_kernels.py one after the other.

Backward needs y for relu's mask. The Numba kernels do the same in fewer passes over memory, the CuPy kernels in fewer
launches.
"""

from minires.kernels import Array
from minires.kernels.blocks import Layer, Saved, block_backward, block_forward
from minires.kernels.numpy_kernels import (
    Pair,
    add_option_a_backward,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    conv2d_forward,
    conv2d_grad_input,
    conv2d_grad_weight,
    option_a_forward,
    relu_backward,
    relu_forward,
)


def batch_norm_relu_forward(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Return y = max(batch norm of x, 0), and x's mean (C,) and var (C,)."""
    y, mean, var = batch_norm_forward(x, weight, bias, eps)
    return relu_forward(y), mean, var


def batch_norm_relu_backward(
    grad_y: Array, y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return dL/dx, dL/dweight, dL/dbias, where mean and var were computed from x."""
    masked = relu_backward(grad_y, y)
    return batch_norm_backward(masked, x, weight, mean, var, eps)


def batch_norm_relu_inference(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """Return max(batch norm of x by a given mean and variance, 0)."""
    return relu_forward(batch_norm_inference(x, weight, bias, mean, var, eps))


# A convolution z with batch norm, the residual add (where a shortcut is given) and relu behind it, in one call


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
    z = conv2d_forward(x, filters, None, stride, padding)
    y, mean, var = batch_norm_forward(z, weight, bias, eps)
    if shortcut is not None:
        y = shortcut + y
    return relu_forward(y), z, mean, var


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
    masked = relu_backward(grad_y, y)
    grad_z, grad_weight, grad_bias = batch_norm_backward(masked, z, weight, mean, var, eps)
    grad_filters = conv2d_grad_weight(grad_z, x, filters.shape, stride, padding)
    grad_x = conv2d_grad_input(grad_z, filters, x.shape, stride, padding) if with_x else None
    if grad_x is not None and residual is not None:
        grad_x += residual
    return grad_x, grad_filters, grad_weight, grad_bias, masked if with_shortcut else None


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
    z = conv2d_forward(x, filters, None, stride, padding)
    y = batch_norm_inference(z, weight, bias, mean, var, eps)
    return relu_forward(y if shortcut is None else shortcut + y)


def residual_block_forward(
    x: Array, layers: list[Layer], strides: tuple[int, ...], eps: tuple[float, ...]
) -> tuple[Array, list[Saved]]:
    """Return the output of a residual block with a shortcut that has no parameters, and what backward needs."""
    return block_forward(conv2d_batch_norm_relu_forward, option_a_forward, x, layers, strides, eps)


def residual_block_backward(
    grad_y: Array,
    saved: list[Saved],
    layers: list[Layer],
    strides: tuple[int, ...],
    eps: tuple[float, ...],
    with_x: bool,
) -> tuple[Array | None, list[Layer]]:
    """Return dL/dx, None if it is not wanted, and the gradients of each layer's filters, weight and bias."""
    chain = conv2d_batch_norm_relu_backward, add_option_a_backward
    return block_backward(*chain, grad_y, saved, layers, strides, eps, with_x)
