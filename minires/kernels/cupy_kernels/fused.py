"""A convolution with batch norm, the residual add and relu behind it, and the residual block that is a chain of these.

The launches are the convolution's own and batch norm's two, which take shortcut and relu along.
"""

from minires.kernels import Array
from minires.kernels.blocks import Layer, Saved, block_backward, block_forward
from minires.kernels.cupy_kernels import normalization
from minires.kernels.cupy_kernels.convolution import conv2d_forward, conv2d_grad_input, conv2d_grad_weight
from minires.kernels.cupy_kernels.shortcut import add_option_a_backward, option_a_forward
from minires.kernels.numpy_kernels import Pair


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
    y, mean, var = normalization.forward(z, weight, bias, eps, shortcut, relu=True)
    return y, z, mean, var


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
    grads = normalization.backward(grad_y, z, y, weight, mean, var, eps, with_shortcut=with_shortcut)
    grad_z, grad_weight, grad_bias, grad_shortcut = grads
    grad_filters = conv2d_grad_weight(grad_z, x, filters.shape, stride, padding)
    grad_x = conv2d_grad_input(grad_z, filters, x.shape, stride, padding) if with_x else None
    if grad_x is not None and residual is not None:
        grad_x += residual
    return grad_x, grad_filters, grad_weight, grad_bias, grad_shortcut


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
    return normalization.inference(z, weight, bias, mean, var, eps, shortcut, relu=True)


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
