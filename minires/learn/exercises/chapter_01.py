"""Chapter 1: the gradient of a function of an array, by central differences."""

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from minires.kernels import Array
from minires.learn.examiner import Wrong, check_equal
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


def cubes(x: Array) -> float:
    return float(np.sum(x**3))


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal(5), rng.standard_normal(5)

    def line(x: Array) -> float:
        return float(weights @ x)

    head = "a weighted sum of five numbers"
    got = gradient(head, mine, line, x)
    if np.shape(got) == () or np.size(got) == 1:
        raise Wrong(f"{head}: this is one number; each of the five elements has its own slope, the others held still")
    if np.allclose(got, weights.sum()):
        raise Wrong(f"{head}: all elements move together: each must be moved alone, the others held still")
    if np.allclose(got, 2 * weights):
        raise Wrong(f"{head}: twice too large: from x − h to x + h it is 2h, and the quotient is over h")
    if np.allclose(got, -weights):
        raise Wrong(f"{head}: the sign is wrong: ahead minus behind, not behind minus ahead")
    yield from check_equal(head, got, weights, rtol=1e-7)

    head, h = "the sum of the cubes, with a large h", 0.1
    got = gradient(head, mine, cubes, x, h)
    if np.allclose(got, 3 * x**2 + 3 * x * h + h**2) or np.allclose(got, 3 * x**2 - 3 * x * h + h**2):
        raise Wrong(f"{head}: this is the one-sided quotient, whose error is of order h: step to both sides")
    if np.allclose(got, gradient(head, mine, cubes, x, h / 2)):
        raise Wrong(f"{head}: the result does not depend on h; is it used?")
    yield from check_equal(head, got, 3 * x**2 + h**2, "that is how exact central differences are: 3x² + h²", rtol=1e-7)

    x = rng.standard_normal((2, 3, 4))
    head = "the sum of the cubes of an array (2, 3, 4)"
    yield from check_equal(head, gradient(head, mine, cubes, x), 3 * x**2, rtol=1e-6)


def gradient(head: str, mine: ModuleType, f: Callable[[Array], float], x: Array, h: float = 1e-5) -> Array:
    """Call the reader's function on a copy; `Wrong` if it leaves that changed."""
    given = x.copy()
    got = mine.numeric_gradient(f, given, h)
    if got is None or got is ...:
        raise Wrong(f"{head}: there is nothing yet; is the gap (`...`) still there, or a return missing?")
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
    names=("numeric_gradient",),
    hints=HINTS,
    check=check,
)
