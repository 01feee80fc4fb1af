"""Batch norm with what follows it in a residual network, as one op: relu, or the residual add and relu.

y = max(bn(x), 0)               g = dy where y > 0, else 0
y = max(bn(x) + shortcut, 0)    dL/dshortcut = g, and dL/dx, dL/dweight, dL/dbias are batch norm's for g

The same numbers as `batch_norm`, `residual_add` and `relu` one after the other, with the activations read and written
fewer times. Models with fused=True use these; all formulas are in normalization.py, shortcut.py and activation.py.
"""

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.normalization import check_norm
from minires.ops.shortcut import check_shortcut


class BatchNormReLU(Op):
    """max(batch norm by the batch's own statistics, 0); keeps them as `mean` and `var`."""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        y, mean, var = self.kernels.batch_norm_relu_forward(x, weight, bias, self.eps)
        self.y, self.x, self.weight, self.mean, self.var = y, x, weight, mean, var
        return y

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array]:
        saved = self.y, self.x, self.weight, self.mean, self.var, self.eps
        grad_x, grad_weight, grad_bias = self.kernels.batch_norm_relu_backward(grad_y, *saved)
        return grad_x, grad_weight, grad_bias


class BatchNormAddReLU(Op):
    """max(batch norm by the batch's own statistics + shortcut, 0); keeps them as `mean` and `var`."""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Array, shortcut: Array, weight: Array, bias: Array) -> Array:
        y, mean, var = self.kernels.batch_norm_add_relu_forward(x, shortcut, weight, bias, self.eps)
        self.y, self.x, self.weight, self.mean, self.var = y, x, weight, mean, var
        return y

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array, Array]:
        saved = self.y, self.x, self.weight, self.mean, self.var, self.eps
        grad_x, grad_shortcut, grad_weight, grad_bias = self.kernels.batch_norm_add_relu_backward(grad_y, *saved)
        return grad_x, grad_shortcut, grad_weight, grad_bias


class BatchNormReLUInference(Op):
    """max(normalization by given statistics, 0)."""

    def __init__(self, mean: Array, var: Array, eps: float) -> None:
        self.mean, self.var, self.eps = mean, var, eps

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        self.x, self.weight = x, weight
        self.y = self.kernels.batch_norm_relu_inference(x, weight, bias, self.mean, self.var, self.eps)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array]:
        masked = self.kernels.relu_backward(grad_y, self.y)
        grads = self.kernels.batch_norm_inference_backward(masked, self.x, self.weight, self.mean, self.var, self.eps)
        grad_x, grad_weight, grad_bias = grads
        return grad_x, grad_weight, grad_bias


class BatchNormAddReLUInference(Op):
    """max(normalization by given statistics + shortcut, 0)."""

    def __init__(self, mean: Array, var: Array, eps: float) -> None:
        self.mean, self.var, self.eps = mean, var, eps

    def forward(self, x: Array, shortcut: Array, weight: Array, bias: Array) -> Array:
        self.x, self.weight = x, weight
        norm = weight, bias, self.mean, self.var, self.eps
        self.y = self.kernels.batch_norm_add_relu_inference(x, shortcut, *norm)
        return self.y

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array, Array]:
        masked = self.kernels.relu_backward(grad_y, self.y)
        grads = self.kernels.batch_norm_inference_backward(masked, self.x, self.weight, self.mean, self.var, self.eps)
        grad_x, grad_weight, grad_bias = grads
        return grad_x, masked, grad_weight, grad_bias


def batch_norm_relu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Array | None = None,
    var: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Array, Array]:
    """Return relu(batch_norm(x, …)), mean and var; arguments and errors are those of `batch_norm`."""
    check_norm("batch_norm_relu", x, weight, bias, mean, var)
    if mean is not None and var is not None:
        return BatchNormReLUInference(mean, var, eps)(x, weight, bias), mean, var
    op = BatchNormReLU(eps)
    y = op(x, weight, bias)
    return y, op.mean, op.var


def batch_norm_add_relu(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Array | None = None,
    var: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Array, Array]:
    """Return relu(residual_add(shortcut, batch_norm(x, …))), mean and var; arguments and errors are those of both."""
    check_norm("batch_norm_add_relu", x, weight, bias, mean, var)
    check_shortcut("batch_norm_add_relu", shortcut, x)
    if mean is not None and var is not None:
        return BatchNormAddReLUInference(mean, var, eps)(x, shortcut, weight, bias), mean, var
    op = BatchNormAddReLU(eps)
    y = op(x, shortcut, weight, bias)
    return y, op.mean, op.var
