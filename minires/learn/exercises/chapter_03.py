"""Chapter 3: a residual block with two matrices and a relu, backward by hand."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.gradient_check.known.activation import relu_right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_equal, check_gradient, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 3: a residual block, backward by hand.

    h = x @ w1              x (N, D), w1 (D, E)
    r = max(h, 0)           the relu
    y = x + r @ w2          w2 (E, D)

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

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


def draw(rng: np.random.Generator) -> dict[str, Array]:
    N, D, E = rng.permutation([3, 4, 5]) + rng.integers(0, 2)
    return {"x": rng.standard_normal((N, D)), "w1": rng.standard_normal((D, E)), "w2": rng.standard_normal((E, D))}


def block(x: Array, w1: Array, w2: Array) -> Array:
    return x + np.maximum(x @ w1, 0) @ w2


def sizes(grad_y: Array, x: Array, w1: Array, w2: Array) -> dict[str, float]:
    return {"N": len(x), "D": w1.shape[0], "E": w1.shape[1]}


def grad_h(grad_y: Array, x: Array, w1: Array, w2: Array) -> Array:
    return (grad_y @ w2.T) * (x @ w1 > 0)


def of_x(grad_y: Array, x: Array, w1: Array, w2: Array, grad: Any = grad_h) -> dict[str, Array]:
    return {SKIP: grad_y, BRANCH: grad(grad_y, x, w1, w2) @ w1.T}


def of_w1(grad_y: Array, x: Array, w1: Array, w2: Array, grad: Any = grad_h) -> Array:
    return np.asarray(x.T @ grad(grad_y, x, w1, w2))


def of_w2(grad_y: Array, x: Array, w1: Array, w2: Array, relu: Any = lambda h: np.maximum(h, 0)) -> Array:
    return np.asarray(relu(x @ w1).T @ grad_y)


SKIP, BRANCH = "what comes through the skip", "what comes through the branch"

# What may stand for grad_h: the sentence, and how it comes out.
GRAD_H: dict[str, Any] = {
    "the relu is left out: it goes back through it as if it were not there": lambda g, x, w1, w2: g @ w2.T,
    "the relu's mask is turned round: it lets pass where h is below 0": lambda g, x, w1, w2: (g @ w2.T) * (x @ w1 <= 0),
    "it is multiplied by r, where the relu's slope belongs (1 or 0)": (
        lambda g, x, w1, w2: (g @ w2.T) * np.maximum(x @ w1, 0)
    ),
    "it is multiplied by h, where the relu's slope belongs (1 or 0)": lambda g, x, w1, w2: (g @ w2.T) * (x @ w1),
    "what comes back is cut off where it is negative itself: h decides": lambda g, x, w1, w2: np.maximum(g @ w2.T, 0),
    "the mask is laid on where the numbers of w2's product are positive, not where h is": (
        lambda g, x, w1, w2: (g @ w2.T) * (g @ w2.T > 0)
    ),
    "what arrived is multiplied by the mask of y, not by that of h": (
        lambda g, x, w1, w2: (g * (block(x, w1, w2) > 0)) @ w2.T
    ),
    "the mask of y is laid on before w2, and h's is right": (
        lambda g, x, w1, w2: ((g * (block(x, w1, w2) > 0)) @ w2.T) * (x @ w1 > 0)
    ),
    "only the slope comes back, 1 or 0: what arrives is not used": lambda g, x, w1, w2: 1.0 * (x @ w1 > 0),
}


def variants(of: Any) -> dict[str, Any]:
    """Return a gradient with each mistake in grad_h."""
    return {sentence: lambda g, x, w1, w2, grad=grad: of(g, x, w1, w2, grad) for sentence, grad in GRAD_H.items()}


RIGHT = {
    "x": Right(of_x, variants(of_x), sizes),
    "w1": Right(
        of_w1,
        variants(of_w1)
        | {
            "it takes r, where the product's left factor is x": (
                lambda g, x, w1, w2: np.maximum(x, 0).T @ grad_h(g, x, w1, w2)
            ),
        },
        sizes,
    ),
    "w2": Right(
        of_w2,
        {
            "it takes h, and y was made with r": lambda g, x, w1, w2: (x @ w1).T @ g,
            "it takes 1 where h > 0, and y was made with r itself": lambda g, x, w1, w2: (x @ w1 > 0).T * 1.0 @ g,
            "it takes |h|, and y was made with r": lambda g, x, w1, w2: np.abs(x @ w1).T @ g,
            "it takes the numbers that the relu cut off": lambda g, x, w1, w2: np.minimum(x @ w1, 0).T @ g,
            "what arrives goes through the relu's mask of y first, where there is no relu": (
                lambda g, x, w1, w2: np.maximum(x @ w1, 0).T @ (g * (block(x, w1, w2) > 0))
            ),
        },
        sizes,
    ),
}


def mistaken(grad: Any) -> Any:
    """Return a backward with one mistake in grad_h, which both gradients behind it share."""

    def backward(grad_y: Array, x: Array, w1: Array, w2: Array) -> Any:
        arguments = (grad_y, x, w1, w2)
        return total(of_x(*arguments, grad)), of_w1(*arguments, grad), of_w2(*arguments)

    return backward


MISTAKES = {f"in both gradients behind it, {sentence}": mistaken(grad) for sentence, grad in GRAD_H.items()} | {
    "the gradients of w1 and w2 are exchanged": lambda *arguments: (
        total(of_x(*arguments)), of_w2(*arguments), of_w1(*arguments),
    ),
}  # fmt: skip

OF_RELU = {"h": relu_right()}


def check_relu(mine: Any, seed: int) -> Iterator[str]:
    def relu_backward(grad_y: Array, x: Array) -> Any:
        return mine.relu_backward(grad_y, np.maximum(x, 0))

    def draw_h(rng: np.random.Generator) -> dict[str, Array]:
        return {"h": rng.standard_normal(rng.integers(3, 6, 2))}

    yield from check_gradient("relu_backward", lambda x: np.maximum(x, 0), relu_backward, draw_h, OF_RELU, seed=seed)

    def draw_more(rng: np.random.Generator) -> dict[str, Array]:
        return {"h": rng.standard_normal(rng.integers(2, 4, 3))}

    head = "relu_backward, three axes"
    yield from check_gradient(head, lambda x: np.maximum(x, 0), relu_backward, draw_more, OF_RELU, seed=seed)
    r = np.array([0.0, 1.0, 0.0, 2.0])
    got = mine.relu_backward(np.array([3.0, 4.0, -5.0, 6.0]), r)
    yield from check_equal(
        "relu_backward, at r = 0", got, np.array([0.0, 4.0, 0.0, 6.0]), "at h = 0 nothing comes back"
    )


def check_block(mine: Any, seed: int) -> Iterator[str]:
    yield from check_gradient("block_backward", block, mine.block_backward, draw, RIGHT, MISTAKES, seed)


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, relu_backward=mine.relu_backward)


EXERCISE = Exercise(
    chapter=3,
    name="block_backward",
    title="A residual block, backward by hand",
    text=TEXT,
    hints=HINTS,
    checks={"relu_backward": check_relu, "block_backward": check_block},
    plug=plug,
)
