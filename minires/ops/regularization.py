"""Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up, so that evaluation needs no scaling.

y = x · scale with probability 1 − p, else 0; scale = 1/(1 − p)        dL/dx = dy · scale where x was kept, else 0
"""

import numpy as np

from minires.engine import Op, Tensor
from minires.kernels import Array, kernels_for
from minires.ops.shape import number

__all__ = ["dropout"]


class Dropout(Op):
    def __init__(self, kept: Array, scale: float) -> None:
        self.kept, self.scale = kept, scale

    def forward(self, x: Array) -> Array:
        return self.kernels.xp.where(self.kept, x * self.scale, 0)  # not x · mask: a dropped infinity is gone

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (self.kernels.xp.where(self.kept, grad_y * self.scale, 0),)


def dropout(x: Tensor, p: float, generator: np.random.Generator) -> Tensor:
    """Zero each number of x with probability p (0 ≤ p < 1), scale the others by 1/(1 − p); generator draws which."""
    if not 0 <= number("dropout", "p", p) < 1:
        raise ValueError(f"dropout: p must be at least 0 and below 1, got {p}")
    kept = kernels_for(x.data).xp.asarray(generator.random(x.shape) >= p)
    return Dropout(kept, 1 / (1 - p))(x)
