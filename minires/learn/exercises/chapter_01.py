"""Chapter 1: the gradient of a function of an array, by central differences."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_equal, check_values, generator, refuse_nothing
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 1: the numeric gradient of a function of an array.

For each element x[i] of an array, with the others held still,

    grad[i] = (f(x with x[i] + h) − f(x with x[i] − h)) / 2h

Fill in the function, then run `minires check 1`. `minires check 1 --hint` helps.
"""

import numpy as np


def numeric_gradient(f, x, h=1e-5):
    """Return the gradient of f at x by central differences, an array of x's shape.

    f takes an array of x's shape and returns one number. x is a float64 array of any shape, the caller's own: leave it
    as it was.
    """
    ...
'''

HINTS = (
    "np.ndindex(x.shape) runs through the indices of an array of any shape; x[index] and grad[index] take them as they "
    "come.",
    "For each index make a copy of x to move: ahead = x.copy(), then change ahead[index] alone. Another for behind.",
    "Two evaluations of f for each element; the distance between the two points is 2h, not h.",
)


H = 0.1  # large, so that it shows which differences are taken: of x³ the central one gives 3x² + h²


def cubes(x: Array) -> float:
    return float(np.sum(x**3))


def mixed(x: Array) -> float:
    """A function whose elements act on each other: Σ x³ + (Σ x)²."""
    return float(np.sum(x**3) + np.sum(x) ** 2)


def central(f: Callable[[Array], float], x: Array, h: float, part: Callable[..., Any] | None = None) -> Array:
    """Take central differences; for each index, move what `part` says: the element alone, where it is not given."""
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        move = np.zeros(x.shape)
        move[index if part is None else part(index)] = h
        grad[index] = (f(x + move) - f(x - move)) / (2 * h)
    return grad


def one_sided(f: Callable[[Array], float], x: Array, h: float) -> Array:
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        move = np.zeros(x.shape)
        move[index] = h
        grad[index] = (f(x + move) - f(x)) / h
    return grad


def moved_ever_further(f: Callable[[Array], float], x: Array, h: float) -> Array:
    """The copies are made once, in front of the loop, so that what was moved stays moved."""
    grad, ahead, behind = np.zeros(x.shape), x.copy(), x.copy()
    for index in np.ndindex(x.shape):
        ahead[index] += h
        behind[index] -= h
        grad[index] = (f(ahead) - f(behind)) / (2 * h)
    return grad


def relative(f: Callable[[Array], float], x: Array, h: float) -> Array:
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        move = np.zeros(x.shape)
        move[index] = h * x[index]
        grad[index] = (f(x + move) - f(x - move)) / (2 * h * x[index])
    return grad


def set_to_h(f: Callable[[Array], float], x: Array, h: float) -> Array:
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index], behind[index] = h, -h
        grad[index] = (f(ahead) - f(behind)) / (2 * h)
    return grad


def last_axis_first(f: Callable[[Array], float], x: Array, h: float) -> Array:
    return central(f, x, h).T.reshape(x.shape)


DIFFERENCES = Right(
    central,
    {
        "all elements move together: each must be moved alone, the others held still": (
            lambda f, x, h: central(f, x, h, lambda index: ...)
        ),
        "whole rows are moved: x[i] is all that has the first index i; each element must be moved alone": (
            lambda f, x, h: central(f, x, h, lambda index: index[0])
        ),
        "whole columns are moved, all that has the same last index; each element must be moved alone": (
            lambda f, x, h: central(f, x, h, lambda index: (..., index[-1]))
        ),
        "this is the one-sided quotient, whose error is of order h: step to both sides": one_sided,
        "this is the one-sided quotient, whose error is of order h (backwards): step to both sides": (
            lambda f, x, h: one_sided(f, x, -h)
        ),
        "this is half of the one-sided quotient: one step of h, and divided by 2h": (
            lambda f, x, h: one_sided(f, x, h) / 2
        ),
        "twice too large: from x − h to x + h it is 2h, and the quotient is over h": lambda f, x, h: (
            2 * central(f, x, h)
        ),
        "four times too small: it is divided by 2h, and by h/2 once more": lambda f, x, h: central(f, x, h) / 4,
        "the difference is not divided by 2h": lambda f, x, h: 2 * h * central(f, x, h),
        "half too small: the distance of the two points is 2h, not 4h": lambda f, x, h: central(f, x, h) / 2,
        "the difference is multiplied by 2h, not divided": lambda f, x, h: (2 * h) ** 2 * central(f, x, h),
        "it is divided by h² (the second derivative is)": lambda f, x, h: 2 * central(f, x, h) / h,
        "the sign is wrong: ahead minus behind, not behind minus ahead": lambda f, x, h: -central(f, x, h),
        "elements that were moved stay moved for those that come after: move a copy made anew": moved_ever_further,
        "the step is h times the element; it should be h itself": relative,
        "the element is set to h and −h; it should be moved by h": set_to_h,
        "the step is not h (2h to each side)": lambda f, x, h: central(f, x, 2 * h),
        "the step is not h (h/2 to each side)": lambda f, x, h: central(f, x, h / 2),
        "the numbers lie in another order: the last index should run fastest, as in x": last_axis_first,
        "the result does not depend on h; is it used?": lambda f, x, h: central(f, x, 1e-5),
    },
    arrives=False,
    close=1e-7,
)


def check(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "a weighted sum")
    x, weights = rng.standard_normal(5), rng.standard_normal(5)
    head = "a weighted sum, cubes and the square of a sum, of five numbers, with a large h"

    def line(x: Array) -> float:
        return float(weights @ x)

    got = gradient(head, mine, line, x)
    if np.shape(got) == () or np.size(got) == 1:
        raise Wrong(f"{head}: this is one number; each of the five elements has its own slope, the others held still")
    functions = itertools.cycle([line, cubes, mixed])  # of a straight line, many wrong differences are right
    yield from examined(mine, head, lambda rng: (next(functions), rng.standard_normal(5), H), seed)
    for shape in ((3, 4), (2, 3, 4)):
        head = f"cubes and the square of a sum, of an array {shape}"
        yield from examined(mine, head, lambda rng, shape=shape: (mixed, rng.standard_normal(shape), H), seed)
    x = rng.standard_normal((2, 3))
    yield from check_equal("the step h where none is given", mine.numeric_gradient(cubes, x), 3 * x**2, rtol=1e-6)


def examined(mine: Any, head: str, draw: Callable[..., tuple[Any, ...]], seed: int) -> Iterator[str]:
    def function(f: Callable[[Array], float], x: Array, h: float) -> Array:
        return gradient(head, mine, f, x, h)

    yield from check_values(head, function, DIFFERENCES, draw, seed)


def gradient(head: str, mine: Any, f: Callable[[Array], float], x: Array, h: float = 1e-5) -> Array:
    """Call the reader's function on a copy; `Wrong` if it leaves that changed."""

    def asked(moved: Array) -> float:
        if np.shape(moved) != x.shape:
            raise Wrong(f"{head}: f is called with an array {np.shape(moved)}; it takes one of x's shape, {x.shape}")
        return f(moved)

    given = x.copy()
    got = mine.numeric_gradient(asked, given, h)
    refuse_nothing(head, got)
    if not np.array_equal(given, x):
        raise Wrong(f"{head}: x is not what it was: elements were moved and not put back, so the caller's array drifts")
    if isinstance(got, np.ndarray) and got.dtype != np.float64:
        raise Wrong(f"{head}: the gradient holds {got.dtype}, and should hold float64")
    return got


EXERCISE = Exercise(
    chapter=1,
    name="numeric_gradient",
    title="The gradient of a function of an array, by central differences",
    text=TEXT,
    hints=HINTS,
    checks={"numeric_gradient": check},
)
