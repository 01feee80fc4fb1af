"""The gradients of sums, means, maxima and variances over axes, and the mistakes that people make in them."""

from collections.abc import Callable

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array

Axes = tuple[int, ...]


def reduction_right(kind: str, axes: Axes, keepdims: bool) -> Right:
    """Return what is known of a reduction over these axes: kind is "sum", "mean", "max" or "var"."""

    def spread(grad_y: Array, x: Array) -> Array:
        return np.broadcast_to(grad_y if keepdims else np.expand_dims(grad_y, axes), x.shape) + 0.0

    def count(x: Array) -> int:
        return int(np.prod([x.shape[axis] for axis in axes]))

    def sizes(grad_y: Array, x: Array) -> dict[str, float]:
        found = {"n": float(count(x)), "x.size": float(x.size)}
        return found | {f"x.shape[{axis}]": float(size) for axis, size in enumerate(x.shape)}

    def largest(grad_y: Array, x: Array) -> Array:
        return (x == x.max(axis=axes, keepdims=True)) * spread(grad_y, x)

    def ties(x: Array) -> Array:
        return np.sum(x == x.max(axis=axes, keepdims=True), axis=axes, keepdims=True)

    def first(grad_y: Array, x: Array) -> Array:
        moved = np.moveaxis(largest(grad_y, x), axes, range(-len(axes), 0))
        flat = moved.reshape(*moved.shape[: moved.ndim - len(axes)], -1)
        kept = np.where(np.cumsum(flat != 0, axis=-1) == 1, flat, 0)
        return np.moveaxis(kept.reshape(moved.shape), range(-len(axes), 0), axes)

    def centred(grad_y: Array, x: Array) -> dict[str, Array]:
        return {
            "the number's own term (2 · x / n)": spread(grad_y, x) * 2 * x / count(x),
            "the mean's term (2 · x̄ / n)": spread(grad_y, x) * -2 * x.mean(axis=axes, keepdims=True) / count(x),
        }

    if kind == "sum":
        return Right(spread, {}, sizes)
    if kind == "mean":
        return Right(lambda g, x: spread(g, x) / count(x), {}, sizes, "n")
    if kind == "var":
        return Right(centred, {}, sizes, "n")
    mistakes: dict[str, Callable[..., Array]] = {
        "equal maxima each get all of it; they share it": largest,
        "the first of equal maxima gets all of it; they share it": first,
        "every number gets all of it: that is a sum's gradient": spread,
        "every number gets a share: that is a mean's gradient": lambda g, x: spread(g, x) / count(x),
        "the smallest gets it": lambda g, x: (x == x.min(axis=axes, keepdims=True)) * spread(g, x),
    }
    return Right(lambda g, x: largest(g, x) / ties(x), mistakes, sizes)
