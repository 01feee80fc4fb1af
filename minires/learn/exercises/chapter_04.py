"""Chapter 4: a gradient checker, examined with right gradients and with wrong ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from minires.kernels import Array
from minires.learn.examiner import Wrong
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 4: a gradient checker.

Fill in the function, then run `minires check 4`: it shows your checker right gradients and wrong ones.
`minires check 4 --hint` helps.
"""

import numpy as np


def gradient_is_right(forward, backward, x):
    """Return True if `backward` is the gradient of `forward` at x, else False.

    forward(x) returns an array y, of any shape; backward(grad_y, x) returns dL/dx for the output gradient dL/dy that it
    is handed, of the shape of x. x is a float64 array of any shape, the caller's own: leave it as it was.

    With L = Σ grad_y · forward(x), for an output gradient of your choice, compare backward's gradient with central
    differences of L.
    """
    ...
'''

HINTS = (
    "Which output gradient? One that makes no sum constant by accident: see the chapter's first figure.",
    "The function of chapter 1's exercise does the differences, if you hand it lambda x: np.sum(grad_y * forward(x)).",
    "When do two numbers agree? Relative to their size, to 1e-6 or so, and absolutely near zero: np.allclose has both, "
    "rtol and atol.",
)


@dataclass(frozen=True)
class Gradient:
    """One gradient to be judged. says: what to tell a checker that judges it wrongly."""

    name: str
    right: bool
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]
    says: str
    shape: tuple[int, ...] = (3, 4)


def softmax(x: Array) -> Array:
    exp = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def softmax_backward(grad_y: Array, x: Array) -> Array:
    y = softmax(x)
    return np.asarray(y * (grad_y - (grad_y * y).sum(axis=1, keepdims=True)))


def square_backward(grad_y: Array, x: Array) -> Array:
    return 2 * x * grad_y


def last_one_off(grad_y: Array, x: Array) -> Array:
    grad = 2 * x * grad_y
    grad.flat[-1] *= 1.5
    return grad


def places_exchanged(grad_y: Array, x: Array) -> Array:
    return square_backward(grad_y, x)[::-1]


weight = np.random.default_rng(1).standard_normal((4, 2))

GRADIENTS = (
    Gradient("x @ w", True, lambda x: x @ weight, lambda g, x: g @ weight.T, "even finite differences are exact here"),
    Gradient("x²", True, np.square, square_backward, "are your differences central, and the tolerance not too tight?"),
    Gradient("softmax", True, softmax, softmax_backward, "do you hand backward the same output gradient as to L?"),
    Gradient(
        "10⁶ · x²", True, lambda x: 1e6 * x * x, lambda g, x: 2e6 * x * g, "large numbers: errors count by their size"
    ),
    Gradient("x² of an array (2, 3, 2)", True, np.square, square_backward, "x may have any shape", (2, 3, 2)),
    Gradient("−x² for x²", False, np.square, lambda g, x: -2 * x * g, "the sign is wrong: is anything compared?"),
    Gradient(
        "123 times softmax's", False, softmax, lambda g, x: 123 * softmax_backward(g, x),
        "which output gradient do you hand in? With ones the gradient is zero here, and 123 times zero is zero",
    ),
    Gradient("x², one element of 12 off", False, np.square, last_one_off, "look at every element"),
    Gradient("x², rows in the wrong order", False, np.square, places_exchanged, "the sum is right, the places are not"),
    Gradient(
        "1.001 times x²'s", False, np.square, lambda g, x: 2.002 * x * g, "a thousandth too large: a loose tolerance?"
    ),
)  # fmt: skip


def check(mine: ModuleType) -> Iterator[str]:
    for gradient in GRADIENTS:
        x = np.random.default_rng(2).standard_normal(gradient.shape)
        given = x.copy()
        verdict = mine.gradient_is_right(gradient.forward, gradient.backward, given)
        head = f"{gradient.name}, a {'right' if gradient.right else 'wrong'} gradient"
        if verdict is None or verdict is ...:
            raise Wrong(f"{head}: there is no verdict; is the gap (`...`) still there, or a return missing?")
        if not isinstance(verdict, bool | np.bool_):
            raise Wrong(f"{head}: the verdict is a {type(verdict).__name__}, and should be True or False")
        if not np.array_equal(given, x):
            raise Wrong(f"{head}: x is not what it was: elements were moved and not put back")
        if bool(verdict) != gradient.right:
            done = "passes" if verdict else "is refused"
            raise Wrong(f"{head}, {done}: {gradient.says}")
        yield head


EXERCISE = Exercise(
    chapter=4,
    name="gradient_checker",
    title="A gradient checker of your own",
    text=TEXT,
    names=("gradient_is_right",),
    hints=HINTS,
    check=check,
)
