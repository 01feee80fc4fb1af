"""Chapter 3: a residual block with two matrices and a relu, backward by hand."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_gradient, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 3: a residual block, backward by hand.

    h = x @ w1              x (N, D), w1 (D, E)
    r = max(h, 0)           the relu
    y = x + r @ w2          w2 (E, D)

Fill in the two functions, then run `minires check 3`. `minires check 3 --hint` helps.
"""

import numpy as np


def relu_backward(grad_r, r):
    """Return dL/dh, from dL/dr and r = max(h, 0), arrays of one shape (any shape).

    Where h > 0, r moves as h does; elsewhere it stays 0 (at h = 0 we say so, too).
    """
    ...


def block_backward(grad_y, x, w1, w2):
    """Return the gradients of x, w1 and w2, a tuple of three arrays, each of the shape of what it belongs to.

    Compute what you need of h and r again. Do not write into grad_y: it is somebody else's gradient, too.
    """
    ...
'''

HINTS = (
    "Where is h > 0? Exactly where r > 0. A comparison of arrays is an array of True and False, and grad * (r > 0) is "
    "grad there and 0 elsewhere.",
    "Begin with the sum: what arrives at y arrives at both of its sides. Then go through the three lines from the last "
    "to the first, and write down a gradient for each name on their right.",
    "For a product b = t @ w: grad_t = grad_b @ w.T and grad_w = t.T @ grad_b. The block has two of these.",
    "x stands in two lines, so it has two gradients, and they are added (into a new array).",
)


def block(x: Array, w1: Array, w2: Array) -> Array:
    return x + np.maximum(x @ w1, 0) @ w2


def right(grad_y: Array, x: Array, w1: Array, w2: Array, skip: bool = True, masked: bool = True) -> Any:
    """The three gradients, or those of somebody who forgets the skip or the relu."""
    h = x @ w1
    r = np.maximum(h, 0)
    grad_h = (grad_y @ w2.T) * (h > 0) if masked else grad_y @ w2.T
    grad_x = grad_h @ w1.T
    return grad_y + grad_x if skip else grad_x, x.T @ grad_h, r.T @ grad_y


def without_skip(grad_y: Array, x: Array, w1: Array, w2: Array) -> Any:
    return right(grad_y, x, w1, w2, skip=False)


def without_relu(grad_y: Array, x: Array, w1: Array, w2: Array) -> Any:
    return right(grad_y, x, w1, w2, masked=False)


def without_branch(grad_y: Array, x: Array, w1: Array, w2: Array) -> Any:
    return grad_y, *right(grad_y, x, w1, w2)[1:]


def product_without_relu(grad_y: Array, x: Array, w1: Array, w2: Array) -> Any:
    return *right(grad_y, x, w1, w2)[:2], (x @ w1).T @ grad_y


MISTAKES = {
    "what comes through the skip is missing in the gradient of x": without_skip,
    "what comes through the branch is missing in the gradient of x": without_branch,
    "the gradient goes back through the relu as if it were not there": without_relu,
    "the gradient of w2 takes h, and y was made with r": product_without_relu,
}

RELU_MISTAKES = {
    "this is 1 or 0, the slope of the relu: it must be multiplied by what arrives": lambda grad_y, x: 1.0 * (x > 0),
    "what arrives is cut off where it is negative itself: h decides": lambda grad_y, x: np.maximum(grad_y, 0),
    "all gets through: where r is 0, it does not move with h": lambda grad_y, x: grad_y,
}


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 5))

    def relu_backward(grad_y: Array, x: Array) -> Any:
        return mine.relu_backward(grad_y, np.maximum(x, 0))

    yield from check_gradient("relu_backward", lambda x: np.maximum(x, 0), relu_backward, {"h": x}, RELU_MISTAKES)
    arrays = {"x": x, "w1": rng.standard_normal((5, 3)), "w2": rng.standard_normal((3, 5))}
    yield from check_gradient("block_backward", block, mine.block_backward, arrays, MISTAKES)


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, relu_backward=mine.relu_backward)


EXERCISE = Exercise(
    chapter=3,
    name="block_backward",
    title="A residual block, backward by hand",
    text=TEXT,
    names=("relu_backward", "block_backward"),
    hints=HINTS,
    check=check,
    plug=plug,
)
