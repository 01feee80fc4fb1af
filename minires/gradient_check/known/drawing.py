"""Small arrays, drawn anew, for an op whose formulas are known: other numbers, and other sizes where it takes them."""

from collections.abc import Callable

import numpy as np

from minires.kernels import Array

Draw = Callable[[np.random.Generator, list[Array]], list[Array]]


def of_shape(shape: Callable[[np.random.Generator, list[Array]], tuple[int, ...]]) -> Draw:
    """Draw all inputs with one shape."""

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        chosen = shape(rng, arrays)
        return [rng.standard_normal(chosen) for _ in arrays]

    return draw


def some_shape(rng: np.random.Generator, arrays: list[Array]) -> tuple[int, ...]:
    """A small shape of as many axes as the first input has."""
    return tuple(map(int, 3 + rng.permutation(arrays[0].ndim) % 3 + rng.integers(0, 2)))


def images(rng: np.random.Generator, least: tuple[int, int] = (1, 1)) -> tuple[int, int, int]:
    """A small batch, and a height and a width that differ and are no smaller than `least`."""
    height, width = rng.permutation([6, 7]) + rng.integers(0, 2)
    return int(2 + rng.integers(0, 2)), max(int(height), least[0]), max(int(width), least[1])


def as_it_was(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
    """Draw other numbers of the same shapes, which the op was made for."""
    return [rng.standard_normal(array.shape) for array in arrays]


def broadcast_alike(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
    """Draw arrays of other sizes that broadcast as these do; those of one axis or more are no longer than 5."""
    ndim = max(array.ndim for array in arrays)
    new = [int(size) for size in 2 + rng.permutation(4)[: min(ndim, 4)]] + [2] * max(ndim - 4, 0)
    shapes = [
        [1 if size == 1 else new[ndim - array.ndim + axis] for axis, size in enumerate(array.shape)] for array in arrays
    ]
    return [rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape) for shape in shapes]
