"""The gradients of elementwise arithmetic, with what was broadcast summed up again, and the mistakes made in them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array


def sum_to(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes that an array of this shape does not have, or has one number along."""
    grad = np.asarray(grad)
    for _ in range(grad.ndim - len(shape)):
        grad = grad.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(axis=axis, keepdims=True)
    return grad


def mean_to(grad: Array, shape: tuple[int, ...]) -> Array:
    return sum_to(grad, shape) * np.prod(shape) / np.size(grad)


def binary_right(which: int, gradient: Callable[..., Array], mistakes: dict[str, Callable[..., Array]]) -> Right:
    """Return what is known of one side: gradient(grad_y, a, b), not yet summed over what was broadcast."""

    def summed(function: Callable[..., Array], reduce: Callable[..., Array] = sum_to) -> Callable[..., Array]:
        def of(grad_y: Array, a: Array, b: Array) -> Array:
            whole = np.broadcast_to(function(grad_y, a, b), np.broadcast_shapes(a.shape, b.shape))
            return reduce(whole, (a, b)[which].shape)

        return of

    variants = {sentence: summed(mistake) for sentence, mistake in mistakes.items()}
    variants["a mean is taken over what was broadcast, and should be a sum"] = summed(gradient, mean_to)
    return Right(summed(gradient), variants, sizes)


def sizes(grad_y: Array, *arrays: Array) -> dict[str, float]:
    return {f"the size of axis {axis}": size for axis, size in enumerate(np.shape(grad_y)) if size > 1}


OWN = "multiplied by the number itself, where the other factor belongs"

BINARY: dict[str, list[tuple[Callable[..., Array], dict[str, Callable[..., Array]]]]] = {
    "Add": [(lambda g, a, b: g, {}), (lambda g, a, b: g, {})],
    "Subtract": [(lambda g, a, b: g, {}), (lambda g, a, b: -g, {})],
    "Multiply": [
        (lambda g, a, b: g * b, {OWN: lambda g, a, b: g * a, "the other factor is missing": lambda g, a, b: g}),
        (lambda g, a, b: g * a, {OWN: lambda g, a, b: g * b, "the other factor is missing": lambda g, a, b: g}),
    ],
    "Divide": [
        (lambda g, a, b: g / b, {
            "multiplied by b, and should be divided": lambda g, a, b: g * b,
            "not divided by b": lambda g, a, b: g,
        }),
        (lambda g, a, b: -g * a / b**2, {
            "b is not squared in the denominator": lambda g, a, b: -g * a / b,
            "b is not squared in the denominator, and the sign is wrong": lambda g, a, b: g * a / b,
            "not divided by b²": lambda g, a, b: -g * a,
            "the factor a is missing": lambda g, a, b: -g / b**2,
        }),
    ],
    "Power": [
        (lambda g, a, b: g * b * a ** (b - 1), {
            "the exponent is not lowered: aᵇ, where aᵇ⁻¹ belongs": lambda g, a, b: g * b * a**b,
            "the exponent does not come down in front: the factor b is missing": lambda g, a, b: g * a ** (b - 1),
            "b − 1 comes down in front, where b belongs": lambda g, a, b: g * (b - 1) * a ** (b - 1),
        }),
        (lambda g, a, b: g * a**b * np.log(a), {
            "the factor log a is missing": lambda g, a, b: g * a**b,
            "the factor aᵇ is missing": lambda g, a, b: g * np.log(a),
            "this is the rule for the base, b · aᵇ⁻¹": lambda g, a, b: g * b * a ** (b - 1),
        }),
    ],
}  # fmt: skip


def binary_rights(name: str) -> list[Right]:
    """Return what is known of both sides of an operation, by the name of its op."""
    return [binary_right(which, *known) for which, known in enumerate(BINARY[name])]


def where_rights(condition: Array) -> list[Right]:
    def taken(chosen: Any, which: int) -> Any:
        return lambda grad_y, a, b: sum_to(np.where(chosen, grad_y, 0), (a, b)[which].shape)

    def side(chosen: Any, which: int) -> Right:
        return Right(
            taken(chosen, which),
            {
                "the sides are exchanged: this is what the other one should get": taken(~chosen, which),
                "the condition is forgotten: all of what arrives gets through": taken(True, which),
            },
        )

    return [side(np.asarray(condition), 0), side(~np.asarray(condition), 1)]
