"""Mistakes that any function may make, whatever it computes: with what arrived at it, and with its own result."""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from minires.kernels import Array

Change = Callable[[Array], Array]


def of_what_arrives(grad_y: Array) -> Iterator[tuple[str, Change]]:
    """Yield what may be done to the gradient that arrives, before the right thing is done with it."""
    yield "what arrives is not used: this is the gradient for ones", np.ones_like
    yield "what arrives is squared", np.square
    yield "of what arrives only the size is used, not the sign", np.abs
    yield "of what arrives only the sign is used, not the size", np.sign
    yield "what arrives is cut off where it is negative itself", lambda grad: np.maximum(grad, 0)
    for axis in range(grad_y.ndim):
        of = "image of the batch" if axis == 0 and grad_y.ndim > 1 else f"place along axis {axis} of what arrives"
        yield f"only the first {of} counts", lambda grad, axis=axis: kept(grad, axis, 0, 1)  # type: ignore[misc]
        yield f"only the last {of} counts", lambda grad, axis=axis: kept(grad, axis, -1, None)  # type: ignore[misc]
        yield f"the first {of} is left out", lambda grad, axis=axis: kept(grad, axis, 1, None)  # type: ignore[misc]
        yield f"the last {of} is left out", lambda grad, axis=axis: kept(grad, axis, 0, -1)  # type: ignore[misc]
    for axes in sets_of_axes(grad_y.ndim):
        yield f"what arrives is flipped along {axis_names(axes)}", lambda grad, axes=axes: np.flip(grad, axes)  # type: ignore[misc]


def of_result(result: Array) -> Iterator[tuple[str, Change]]:
    """Yield what may be done to a right result."""
    ndim = result.ndim
    yield "it is squared", np.square
    yield "its sign is lost: these are sizes", np.abs
    for axes in sets_of_axes(ndim):
        yield f"it is flipped along {axis_names(axes)}", lambda one, axes=axes: np.flip(one, axes)  # type: ignore[misc]
    for first, second in combinations(range(ndim), 2):
        sentence = f"it is transposed: axes {first} and {second} are exchanged"
        yield sentence, lambda one, a=first, b=second: np.swapaxes(one, a, b).reshape(one.shape)  # type: ignore[misc]
    if ndim > 1:
        yield "its numbers lie in another order (a reshape where a transpose belongs)", reordered
    for axis in range(ndim):
        for shift in (1, -1):
            sentence = f"it is shifted by {shift} along axis {axis}".replace("-", "−")
            yield sentence, lambda one, s=shift, a=axis: moved(one, s, a)  # type: ignore[misc]
            sentence = f"it is turned round by {shift} along axis {axis}".replace("-", "−")
            yield sentence, lambda one, s=shift, a=axis: np.roll(one, s, a)  # type: ignore[misc]
    for axis in range(ndim):
        yield f"only the first place along axis {axis} is filled", lambda one, a=axis: kept(one, a, 0, 1)  # type: ignore[misc]
        yield f"the last place along axis {axis} is left out", lambda one, a=axis: kept(one, a, 0, -1)  # type: ignore[misc]
        yield f"the first place along axis {axis} is left out", lambda one, a=axis: kept(one, a, 1, None)  # type: ignore[misc]
    for axes in sets_of_axes(ndim):
        sentence = f"every place holds the sum over {axis_names(axes)}"
        yield sentence, lambda one, axes=axes: one.sum(axes, keepdims=True) + 0 * one  # type: ignore[misc]
    for axis in range(ndim):
        sentence = f"the mean over axis {axis} is taken off"
        yield sentence, lambda one, a=axis: one - one.mean(a, keepdims=True)  # type: ignore[misc]


def kept(array: Array, axis: int, start: int, stop: int | None) -> Array:
    """Return the array with zeros outside of a slice along an axis."""
    where = (slice(None),) * axis + (slice(start, stop),)
    result = np.zeros_like(array)
    result[where] = array[where]
    return result


def moved(array: Array, shift: int, axis: int) -> Array:
    """Return the array shifted along an axis, zeros coming in."""
    result = np.roll(array, shift, axis)
    edge = slice(0, shift) if shift > 0 else slice(shift, None)
    result[(slice(None),) * axis + (edge,)] = 0
    return result


def reordered(array: Array) -> Array:
    return array.T.reshape(array.shape)


def sets_of_axes(ndim: int) -> list[tuple[int, ...]]:
    """Return all non-empty sets of axes, small ones first."""
    return [axes for length in range(1, ndim + 1) for axes in combinations(range(ndim), length)]


def axis_names(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else "axes " + " and ".join(map(str, axes))
