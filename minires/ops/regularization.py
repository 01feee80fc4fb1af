"""Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up, so that evaluation needs no scaling.

y = x · mask,  mask = 0 with probability p, else 1/(1 − p)        dL/dx = dy · mask
"""

import numpy as np

from minires.engine import Op, Tensor
from minires.kernels import Array, kernels_for
from minires.ops.shape import number

__all__ = ["dropout"]


class Dropout(Op):
    def __init__(self, mask: Array) -> None:
        self.mask = mask

    def forward(self, x: Array) -> Array:
        return x * self.mask

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y * self.mask,)


def dropout(x: Tensor, p: float, generator: np.random.Generator) -> Tensor:
    """Zero each number of x with probability p (0 ≤ p < 1), scale the others by 1/(1 − p); generator draws which."""
    if not 0 <= number("dropout", "p", p) < 1:
        raise ValueError(f"dropout: p must be at least 0 and below 1, got {p}")
    kept = kernels_for(x.data).xp.asarray(generator.random(x.shape) >= p)
    return Dropout(kept.astype(x.dtype) / (1 - p))(x)
