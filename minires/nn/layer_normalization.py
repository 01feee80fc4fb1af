"""Layer norm layers: the op and its weight and bias. No running statistics, so there is no evaluation mode."""

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.nn.module import Module, Parameter, check_sizes
from minires.ops.shape import number, whole_numbers

__all__ = ["LayerNorm"]


class LayerNorm(Module):
    """y = weight · (x - mean) / √(var + eps) + bias over the last axes of x (…, *normalized_shape). Ba et al., 2016.

    normalized_shape: the sizes of those axes, a number for the last one alone. weight and bias have that shape; both
    are None with elementwise_affine=False, the bias alone with bias=False. Images need their H and W here, as in
    PyTorch; `GroupNorm(1, C)` takes images of any size.
    """

    weight_is_scale = True  # it starts at 1, however many axes it has: see nn.initialization

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        shape = whole_numbers("LayerNorm", "a size of normalized_shape", (normalized_shape,))
        if not shape:
            raise ValueError("LayerNorm: normalized_shape must name at least one axis, got ()")
        check_sizes("LayerNorm", **{f"normalized_shape[{axis}]": size for axis, size in enumerate(shape)})
        self.normalized_shape = shape
        self.eps = number("LayerNorm", "eps", eps)
        self.weight = Parameter(np.ones(shape, np.float32)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, np.float32)) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
