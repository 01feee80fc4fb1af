"""Moving numbers around: each gradient goes back to where its number came from.

reshape, transpose   the same move, undone
pad                  crop
concatenate          split
x[index]             zeros, with dy added at index (added: an index may name a number twice)
"""

import math
import numbers
import operator
from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array

__all__ = ["concatenate", "flatten", "getitem", "pad", "reshape", "transpose"]

Axis = int | tuple[int, ...] | None


class Reshape(Op):
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y.reshape(self.x_shape),)


class Transpose(Op):
    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose(self.axes)

    def backward(self, grad_y: Array) -> tuple[Array]:
        inverse = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return (grad_y.transpose(inverse),)


class Pad(Op):
    def __init__(self, widths: tuple[tuple[int, int], ...]) -> None:
        self.widths = widths

    def forward(self, x: Array) -> Array:
        self.inside = tuple(
            [slice(before, before + size) for (before, _), size in zip(self.widths, x.shape, strict=True)]
        )
        return self.kernels.xp.pad(x, self.widths)

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y[self.inside],)


class Concatenate(Op):
    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: Array) -> Array:
        self.sizes = [array.shape[self.axis] for array in arrays]
        return self.kernels.xp.concatenate(arrays, axis=self.axis)

    def backward(self, grad_y: Array) -> tuple[Array, ...]:
        grads, start = [], 0
        for size in self.sizes:
            index = (slice(None),) * self.axis + (slice(start, start + size),)
            grads.append(grad_y[index])
            start += size
        return tuple(grads)


class Getitem(Op):
    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return x[self.index]

    def backward(self, grad_y: Array) -> tuple[Array]:
        xp = self.kernels.xp
        grad_x = xp.zeros(self.x_shape, grad_y.dtype)
        xp.add.at(grad_x, self.index, grad_y)
        return (grad_x,)


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """Return x with another shape of the same size; one entry may be −1. `reshape(x, 2, 3)` or `reshape(x, (2, 3))`."""
    new = whole_numbers("reshape", "a size", shape)
    known = math.prod([size for size in new if size != -1])
    fits = new.count(-1) == 1 and known > 0 and x.size % known == 0 if -1 in new else known == x.size
    if not fits:
        raise ValueError(f"reshape: {x.size} numbers of shape {x.shape} do not fit shape {new}")
    return Reshape(new)(x)


def transpose(x: Tensor, *axes: Any) -> Tensor:
    """Return x with its axes in the given order; without any, in reverse order."""
    order = whole_numbers("transpose", "an axis", axes)
    if not order:
        order = tuple(reversed(range(x.ndim)))
    order = tuple([axis + x.ndim if axis < 0 else axis for axis in order])
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"transpose: axes {axes} do not name each axis of shape {x.shape} once")
    return Transpose(order)(x)


def flatten(x: Tensor, start_axis: int = 1) -> Tensor:
    """Return x with the axes from start_axis on made one: (N, C, H, W) becomes (N, C·H·W)."""
    start_axis = whole("flatten", "start_axis", start_axis)
    if not 0 <= start_axis < max(x.ndim, 1):
        raise ValueError(f"flatten: start_axis {start_axis} is out of range for shape {x.shape}")
    return reshape(x, *x.shape[:start_axis], math.prod(x.shape[start_axis:]))


def pad(x: Tensor, pad_width: Any) -> Tensor:
    """Return x with zeros around it. pad_width: one (before, after) pair per axis, as np.pad's."""
    widths: Any
    try:
        widths = tuple([tuple([whole("pad", "a width", width) for width in pair]) for pair in pad_width])
    except TypeError as error:
        wanted = f"one (before, after) pair of whole numbers per axis of shape {x.shape}"
        raise TypeError(f"pad: pad_width {pad_width} is not {wanted}") from error
    if len(widths) != x.ndim or any(len(pair) != 2 or min(pair) < 0 for pair in widths):
        raise ValueError(f"pad: pad_width {pad_width} is not one (before, after) pair per axis of shape {x.shape}")
    return Pad(widths)(x)


def concatenate(tensors: Any, axis: int = 0) -> Tensor:
    """Join tensors along an axis; all other sizes must agree."""
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError("concatenate: no tensors to join")
    (axis,) = checked_axes("concatenate", tensors[0], axis)
    others = {(tensor.ndim, tensor.shape[:axis], tensor.shape[axis + 1 :]) for tensor in tensors}
    if len(others) > 1:
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise ValueError(f"concatenate: shapes {shapes} differ elsewhere than along axis {axis}")
    return Concatenate(axis)(*tensors)


def getitem(x: Tensor, index: Any) -> Tensor:
    """Return x[index], with NumPy's meaning of an index: numbers, slices, None, arrays of integers or bools."""
    if isinstance(index, Tensor) or (isinstance(index, tuple) and any(isinstance(part, Tensor) for part in index)):
        raise TypeError("x[index]: index with arrays, not with tensors: x[labels.data]")
    return Getitem(index)(x)


def checked_axes(name: str, x: Tensor, axis: Axis) -> tuple[int, ...]:
    """Return the axes as a sorted tuple of numbers from 0 on; ValueError for one that x has not, or named twice."""
    if axis is None:
        return tuple(range(x.ndim))
    given = whole_numbers(name, "an axis", (axis,))
    for one in given:
        if not -x.ndim <= one < x.ndim:
            raise ValueError(f"{name}: axis {one} is out of range for shape {x.shape}")
    axes = sorted({one % x.ndim for one in given})
    if len(axes) != len(given):
        raise ValueError(f"{name}: axis {axis} names one axis of shape {x.shape} twice")
    return tuple(axes)


def whole(function: str, name: str, value: Any) -> int:
    """Return a whole number, Python's or NumPy's, as an int; TypeError for anything else, 1.5, 2.0, None, "same"."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{function}: {name} must be a whole number, got {value!r}") from None


def whole_numbers(function: str, name: str, given: tuple[Any, ...]) -> tuple[int, ...]:
    """Return f(2, 3), f((2, 3)) and f(np.array([2, 3])) as (2, 3)."""
    if len(given) == 1 and (isinstance(given[0], tuple | list) or getattr(given[0], "ndim", 0) == 1):
        given = tuple(given[0])
    return tuple([whole(function, name, value) for value in given])


def number(function: str, name: str, value: Any) -> float:
    """Return a number, Python's or NumPy's, as a float; TypeError for anything else."""
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(f"{function}: {name} must be a number, got {value!r}")
