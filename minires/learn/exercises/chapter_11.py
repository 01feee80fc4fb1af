"""Chapter 11: the backward pass of the residual add, of a block around it, and of option A."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_gradient, replaced
from minires.learn.exercise import Exercise
from minires.ops.shortcut import ResidualAdd

Shape = tuple[int, ...]

TEXT = '''"""Chapter 11: the backward pass of the residual add, of a block, and of option A.

Fill in the three functions, then run `minires check 11`. `minires check 11 --hint` helps.
"""

import numpy as np


def residual_add_backward(grad_y):
    """Return (grad_shortcut, grad_branch) for y = shortcut + branch."""
    ...


def block_backward(grad_y, x, w1, w2):
    """Return (dL/dx, dL/dw1, dL/dw2) of a block with two linear layers in its branch:

        y = relu(x + relu(x @ w1) @ w2)

    x and grad_y (N, C), w1 (C, F), w2 (F, C).
    """
    ...


def option_a_backward(grad_y, x_shape, stride):
    """Return dL/dx, shape x_shape = (N, C, H, W), of option A:

        y[:, front : front + C] = x[:, :, ::stride, ::stride],   front = (F - C) // 2,   and 0 in the other channels

    grad_y (N, F, I, J) with F ≥ C; stride is a number.
    """
    ...
'''

HINTS = (
    "An addition passes on what it gets, to both sides, whole.",
    "block_backward first runs the block forward again, up to the sum in front of the last ReLU. Then backwards, line "
    "by line: the last ReLU, the addition, w2, the inner ReLU, w1.",
    "x is used in two places, by the shortcut and by the branch. Its gradient is the sum of what comes back from both.",
    "option_a_backward: zeros of x's shape and grad_y's dtype, and one assignment to every stride-th pixel of them.",
)


def block(x: Array, w1: Array, w2: Array) -> Array:
    return np.maximum(x + np.maximum(x @ w1, 0) @ w2, 0)


def block_grads(grad_y: Array, x: Array, w1: Array, w2: Array, mistake: str = "") -> tuple[Array, Array, Array]:
    """The block's gradients, with one of the mistakes named below."""
    a = np.maximum(x @ w1, 0)
    grad_sum = grad_y * (x + a @ w2 > 0) if mistake != "last relu" else grad_y
    grad_z = grad_sum @ w2.T
    if mistake != "inner relu":
        grad_z = grad_z * (a > 0)
    through_skip = grad_y if mistake in ("last relu", "skip before relu") else grad_sum
    grad_x = through_skip + grad_z @ w1.T
    if mistake == "no skip":
        grad_x = grad_z @ w1.T
    if mistake == "no branch":
        grad_x = grad_sum
    return grad_x, x.T @ grad_z, a.T @ grad_sum


BLOCK_MISTAKES = {
    "no skip": "what comes through the skip is missing in dL/dx: x also goes straight into the sum",
    "no branch": "what comes through the branch is missing in dL/dx: x is used twice",
    "last relu": "the ReLU after the addition is left out: where y is 0, nothing comes back, on either way",
    "skip before relu": "the skip's part has not passed the ReLU that comes after the addition; the branch's part has",
    "inner relu": "the ReLU inside the branch is left out",
}


def channels_in_front(grad_y: Array, x_shape: Shape, stride: int) -> Array:
    """A mistake: the channels of x stand in front, and all zeros behind."""
    grad_x = np.zeros(x_shape, grad_y.dtype)
    grad_x[:, :, ::stride, ::stride] = grad_y[:, : x_shape[1]]
    return grad_x


def spread(grad_y: Array, x_shape: Shape, stride: int) -> Array:
    """A mistake: each gradient goes to all pixels of its square, where one was copied."""
    front = (grad_y.shape[1] - x_shape[1]) // 2
    kept = grad_y[:, front : front + x_shape[1]]
    return kept.repeat(stride, axis=2).repeat(stride, axis=3)[:, :, : x_shape[2], : x_shape[3]]


OPTION_A_MISTAKES = {
    "these are the wrong channels: half of the zeros stand in front of x's": channels_in_front,
    "pixels that were never copied get a gradient: only every stride-th one went into y": spread,
}


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    shortcut, branch = rng.standard_normal((2, 3, 4))
    yield from check_gradient(
        "residual_add_backward",
        lambda shortcut, branch: shortcut + branch,
        lambda grad_y, shortcut, branch: mine.residual_add_backward(grad_y),
        {"shortcut": shortcut, "branch": branch},
        {"each side gets half; an addition hands all of it to both": lambda grad_y, *_: (grad_y / 2, grad_y / 2)},
    )
    arrays = {"x": rng.standard_normal((7, 5)), "w1": rng.standard_normal((5, 4)), "w2": rng.standard_normal((4, 5))}
    mistakes = {sentence: mistaken_block(mistake) for mistake, sentence in BLOCK_MISTAKES.items()}
    yield from check_gradient("block_backward", block, block_backward_of(mine), arrays, mistakes)
    for F, stride in ((4, 2), (8, 1), (7, 2), (12, 3)):
        yield from check_option_a(mine, f"option_a_backward, 4 → {F} channels, stride {stride}", F, stride)


def block_backward_of(mine: ModuleType) -> Callable[..., Any]:
    def backward(grad_y: Array, x: Array, w1: Array, w2: Array) -> Any:
        grads = mine.block_backward(grad_y, x, w1, w2)
        if isinstance(grads, np.ndarray):
            raise Wrong("block_backward: this is one gradient, and x, w1 and w2 each have one")
        return (None, None, None) if grads is None else grads

    return backward


def mistaken_block(mistake: str) -> Callable[..., Any]:
    return lambda grad_y, x, w1, w2: block_grads(grad_y, x, w1, w2, mistake)


def check_option_a(mine: ModuleType, head: str, F: int, stride: int) -> Iterator[str]:
    """Check option A's backward for one width and stride; 5 and 6 pixels leave a rest or none."""

    def of(function: Callable[..., Array]) -> Callable[..., Any]:
        return lambda grad_y, x: function(grad_y, x.shape, stride)

    def forward(x: Array) -> Array:
        return numpy_kernels.option_a_forward(x, F, stride)

    x = np.random.default_rng(1).standard_normal((2, 4, 5, 6))
    mistakes = {sentence: of(mistake) for sentence, mistake in OPTION_A_MISTAKES.items()}
    yield from check_gradient(head, forward, of(mine.option_a_backward), {"x": x}, mistakes)


@contextmanager
def plug(mine: ModuleType) -> Iterator[None]:
    def backward(self: ResidualAdd, grad_y: Array) -> Any:
        return mine.residual_add_backward(grad_y)

    kernel = replaced(numpy_kernels, option_a_backward=mine.option_a_backward)
    with replaced(ResidualAdd, backward=backward), kernel:
        yield


EXERCISE = Exercise(
    chapter=11,
    name="residual_add",
    title="The backward pass of the residual add, and of option A",
    text=TEXT,
    names=("residual_add_backward", "block_backward", "option_a_backward"),
    hints=HINTS,
    check=check,
    plug=plug,
)
