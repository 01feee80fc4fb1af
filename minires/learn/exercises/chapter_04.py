"""Chapter 4: a gradient checker that knows kinks, examined with right gradients and with wrong ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.kernels import Array
from minires.learn.examiner import Wrong, generator
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 4: a gradient checker that knows kinks.

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

    forward may have kinks, as max(x, 0) has one at 0, and elements of x may lie on one, or nearer to one than your
    step. An element there has a slope to either side, and no derivative: leave it out. All other elements count. What
    is a kink, forward alone can tell: a backward that is wrong is no kink.
    """
    ...
'''

HINTS = (
    "Which output gradient? One that makes no sum constant by accident: see the chapter's first figure.",
    "Take for each element the slope ahead, from x to x + h, and the slope behind, from x − h to x. The central "
    "difference is their mean. And at a kink?",
    "On a smooth curve both slopes are nearly the same, also where it bends strongly, since h is small; at a kink they "
    "are not. So compare how far they are apart with how large they are, to a hundredth or so. Add an absolute "
    "tolerance for slopes that are 0 but for rounding.",
    "When do backward's number and the difference agree? Relative to their size, to 1e-6 or so, and absolutely near "
    "zero: np.isclose has both, rtol and atol, and a NaN is close to nothing.",
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
    at: Callable[[Array], Array] = lambda x: x  # moves random points to where it is interesting


def softmax(x: Array) -> Array:
    exp = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def softmax_backward(grad_y: Array, x: Array) -> Array:
    y = softmax(x)
    return np.asarray(y * (grad_y - (grad_y * y).sum(axis=1, keepdims=True)))


def square_backward(grad_y: Array, x: Array) -> Array:
    return 2 * x * grad_y


def first_one_off(grad_y: Array, x: Array) -> Array:
    grad = 2 * x * grad_y
    grad.flat[0] *= 1.5
    return grad


def last_one_off(grad_y: Array, x: Array) -> Array:
    grad = 2 * x * grad_y
    grad.flat[-1] *= 1.5
    return grad


def one_of_many_off(grad_y: Array, x: Array) -> Array:
    """Of 600 elements one of middling size is off by 5 in 10,000; the mean of all errors is below a millionth."""
    grad = 2 * x * grad_y
    grad.flat[np.argsort(np.abs(grad), axis=None)[grad.size // 2]] *= 1.0005
    return grad


def all_too_small(grad_y: Array, x: Array) -> Array:
    grad = 2 * x * grad_y
    return grad - 0.5 * np.abs(grad)


def all_too_large(grad_y: Array, x: Array) -> Array:
    grad = 2 * x * grad_y
    return grad + 0.5 * np.abs(grad)


def not_a_number(grad_y: Array, x: Array) -> Array:
    grad = 2 * x * grad_y
    grad.flat[5] = np.nan
    return grad


def places_exchanged(grad_y: Array, x: Array) -> Array:
    return square_backward(grad_y, x)[::-1]


def half_used(x: Array) -> Array:
    """A function that does not look at half of its elements: their gradient is 0."""
    return np.asarray(x[:, ::2] ** 3)


def half_used_backward(grad_y: Array, x: Array) -> Array:
    grad = np.zeros(x.shape)
    grad[:, ::2] = 3 * x[:, ::2] ** 2 * grad_y
    return grad


def unused_leaks(grad_y: Array, x: Array) -> Array:
    grad = half_used_backward(grad_y, x)
    grad[:, 1::2] = 0.01
    return grad


def on_the_kink(x: Array) -> Array:
    """Put two elements onto 0, and two so near to it that no step can be shorter."""
    moved = x.copy()
    moved.flat[[1, 6]] = 0
    moved.flat[[4, 11]] = 1e-12, -1e-12
    return moved


def relu_backward(grad_y: Array, x: Array) -> Array:
    return grad_y * (x > 0)


def relu_backward_at_0(grad_y: Array, x: Array) -> Array:
    return grad_y * (x >= 0)


def relu_and_one_off(grad_y: Array, x: Array) -> Array:
    grad = relu_backward(grad_y, np.abs(x))
    grad.flat[8] *= 1.001
    return grad


def positive_but_on_the_kink(x: Array) -> Array:
    return on_the_kink(np.abs(x))


def tied(x: Array) -> Array:
    """Make the second number of each row equal to its largest."""
    moved = x.copy()
    moved[:, 1] = x.max(axis=1)
    return moved


def largest_backward(grad_y: Array, x: Array) -> Array:
    grad = np.zeros(x.shape)
    grad[np.arange(len(x)), x.argmax(axis=1)] = grad_y
    return grad


def largest_and_leaks(grad_y: Array, x: Array) -> Array:
    grad = largest_backward(grad_y, x)
    grad[np.arange(len(x)), x.argmin(axis=1)] = 0.01
    return grad


def steep(x: Array) -> Array:
    return 100 * np.exp(8 * x)


def steep_backward(grad_y: Array, x: Array) -> Array:
    return 800 * np.exp(8 * x) * grad_y


def steep_off_where_it_bends(grad_y: Array, x: Array) -> Array:
    return steep_backward(grad_y, x) * np.where(x > 0.2, 1.001, 1)


def within_half(x: Array) -> Array:
    return np.linspace(-0.4, 0.4, x.size).reshape(x.shape)


weight = np.random.default_rng(1).standard_normal((4, 2))

GRADIENTS = (
    Gradient("x @ w", True, lambda x: x @ weight, lambda g, x: g @ weight.T, "even finite differences are exact here"),
    Gradient("x²", True, np.square, square_backward, "are your differences central, and the tolerance not too tight?"),
    Gradient("softmax", True, softmax, softmax_backward, "do you hand backward the same output gradient as to L?"),
    Gradient(
        "10⁶ · x²", True, lambda x: 1e6 * x * x, lambda g, x: 2e6 * x * g, "large numbers: errors count by their size"
    ),
    Gradient("x² of an array (2, 3, 2)", True, np.square, square_backward, "x may have any shape", (2, 3, 2)),
    Gradient("x² of an array (5,)", True, np.square, square_backward, "x may have one axis alone", (5,)),
    Gradient(
        "x³ of every other column", True, half_used, half_used_backward,
        "where the gradient is 0, two numbers near 0 are to agree: an absolute tolerance, and no division by 0",
    ),
    Gradient("−x² for x²", False, np.square, lambda g, x: -2 * x * g, "the sign is wrong: is anything compared?"),
    Gradient(
        "x², all of it too small", False, np.square, all_too_small,
        "it is below the right one everywhere: does your error lose its sign (abs) before it is compared?",
    ),
    Gradient(
        "x², all of it too large", False, np.square, all_too_large,
        "it is above the right one everywhere: does your error lose its sign (abs) before it is compared?",
    ),
    Gradient(
        "123 times softmax's", False, softmax, lambda g, x: 123 * softmax_backward(g, x),
        "which output gradient do you hand in? With ones the gradient is zero here, and 123 times zero is zero",
    ),
    Gradient("0 for x²", False, np.square, lambda g, x: 0 * x, "it is 0, which is not what the differences give"),
    Gradient("x², the last of 12 elements off", False, np.square, last_one_off, "look at every element"),
    Gradient("x², the first of 12 elements off", False, np.square, first_one_off,
             "the first element is off alone: look at every element"),
    Gradient("x², rows in the wrong order", False, np.square, places_exchanged, "the sum is right, the places are not"),
    Gradient("x³ of every other column, 0.01 in the others", False, half_used, unused_leaks,
             "where the gradient should be 0 it is not: look at those, too"),
    Gradient(
        "1.001 times x²'s", False, np.square, lambda g, x: 2.002 * x * g, "a thousandth too large: a loose tolerance?"
    ),
    Gradient(
        "x², one of 600 elements off by 5 in 10,000", False, np.square, one_of_many_off,
        "the worst element decides, not the mean of all: the others are right, and hide it", (20, 30),
    ),
    Gradient("x², one element not a number", False, np.square, not_a_number,
             "a NaN is never above a tolerance: ask whether the error is within it, not whether it is beyond"),
    Gradient(
        "max(x, 0), two of 12 elements on the kink and two beside it", True, lambda x: np.maximum(x, 0), relu_backward,
        "a difference across a kink is the mean of two slopes, and nothing to compare with: leave that element out",
        at=on_the_kink,
    ),
    Gradient(
        "max(x, 0), with the slope 1 at 0", True, lambda x: np.maximum(x, 0), relu_backward_at_0,
        "which slope backward takes on a kink is its own choice: leave that element out", at=on_the_kink,
    ),
    Gradient(
        "the largest of each row, found twice", True, lambda x: x.max(axis=1), largest_backward,
        "two numbers are equal, and which of them is the largest changes when one moves: kinks are not at 0 alone",
        at=tied,
    ),
    Gradient(
        "max(x, 0), four elements on the kink, another one off by a thousandth", False, lambda x: np.maximum(x, 0),
        relu_and_one_off, "a kink excuses its own element alone, not the others", at=positive_but_on_the_kink,
    ),
    Gradient(
        "the largest of each row, found twice, and 0.01 for the smallest", False, lambda x: x.max(axis=1),
        largest_and_leaks, "a slope that is 0 on both sides is no kink: rounding alone sets them apart", at=tied,
    ),
    Gradient(
        "100 · exp(8x), off by a thousandth where it bends most", False, steep, steep_off_where_it_bends,
        "it bends, and has no kink: how far are its two slopes apart against their own size?", at=within_half,
    ),
    Gradient(
        "100 · exp(8x)", True, steep, steep_backward, "is the step small enough for a curve that bends so?",
        at=within_half,
    ),
)  # fmt: skip


def check(mine: Any, seed: int) -> Iterator[str]:
    for gradient in GRADIENTS:
        x = generator(seed, gradient.name).standard_normal(gradient.shape)
        # Away from 0, where the tolerance for numbers near 0 would hide what is asked for.
        x = gradient.at(np.sign(x) * (0.1 + np.abs(x)))
        given = x.copy()
        asked: list[Array] = []

        def forward(x: Array, gradient: Gradient = gradient, asked: list[Array] = asked) -> Array:
            asked.append(np.array(x))
            return gradient.forward(x)

        verdict = mine.gradient_is_right(forward, gradient.backward, given)
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
        if gradient.name == "x²":
            look_at_places(head, x, asked)
        yield head


def look_at_places(head: str, x: Array, asked: list[Array]) -> None:
    """`Wrong` unless forward was asked on both sides of x, close by, for every element."""
    moves = [other - x for other in asked if other.shape == x.shape and not np.array_equal(other, x)]
    if not moves:
        raise Wrong(f"{head}: forward is never asked next to x: where are the differences?")
    up, down = np.max(moves, axis=0) > 0, np.min(moves, axis=0) < 0
    if up.all() != down.all() and not (up & down).any():
        side = "ahead of" if up.any() else "behind"
        raise Wrong(
            f"{head}: forward is asked at x and {side} it only: that is a one-sided difference, not a central one"
        )
    if not (up & down).all():
        raise Wrong(f"{head}: {np.count_nonzero(~(up & down))} of {x.size} elements are not moved to both sides")


EXERCISE = Exercise(
    chapter=4,
    name="gradient_checker",
    title="A gradient checker that knows kinks",
    text=TEXT,
    hints=HINTS,
    checks={"gradient_is_right": check},
)
