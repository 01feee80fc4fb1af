"""Chapter 11: the backward pass of the residual add, of a block around it, and of option A."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.gradient_check.known.shortcut import option_a_right, residual_add_right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_gradient, replaced
from minires.learn.exercise import Exercise
from minires.ops.shortcut import ResidualAdd

TEXT = '''"""Chapter 11: the backward pass of the residual add, of a block, and of option A.

Keep the dtype: float32 in, float32 out.

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


SKIP, BRANCH = "what comes through the skip", "what comes through the branch"


def block(x: Array, w1: Array, w2: Array) -> Array:
    return np.maximum(x + np.maximum(x @ w1, 0) @ w2, 0)


def grads_of(
    grad_y: Array,
    x: Array,
    w1: Array,
    w2: Array,
    last: Any = None,
    skip: Any = None,
    inner: Any = None,
    product: Any = None,
) -> tuple[dict[str, Array], Array, Array]:
    """Return the gradients of x (as terms), w1 and w2, or those with something else in the place of an ingredient.

    last: of the last ReLU's mask. skip: of what goes back through the skip. inner: of the inner ReLU's mask. product:
    of what w2's gradient is made with.
    """  # fmt: skip
    a, total_ = np.maximum(x @ w1, 0), x + np.maximum(x @ w1, 0) @ w2
    everything = {"g": grad_y, "x": x, "a": a, "branch": a @ w2, "sum": total_, "h": x @ w1}
    grad_sum = grad_y * (total_ > 0) if last is None else last(everything)
    grad_a = grad_sum @ w2.T
    grad_z = grad_a * (a > 0) if inner is None else inner(grad_a, everything)
    through_skip = grad_sum if skip is None else skip(everything)
    left = a if product is None else product(everything)
    return {SKIP: through_skip, BRANCH: grad_z @ w1.T}, x.T @ grad_z, left.T @ grad_sum


CHANGES: dict[str, dict[str, Any]] = {
    "the ReLU after the addition is left out: where y is 0, nothing comes back, on either way": {
        "last": lambda e: e["g"]
    },
    "the mask of the last ReLU is taken from the branch alone; it stands behind the sum, skip and branch": {
        "last": lambda e: e["g"] * (e["branch"] > 0)
    },
    "the mask of the last ReLU is taken from x alone; it stands behind the sum, skip and branch": {
        "last": lambda e: e["g"] * (e["x"] > 0)
    },
    "the mask of the last ReLU is turned round": {"last": lambda e: e["g"] * (e["sum"] <= 0)},
    "what arrives is multiplied by y, where the last ReLU's slope belongs (1 or 0)": {
        "last": lambda e: e["g"] * np.maximum(e["sum"], 0)
    },
    "what arrives is cut off where it is negative itself, at the last ReLU": {"last": lambda e: np.maximum(e["g"], 0)},
    "the skip's part has not passed the ReLU that comes after the addition; the branch's part has": {
        "skip": lambda e: e["g"]
    },
    "the skip's part has passed a mask of x; there is no ReLU on the skip": {
        "skip": lambda e: e["g"] * (e["sum"] > 0) * (e["x"] > 0)
    },
    "the branch's part has not passed the last ReLU; the skip's part has": {
        "last": lambda e: e["g"], "skip": lambda e: e["g"] * (e["sum"] > 0),
    },
    "the ReLU inside the branch is left out": {"inner": lambda grad, e: grad},
    "the mask of the ReLU inside the branch is turned round": {"inner": lambda grad, e: grad * (e["h"] <= 0)},
    "it is multiplied by the inner ReLU's output, where its slope belongs (1 or 0)": {
        "inner": lambda grad, e: grad * e["a"]
    },
    "what comes back inside the branch is cut off where it is negative itself": {
        "inner": lambda grad, e: np.maximum(grad, 0)
    },
    "both ReLUs are left out": {"last": lambda e: e["g"], "inner": lambda grad, e: grad},
}  # fmt: skip

W2 = {
    "it takes x @ w1 before the ReLU, and the product was made with what came behind": {"product": lambda e: e["h"]},
    "it takes 1 where the inner ReLU let pass, and not what it gave": {"product": lambda e: 1.0 * (e["h"] > 0)},
    "it takes what arrives before the last ReLU; the product's sum was cut there": {"last": lambda e: e["g"]},
}


def part(position: int, changes: dict[str, Any] | None = None) -> Any:
    return lambda *arguments: grads_of(*arguments, **(changes or {}))[position]


def changed(changes: dict[str, Any]) -> Any:
    """Return the backward with one change, in all three gradients."""

    def backward(*arguments: Array) -> Any:
        terms, grad_w1, grad_w2 = grads_of(*arguments, **changes)
        return total(terms), grad_w1, grad_w2

    return backward


def block_sizes(grad_y: Array, x: Array, w1: Array, w2: Array) -> dict[str, float]:
    return {"N": len(x), "C": w1.shape[0], "F": w1.shape[1]}


BLOCK_MISTAKES = {sentence: changed(changes) for sentence, changes in CHANGES.items()} | {
    "the gradients of w1 and w2 are exchanged": lambda *arguments: (
        total(part(0)(*arguments)), part(2)(*arguments), part(1)(*arguments),
    ),
}  # fmt: skip

BLOCK = {
    name: Right(part(i), {sentence: part(i, one) for sentence, one in (CHANGES | more).items()}, block_sizes)
    for i, (name, more) in enumerate({"x": {}, "w1": {}, "w2": W2}.items())
}


def check_add(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        shape = rng.integers(3, 6, 2)
        return {"shortcut": rng.standard_normal(shape), "branch": rng.standard_normal(shape)}

    yield from check_gradient(
        "residual_add_backward",
        lambda shortcut, branch: shortcut + branch,
        lambda grad_y, shortcut, branch: mine.residual_add_backward(grad_y),
        draw,
        residual_add_right(),
        {
            "each side gets half; an addition hands all of it to both": lambda grad_y, *_: (grad_y / 2, grad_y / 2),
            "each side is handed the gradient multiplied by the other: that is a product's": (
                lambda grad_y, shortcut, branch: (grad_y * branch, grad_y * shortcut)
            ),
        },
        seed,
    )


def check_block(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C, F = 7 + rng.integers(0, 2), *(rng.permutation([4, 5]) + rng.integers(0, 2))
        return {"x": rng.standard_normal((N, C)), "w1": rng.standard_normal((C, F)), "w2": rng.standard_normal((F, C))}

    yield from check_gradient("block_backward", block, block_backward_of(mine), draw, BLOCK, BLOCK_MISTAKES, seed)


def block_backward_of(mine: Any) -> Callable[..., Any]:
    def backward(grad_y: Array, x: Array, w1: Array, w2: Array) -> Any:
        grads = mine.block_backward(grad_y, x, w1, w2)
        if isinstance(grads, np.ndarray):
            raise Wrong("block_backward: this is one gradient, and x, w1 and w2 each have one")
        return (None, None, None) if grads is None else grads

    return backward


def check_option_a(mine: Any, seed: int) -> Iterator[str]:
    for F, stride in ((4, 3), (8, 1), (7, 2), (12, 3)):
        yield from check_widths(mine, f"option_a_backward, 4 → {F} channels, stride {stride}", F, stride, seed)


def check_widths(mine: Any, head: str, F: int, stride: int, seed: int) -> Iterator[str]:
    """Check option A's backward for one width and stride; 5 and 6 pixels leave a rest or none."""

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        H, W = rng.permutation([5, 6]) + rng.integers(0, 2)
        return {"x": rng.standard_normal((2 + rng.integers(0, 2), 4, H, W))}

    def forward(x: Array) -> Array:
        return numpy_kernels.option_a_forward(x, F, stride)

    def backward(grad_y: Array, x: Array) -> Any:
        return mine.option_a_backward(grad_y, x.shape, stride)

    yield from check_gradient(head, forward, backward, draw, {"x": option_a_right(stride)}, seed=seed)


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
    hints=HINTS,
    checks={"residual_add_backward": check_add, "block_backward": check_block, "option_a_backward": check_option_a},
    plug=plug,
)
