"""The gradients of softmax and log_softmax along an axis, and what they become with the mistakes that people make.

y = log_softmax(x):   dL/dx = dy − softmax(x) · Σ dy
y = softmax(x):       dL/dx = y · (dy − Σ dy·y)
"""

from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array


def softmax(x: Array, axis: int) -> Array:
    exp = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(exp / exp.sum(axis=axis, keepdims=True))


def log_softmax(x: Array, axis: int) -> Array:
    return np.log(softmax(x, axis))


def summed(array: Array, axis: int | tuple[int, ...]) -> Array:
    return np.asarray(array.sum(axis=axis, keepdims=True))


def others(x: Array, axis: int) -> tuple[int, ...]:
    return tuple([one for one in range(x.ndim) if one != axis % x.ndim])


def log_softmax_right(axis: int) -> Right:
    def terms(grad_y: Array, x: Array, p: Any = softmax, total: Any = summed) -> dict[str, Array]:
        return {
            "the direct term (dy)": grad_y,
            "the term of the sum (softmax · Σ dy)": -p(x, axis) * total(grad_y, axis),
        }

    return Right(
        terms,
        {
            "each number's own gradient is multiplied with the softmax, where the row's gradients should meet": (
                lambda g, x: terms(g, x, total=lambda grad, axis: grad)
            ),
            "the gradients are summed over the batch: what meets is a row, one image's": (
                lambda g, x: terms(g, x, total=lambda grad, axis: summed(grad, others(grad, axis)))
            ),
            "all gradients are summed; what meets is a row, one image's": (
                lambda g, x: terms(g, x, total=lambda grad, axis: summed(grad, tuple(range(grad.ndim))))
            ),
            "the mean of the row's gradients is taken, not the sum": (
                lambda g, x: terms(g, x, total=lambda grad, axis: grad.mean(axis=axis, keepdims=True))
            ),
            "this is softmax's gradient, y · (dy − Σ dy·y), with the softmax for y": (
                lambda g, x: softmax(x, axis) * (g - summed(g * softmax(x, axis), axis))
            ),
            "this is softmax's gradient, y · (dy − Σ dy·y), with y = log_softmax for its y": (
                lambda g, x: log_softmax(x, axis) * (g - summed(g * log_softmax(x, axis), axis))
            ),
            "y stands for the softmax, which is e to the y": lambda g, x: terms(g, x, p=log_softmax),
            "e is taken twice": lambda g, x: terms(g, x, p=lambda x, axis: np.exp(softmax(x, axis))),
            "the softmax runs along the wrong axis": (
                lambda g, x: terms(g, x, p=lambda x, axis: softmax(x, others(x, axis)[0] if others(x, axis) else axis))
            ),
            "the softmax is multiplied into the sum, where it stands in front of it": (
                lambda g, x: g - summed(softmax(x, axis) * g, axis)
            ),
            "the whole is multiplied with the softmax": lambda g, x: {
                name: softmax(x, axis) * term for name, term in terms(g, x).items()
            },
            "the softmax alone is taken off: the sum of what arrives is missing": (
                lambda g, x: terms(g, x, total=lambda grad, axis: np.ones_like(summed(grad, axis)))
            ),
            "the sum is of ones: what arrives is not in it": (
                lambda g, x: terms(g, x, total=lambda grad, axis: summed(np.ones_like(grad), axis))
            ),
            "the sum stands alone, without the softmax in front": (
                lambda g, x: terms(g, x, p=lambda x, axis: np.ones_like(x))
            ),
            "1/K stands for the softmax": (
                lambda g, x: terms(g, x, p=lambda x, axis: np.full_like(x, 1 / x.shape[axis]))
            ),
            "the softmax stands in the denominator: 1 − softmax for it": (
                lambda g, x: terms(g, x, p=lambda x, axis: 1 - softmax(x, axis))
            ),
        },
        sizes,
    )  # fmt: skip


def softmax_right(axis: int) -> Right:
    def terms(grad_y: Array, x: Array) -> dict[str, Array]:
        y = softmax(x, axis)
        return {
            "the direct term (y · dy)": y * grad_y,
            "the term of the sum (y · Σ dy·y)": -y * summed(grad_y * y, axis),
        }

    return Right(
        terms,
        {
            "this is log_softmax's gradient, dy − y · Σ dy": lambda g, x: g - softmax(x, axis) * summed(g, axis),
            "the sum runs along the wrong axis": (
                lambda g, x: softmax(x, axis) * (g - summed(g * softmax(x, axis), others(x, axis)[-1:] or axis))
            ),
            "the sum runs along the batch's axis": (
                lambda g, x: softmax(x, axis) * (g - summed(g * softmax(x, axis), others(x, axis)[:1] or axis))
            ),
            "the sum runs over all axes but the right one": (
                lambda g, x: softmax(x, axis) * (g - summed(g * softmax(x, axis), others(x, axis) or axis))
            ),
            "the sum runs over all axes": (
                lambda g, x: softmax(x, axis) * (g - summed(g * softmax(x, axis), tuple(range(x.ndim))))
            ),
            "a mean of the row's gradients stands where the sum belongs, and that one's factor y is missing": (
                lambda g, x: softmax(x, axis) * (g - g.mean(axis=axis, keepdims=True))
            ),
            "the factor y in front is missing": lambda g, x: g - summed(g * softmax(x, axis), axis),
            "the sum lacks the factor y": lambda g, x: softmax(x, axis) * (g - summed(g, axis)),
            "each number's own share stands for the sum: y · (1 − y) · dy, the diagonal alone": (
                lambda g, x: g * softmax(x, axis) * (1 - softmax(x, axis))
            ),
            "y² stands in front of the sum's term": (
                lambda g, x: softmax(x, axis) * g - softmax(x, axis) ** 2 * summed(g * softmax(x, axis), axis)
            ),
        },
        sizes,
    )


def sizes(grad_y: Array, x: Array) -> dict[str, float]:
    return {"N": x.shape[0], "K": x.shape[-1]} if x.ndim > 1 else {"K": x.shape[-1]}
