"""Batch normalization (Ioffe & Szegedy 2015): per channel, over the M = N·H·W numbers of a batch.

x̂ = (x − mean) / √(var + eps)        y = weight · x̂ + bias

training:    mean and var are the batch's own, so every x moves every x̂:
             dL/dx = weight/√(var + eps) · (dy − Σdy/M − x̂ · Σ(dy·x̂)/M)
evaluation:  mean and var are given, constants: dL/dx = weight/√(var + eps) · dy
both:        dL/dweight = Σ dy·x̂      dL/dbias = Σ dy
"""

import math

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.shape import number

__all__ = ["batch_norm"]


class BatchNorm(Op):
    """Normalization by the batch's own statistics, which it keeps as `mean` and `var`."""

    def __init__(self, eps: float) -> None:
        self.eps = number("batch_norm", "eps", eps)

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        y, mean, var = self.kernels.batch_norm_forward(x, weight, bias, self.eps)
        self.x, self.weight, self.mean, self.var = x, weight, mean, var
        return y

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array]:
        grads = self.kernels.batch_norm_backward(grad_y, self.x, self.weight, self.mean, self.var, self.eps)
        grad_x, grad_weight, grad_bias = grads
        return grad_x, grad_weight, grad_bias


class BatchNormInference(Op):
    """Normalization by given statistics."""

    def __init__(self, mean: Array, var: Array, eps: float) -> None:
        self.mean, self.var, self.eps = mean, var, number("batch_norm", "eps", eps)

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        self.x, self.weight = x, weight
        return self.kernels.batch_norm_inference(x, weight, bias, self.mean, self.var, self.eps)

    def backward(self, grad_y: Array) -> tuple[Array, Array, Array]:
        grads = self.kernels.batch_norm_inference_backward(grad_y, self.x, self.weight, self.mean, self.var, self.eps)
        grad_x, grad_weight, grad_bias = grads
        return grad_x, grad_weight, grad_bias


def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Array | None = None, var: Array | None = None, eps: float = 1e-5
) -> tuple[Tensor, Array, Array]:
    """Return y, mean and var: x (N, C, H, W) or (N, C) normalized per channel; weight, bias, mean, var are (C,).

    Without mean and var the batch's own are used (var biased: divided by M) and differentiated; given arrays are
    constants. ValueError where shapes do not fit or a batch has one number per channel, whose variance is 0; TypeError
    for two dtypes.
    """
    check_norm("batch_norm", x.shape, weight, bias, mean, var)
    if mean is not None and var is not None:
        return BatchNormInference(mean, var, eps)(x, weight, bias), mean, var
    op = BatchNorm(eps)
    y = op(x, weight, bias)
    return y, op.mean, op.var


def check_norm(
    function: str, shape: tuple[int, ...], weight: Tensor, bias: Tensor, mean: Array | None, var: Array | None
) -> None:
    """ValueError where the shape of x does not fit the others, or a batch has no variance; TypeError for two dtypes."""
    C = shape[1] if len(shape) in (2, 4) else None
    if C is None or weight.shape != (C,) or bias.shape != (C,):
        raise ValueError(
            f"{function}: x {shape} must be (N, C, H, W) or (N, C), weight {weight.shape} and bias "
            f"{bias.shape} one number per channel, (C,)"
        )
    if (mean is None) != (var is None):
        raise ValueError(f"{function}: give both mean and var, or neither")
    if mean is not None and var is not None:
        if mean.shape != (C,) or var.shape != (C,):
            raise ValueError(f"{function}: mean {mean.shape} and var {var.shape} must be ({C},) for x {shape}")
        if not mean.dtype == var.dtype == weight.dtype:
            raise TypeError(f"{function}: mean {mean.dtype} and var {var.dtype} must be {weight.dtype}, as weight is")
    elif math.prod(shape) <= C:
        raise ValueError(
            f"{function}: x {shape} has at most one number per channel, so no batch variance; "
            "use a larger batch or larger images, evaluation mode, or drop_last where it is an epoch's last batch"
        )
