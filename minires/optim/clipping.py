"""Gradient clipping by the norm of all gradients together (Pascanu, Mikolov and Bengio 2013, algorithm 1)."""

import math
from collections.abc import Iterable

from minires.engine import Tensor
from minires.kernels import kernels_for
from minires.kernels.norms import norm


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale the gradients so that ‖all of them as one vector‖₂ is at most max_norm; return the norm they had.

    Each `.grad` is bound to a new array, never written into: gradients may share memory. A norm of inf or nan is
    returned and leaves the gradients alone, since no factor mends them.
    TypeError for one tensor instead of several, ValueError for a max_norm not above 0.
    """
    if isinstance(params, Tensor):
        raise TypeError("clip_grad_norm: params must be a list of tensors, got one Tensor")
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm: max_norm must be above 0, got {max_norm}")
    with_grad = [param for param in params if param.grad is not None]
    grad_norm = norm(*[param.grad for param in with_grad if param.grad is not None])
    factor = max_norm / (grad_norm + 1e-6)  # the 1e-6 is PyTorch's
    if factor < 1 and math.isfinite(grad_norm):
        for param in with_grad:
            xp = kernels_for(param.data).xp
            param.grad = xp.asarray(xp.multiply(param.grad, float(factor)))  # NumPy makes a scalar of a 0-d product
    return grad_norm
