"""Batch norm with what stands around it in a residual network, as one op.

y = max(bn(x), 0)                          g = dy where y > 0, else 0; the rest is batch norm's backward for g
y = max(bn(z) [+ shortcut], 0), z = conv(x)    dL/dshortcut = g; dL/dz, dL/dweight, dL/dbias are batch norm's for g,
                                               and dL/dx, dL/dfilters the convolution's for dL/dz

The same numbers as `conv2d`, `batch_norm`, `residual_add` and `relu` one after the other, with the activations read and
written fewer times. Models with fused=True use these; all formulas are in convolution.py, normalization.py, shortcut.py
and activation.py. Here the weights of the convolution are called filters, since batch norm has a weight too.
"""

import math
from collections.abc import Sequence

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.kernels.blocks import same_padding
from minires.ops.convolution import Pair, check_conv
from minires.ops.normalization import check_norm
from minires.ops.shortcut import check_shortcut

__all__ = ["batch_norm_relu", "conv2d_batch_norm_relu", "residual_block"]


class BatchNormReLU(Op):
    """max(batch norm by the batch's own statistics, 0); keeps them as `mean` and `var`."""

    def __init__(self, eps: float) -> None:
        self.eps = float(eps)

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        y, mean, var = self.kernels.batch_norm_relu_forward(x, weight, bias, self.eps)
        self.y, self.x, self.weight, self.mean, self.var = y, x, weight, mean, var
        return y

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array]:
        saved = self.y, self.x, self.weight, self.mean, self.var, self.eps
        grad_x, grad_weight, grad_bias = self.kernels.batch_norm_relu_backward(grad_y, *saved)
        return grad_x, grad_weight, grad_bias


class BatchNormReLUInference(Op):
    """max(normalization by given statistics, 0)."""

    def __init__(self, mean: Array, var: Array, eps: float) -> None:
        self.mean, self.var, self.eps = mean, var, float(eps)

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        self.x, self.weight = x, weight
        self.y = self.kernels.batch_norm_relu_inference(x, weight, bias, self.mean, self.var, self.eps)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array]:
        masked = self.kernels.relu_backward(grad_y, self.y)
        grads = self.kernels.batch_norm_inference_backward(masked, self.x, self.weight, self.mean, self.var, self.eps)
        grad_x, grad_weight, grad_bias = grads
        return grad_x, grad_weight, grad_bias


class ConvBatchNormReLU(Op):
    """max(batch norm, by the batch's own statistics, of a convolution [+ shortcut], 0); keeps them as `mean`, `var`."""

    def __init__(self, stride: Pair, padding: Pair, eps: float) -> None:
        self.stride, self.padding, self.eps = stride, padding, float(eps)

    def forward(self, x: Array, filters: Array, weight: Array, bias: Array, shortcut: Array | None = None) -> Array:
        given = x, filters, weight, bias, shortcut, self.stride, self.padding, self.eps
        y, z, mean, var = self.kernels.conv2d_batch_norm_relu_forward(*given)
        self.y, self.z, self.x, self.filters = y, z, x, filters
        self.weight, self.bias, self.mean, self.var = weight, bias, mean, var
        return y

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        saved = self.y, self.z, self.x, self.filters, self.weight, self.bias, self.mean, self.var
        with_x, with_shortcut = self.needs_grad[0], len(self.inputs) == 5
        wanted = self.stride, self.padding, self.eps, with_x, with_shortcut, None
        grads = self.kernels.conv2d_batch_norm_relu_backward(grad_y, *saved, *wanted)
        return grads if with_shortcut else grads[:4]


class ResidualBlock(Op):
    """A residual block whose shortcut has no parameters: its chain of convolutions, each with batch norm and relu, and
    the residual add before the last relu. Inputs: x, then filters, weight and bias of each layer.

    dL/dx is what comes back through the chain and, added to it, what comes back through the shortcut.
    """

    def __init__(self, strides: tuple[int, ...], eps: tuple[float, ...]) -> None:
        self.strides, self.eps = strides, tuple([float(one) for one in eps])

    def forward(self, x: Array, *params: Array) -> Array:
        self.layers = [params[i : i + 3] for i in range(0, len(params), 3)]
        y, self.saved = self.kernels.residual_block_forward(x, self.layers, self.strides, self.eps)
        return y

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        given = self.saved, self.layers, self.strides, self.eps, self.needs_grad[0]
        grad_x, grads = self.kernels.residual_block_backward(grad_y, *given)
        return grad_x, *[grad for layer in grads for grad in layer]


class ConvBatchNormReLUInference(Op):
    """max(normalization, by given statistics, of a convolution [+ shortcut], 0)."""

    def __init__(self, mean: Array, var: Array, stride: Pair, padding: Pair, eps: float) -> None:
        self.mean, self.var, self.stride, self.padding, self.eps = mean, var, stride, padding, float(eps)

    def forward(self, x: Array, filters: Array, weight: Array, bias: Array, shortcut: Array | None = None) -> Array:
        self.x, self.filters, self.weight = x, filters, weight
        given = x, filters, weight, bias, self.mean, self.var, shortcut, self.stride, self.padding, self.eps
        self.y = self.kernels.conv2d_batch_norm_relu_inference(*given)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        masked = self.kernels.relu_backward(grad_y, self.y)
        z = self.kernels.conv2d_forward(self.x, self.filters, None, self.stride, self.padding)  # forward never had it
        norm = self.weight, self.mean, self.var, self.eps
        grad_z, grad_weight, grad_bias = self.kernels.batch_norm_inference_backward(masked, z, *norm)
        window = self.stride, self.padding
        grad_x = None
        if self.needs_grad[0]:
            grad_x = self.kernels.conv2d_grad_input(grad_z, self.filters, self.x.shape, *window)
        grad_filters = self.kernels.conv2d_grad_weight(grad_z, self.x, self.filters.shape, *window)
        grads = grad_x, grad_filters, grad_weight, grad_bias
        return (*grads, masked) if len(self.inputs) == 5 else grads


def batch_norm_relu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Array | None = None,
    var: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Array, Array]:
    """Return relu(batch_norm(x, …)), mean and var; arguments and errors are those of `batch_norm`."""
    check_norm("batch_norm_relu", x.shape, weight, bias, mean, var)
    if mean is not None and var is not None:
        return BatchNormReLUInference(mean, var, eps)(x, weight, bias), mean, var
    op = BatchNormReLU(eps)
    y = op(x, weight, bias)
    return y, op.mean, op.var


def conv2d_batch_norm_relu(
    x: Tensor,
    filters: Tensor,
    weight: Tensor,
    bias: Tensor,
    shortcut: Tensor | None = None,
    mean: Array | None = None,
    var: Array | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    eps: float = 1e-5,
) -> tuple[Tensor, Array, Array]:
    """Return y = relu(batch_norm(conv2d(x, filters)) [+ shortcut]), mean and var.

    x (N, C, H, W), filters (F, C, KH, KW), weight, bias, mean, var (F,), shortcut of y's shape (N, F, I, J). Arguments
    and errors are those of `conv2d`, `batch_norm` and `residual_add`.
    """
    name = "conv2d_batch_norm_relu"
    stride, padding, y_shape = check_conv(name, x.shape, filters.shape, stride, padding)
    check_norm(name, y_shape, weight, bias, mean, var)
    if shortcut is not None:
        check_shortcut(name, shortcut.shape, y_shape)
    inputs = (x, filters, weight, bias) if shortcut is None else (x, filters, weight, bias, shortcut)
    if mean is not None and var is not None:
        return ConvBatchNormReLUInference(mean, var, stride, padding, eps)(*inputs), mean, var
    op = ConvBatchNormReLU(stride, padding, eps)
    y = op(*inputs)
    return y, op.mean, op.var


def residual_block(
    x: Tensor, layers: Sequence[tuple[Tensor, Tensor, Tensor]], strides: tuple[int, ...], eps: tuple[float, ...]
) -> tuple[Tensor, list[tuple[int, Array, Array]]]:
    """Return a block's output relu(norm(conv(… relu(norm(conv(x))) …)) + shortcut), and of each norm the numbers per
    channel that it saw, their mean and their var.

    The shortcut is x or, where shapes change, `option_a` of x. layers: filters (F, C, KH, KW), padded to keep sizes at
    stride 1, weight and bias (F,) of each; strides and eps: one each. Errors are those of `conv2d`, `batch_norm` and
    `residual_add`.
    """
    name, shape = "residual_block", x.shape
    if not 1 <= len(layers) == len(strides) == len(eps) or not all(isinstance(stride, int) for stride in strides):
        raise ValueError(
            f"{name}: {len(layers)} layers need a stride, a whole number, and an eps each, got {strides} and {eps}"
        )
    for (filters, weight, bias), stride in zip(layers, strides, strict=True):
        _, _, y_shape = check_conv(name, shape, filters.shape, stride, same_padding(filters.shape))
        if filters.shape[2] % 2 == 0 or filters.shape[3] % 2 == 0:
            raise ValueError(
                f"{name}: filters {filters.shape} must have odd sizes, so that padding keeps that of images"
            )
        shape = y_shape
        check_norm(name, shape, weight, bias, None, None)
    stride = math.prod(strides)
    shortcut = (x.shape[0], max(shape[1], x.shape[1]), -(-x.shape[2] // stride), -(-x.shape[3] // stride))
    check_shortcut(name, shortcut, shape)  # option A never takes channels away
    op = ResidualBlock(strides, eps)
    y = op(x, *[tensor for layer in layers for tensor in layer])
    return y, [(z.size // z.shape[1], mean, var) for _, z, _, mean, var in op.saved]
