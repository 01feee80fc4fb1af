"""Chapter 5: the gradients of a linear layer and of cross-entropy with label smoothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.known.affine import linear_right
from minires.gradient_check.known.loss import cross_entropy_right
from minires.gradient_check.known.probabilities import softmax
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_gradient, replaced
from minires.learn.exercise import Exercise
from minires.ops.affine import Linear

TEXT = '''"""Chapter 5: backward of a linear layer, and of cross-entropy with label smoothing.

    y = x @ weight.T + bias         x (N, C), weight (F, C), bias (F,), y (N, F)

    L = −Σₙ Σ_k q[n,k] · log p[n,k] / N         p = softmax(logits), (N, K)

q is what the network should have said. Without smoothing it is 1 at the label and 0 elsewhere. With smoothing s, each
of the K classes gets s / K, and the label 1 − s more: a network need not become infinitely sure.

Keep the dtype: where the arrays that come in are float32, what goes out is float32, not float64. np.full, np.zeros and
np.eye make float64 where they are told no dtype, and float64 times float32 is float64.

Fill in the two functions, then run `minires check 5`. `minires check 5 --hint` helps.
"""

import numpy as np


def linear_backward(grad_y, x, weight):
    """Return dL/dx (N, C), dL/dweight (F, C) and dL/dbias (F,), a tuple, from dL/dy (N, F)."""
    ...


def cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing):
    """Return dL/dlogits (N, K).

    grad_loss is what arrives at L, one number (an array of no axes). probabilities (N, K) are softmax(logits); labels
    (N,) are integers; label_smoothing is s, from 0 to 1.
    """
    ...
'''

HINTS = (
    "Go by the shapes: which product of grad_y (N, F) and weight (F, C) is (N, C)? Which of grad_y and x is (F, C)?",
    "The bias is added to every row, so its gradient is the sum of all rows of grad_y.",
    "For any q whose rows sum to 1, the gradient of Σ_k −q_k log softmax(z)_k is p − q. What does L do with N?",
    "Begin q with np.full_like(probabilities, s / K) and add 1 − s at [np.arange(N), labels]. np.eye and np.zeros "
    "would make float64 of float32.",
)


def draw_linear(rng: np.random.Generator) -> dict[str, Array]:
    N, C, F = rng.permutation([3, 4, 5]) + rng.integers(0, 2)
    return {
        "x": rng.standard_normal((N, C)), "weight": rng.standard_normal((F, C)), "bias": rng.standard_normal(F),
    }  # fmt: skip


def linear(x: Array, weight: Array, bias: Array) -> Array:
    return np.asarray(x @ weight.T + bias)


def check_linear(mine: Any, seed: int) -> Iterator[str]:
    def linear_backward(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
        return mine.linear_backward(grad_y, x, weight)

    yield from check_gradient("linear_backward", linear, linear_backward, draw_linear, linear_right(), seed=seed)


def check_loss(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, K = rng.permutation([4, 7]) + rng.integers(0, 2)
        return {"logits": 2 * rng.standard_normal((N, K)), "labels": rng.permutation(np.arange(N) % K)}

    for s in (0.1, 0.0):

        def loss(logits: Array, labels: Array, s: float = s) -> Array:
            return numpy_kernels.cross_entropy_forward(logits, labels, s, -100)[0]

        def backward(grad_y: Array, logits: Array, labels: Array, s: float = s) -> Any:
            return mine.cross_entropy_backward(grad_y, softmax(logits, 1), labels, s), None

        head = f"cross_entropy_backward, smoothing {s}"
        yield from check_gradient(head, loss, backward, draw, {"logits": cross_entropy_right(s)}, seed=seed)


@contextmanager
def plug(mine: ModuleType) -> Iterator[None]:
    def backward(self: Linear, grad_y: Array) -> Any:
        return mine.linear_backward(grad_y, self.x, self.weight)[: len(self.inputs)]

    def cross_entropy_backward(
        grad_loss: Array, probabilities: Array, labels: Array, label_smoothing: float, ignore_index: int
    ) -> Any:
        return mine.cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing)

    with replaced(Linear, backward=backward), replaced(numpy_kernels, cross_entropy_backward=cross_entropy_backward):
        yield


EXERCISE = Exercise(
    chapter=5,
    name="linear_and_loss",
    title="Backward of a linear layer and of cross-entropy",
    text=TEXT,
    hints=HINTS,
    checks={"linear_backward": check_linear, "cross_entropy_backward": check_loss},
    plug=plug,
)
