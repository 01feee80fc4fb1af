"""Matrix products, and the linear layer.

    y = a @ b               dL/da = dy @ bᵀ        dL/db = aᵀ @ dy
    y = x @ weightᵀ + bias  dL/dx = dy @ weight    dL/dweight = dyᵀ @ x    dL/dbias = Σₙ dyₙ

N rows; C inputs, F outputs: x (N, C), weight (F, C), bias (F,), y (N, F).
"""

import math
from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.ops.arithmetic import both_tensors, check_broadcast, unbroadcast
from minires.ops.shape import reshape

__all__ = ["linear", "matmul"]


class MatMul(Op):
    def forward(self, a: Array, b: Array) -> Array:
        self.a, self.b = a, b
        return a @ b

    def backward(self, grad_y: Array) -> tuple[Array | None, Array | None]:
        grad_a = grad_b = None
        if self.needs_grad[0]:
            grad_a = unbroadcast(grad_y @ self.b.swapaxes(-1, -2), self.a.shape)
        if self.needs_grad[1]:
            grad_b = unbroadcast(self.a.swapaxes(-1, -2) @ grad_y, self.b.shape)
        return grad_a, grad_b


class Linear(Op):
    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        self.x, self.weight = x, weight
        y = x @ weight.T
        if bias is not None:
            y += bias
        return y

    def backward(self, grad_y: Array) -> tuple[Array | None, ...]:
        grad_x = grad_y @ self.weight if self.needs_grad[0] else None  # (N, F) @ (F, C)
        grad_weight = grad_y.T @ self.x  # (F, N) @ (N, C)
        if len(self.inputs) == 2:
            return grad_x, grad_weight
        grad_bias = grad_y.sum(axis=0)  # (F,)
        return grad_x, grad_weight, grad_bias


def matmul(a: Any, b: Any) -> Tensor:
    """Return a @ b as NumPy does: matrices in the last two axes, the axes before them broadcast, vectors allowed."""
    a, b = both_tensors(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape}: a single number has no matrix product; use *")
    rows = a if a.ndim > 1 else reshape(a, 1, -1)
    columns = b if b.ndim > 1 else reshape(b, -1, 1)
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape}: {rows.shape[-1]} columns against {columns.shape[-2]} rows"
        )
    check_broadcast(f"matmul of {a.shape} and {b.shape}", rows.shape[:-2], columns.shape[:-2])
    y = MatMul()(rows, columns)
    if a.ndim > 1 and b.ndim > 1:
        return y
    batch = y.shape[:-2]
    return reshape(y, batch + (rows.shape[-2],) * (a.ndim > 1) + (columns.shape[-1],) * (b.ndim > 1))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weightᵀ + bias: x (N, C), weight (F, C), bias (F,) or None, result (N, F).

    In place of N there may be any axes, or none: (N, L, C) gives (N, L, F), (C,) gives (F,).
    """
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: x {x.shape} and weight {weight.shape} must be (N, C) and (F, C) with one C; "
            "flatten images first: ops.flatten(x)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} must be {weight.shape[:1]}, one per row of weight {weight.shape}")
    if x.ndim != 2:
        rows = reshape(x, math.prod(x.shape[:-1]), x.shape[-1])
        return reshape(linear(rows, weight, bias), *x.shape[:-1], weight.shape[0])
    if bias is None:
        return Linear()(x, weight)
    return Linear()(x, weight, bias)
