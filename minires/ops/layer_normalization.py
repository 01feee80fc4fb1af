"""Layer normalization (Ba, Kiros, Hinton 2016): image by image, over the M numbers of its last axes.

x̂ = (x − mean) / √(var + eps)        y = weight · x̂ + bias        one weight and one bias for each of the M places

With g = weight · dy, since every x of an image moves every x̂ of it, as in batch norm:

dL/dx = 1/√(var + eps) · (g − Σg/M − x̂ · Σ(g·x̂)/M)        sums over the M numbers
dL/dweight = Σ dy·x̂      dL/dbias = Σ dy                  sums over the images

No image knows of another, so training and evaluation are the same, and a batch of one is enough.
"""

import math
from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.shape import number, whole_numbers

__all__ = ["layer_norm"]


class LayerNorm(Op):
    """Normalization over the last `ndim` axes; with a weight, or a weight and a bias, of their shape, or without."""

    def __init__(self, ndim: int, eps: float) -> None:
        self.ndim, self.eps = ndim, eps

    def forward(self, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        axes = tuple(range(-self.ndim, 0))
        self.x, self.weight = x, weight
        self.mean, self.inv_std = moments(self.kernels.xp, x, axes, self.eps)
        y = (x - self.mean) * self.inv_std
        if weight is not None:
            y *= weight
        if bias is not None:
            y += bias
        return y

    def backward(self, grad_y: Array) -> tuple[Array, ...]:
        axes = tuple(range(-self.ndim, 0))
        images = tuple(range(grad_y.ndim - self.ndim))
        x_hat = (self.x - self.mean) * self.inv_std
        if self.weight is None:
            return (grad_of_normalized(grad_y, x_hat, self.inv_std, axes),)
        grad_x = grad_of_normalized(grad_y * self.weight, x_hat, self.inv_std, axes)
        grad_weight = (grad_y * x_hat).sum(axis=images)
        if len(self.inputs) == 2:
            return grad_x, grad_weight
        return grad_x, grad_weight, grad_y.sum(axis=images)


def moments(xp: Any, x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """Return the mean over the axes, which stay with size 1, and 1/√(var + eps), the variance biased."""
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    var = (centred * centred).mean(axis=axes, keepdims=True)
    return mean, 1 / xp.sqrt(var + eps)


def grad_of_normalized(grad_x_hat: Array, x_hat: Array, inv_std: Array, axes: tuple[int, ...]) -> Array:
    """Return dL/dx for x̂ = (x − mean) · inv_std, where mean and inv_std were computed from x, over the axes."""
    mean_term = grad_x_hat.mean(axis=axes, keepdims=True)
    variance_term = x_hat * (grad_x_hat * x_hat).mean(axis=axes, keepdims=True)
    return inv_std * (grad_x_hat - mean_term - variance_term)


def layer_norm(
    x: Tensor,
    normalized_shape: int | tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return x (…, *normalized_shape) normalized over its last axes, times weight, plus bias, of normalized_shape.

    normalized_shape: the sizes of those axes, a number for the last one alone. weight and bias may be missing, or the
    bias alone. ValueError where shapes do not fit, or there are fewer than two numbers to normalize.
    """
    shape = whole_numbers("layer_norm", "a size of normalized_shape", (normalized_shape,))
    eps = number("layer_norm", "eps", eps)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"layer_norm: x {x.shape} must end in normalized_shape {shape}; for images (N, C, H, W) that is (C, H, W), "
            "or take group_norm with one group, whose weight is (C,)"
        )
    if math.prod(shape) < 2:
        raise ValueError(
            f"layer_norm: normalized_shape {shape} of x {x.shape} is less than two numbers, so there is no variance"
        )
    inputs = with_weight_and_bias("layer_norm", x, weight, bias, shape)
    return LayerNorm(len(shape), eps)(*inputs)


def with_weight_and_bias(
    function: str, x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...]
) -> list[Tensor]:
    """Return the inputs that there are; ValueError for a weight or bias of another shape, or a bias alone."""
    inputs = [x]
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None:
            if tensor.shape != shape:
                raise ValueError(f"{function}: {name} {tensor.shape} must be {shape} for x {x.shape}")
            inputs.append(tensor)
    if weight is None and bias is not None:
        raise ValueError(f"{function}: bias {bias.shape} without a weight; give both, or add it to the result")
    return inputs
