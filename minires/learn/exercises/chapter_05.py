"""Chapter 5: the gradients of a linear layer and of cross-entropy with label smoothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_gradient, replaced
from minires.learn.exercise import Exercise
from minires.ops.affine import Linear

TEXT = '''"""Chapter 5: backward of a linear layer, and of cross-entropy with label smoothing.

    y = x @ weight.T + bias         x (N, C), weight (F, C), bias (F,), y (N, F)

    L = −Σₙ Σ_k q[n,k] · log p[n,k] / N         p = softmax(logits), (N, K)

q is what the network should have said. Without smoothing it is 1 at the label and 0 elsewhere. With smoothing s, each
of the K classes gets s / K, and the label 1 − s more: a network need not become infinitely sure.

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


def softmax(x: Array) -> Array:
    exp = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def wanted(p: Array, labels: Array, s: float) -> Array:
    q = np.full_like(p, s / p.shape[1])
    q[np.arange(len(p)), labels] += 1 - s
    return q


def linear_mistakes() -> dict[str, Any]:
    def right(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
        return grad_y @ weight, grad_y.T @ x, grad_y.sum(axis=0)

    def mean_bias(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
        return *right(grad_y, x, weight, bias)[:2], grad_y.mean(axis=0)

    def mean_weight(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
        return grad_y @ weight, grad_y.T @ x / len(x), grad_y.sum(axis=0)

    return {
        "the bias's gradient is a mean over the images, and should be a sum; the mean belongs to the loss": mean_bias,
        "the weight's gradient is divided by N; the mean is the loss's business, which is in grad_y": mean_weight,
    }


def loss_mistakes(labels: Array, s: float) -> dict[str, Any]:
    def of(function: Any) -> Any:
        return lambda grad_y, logits: grad_y * function(softmax(logits))

    N = len(labels)
    mistakes = {
        "the mean over the images is forgotten": of(lambda p: p - wanted(p, labels, s)),
        "this is the gradient of the loss's opposite: the sign is wrong": of(lambda p: (wanted(p, labels, s) - p) / N),
        "this is −q/p, the gradient of the logarithm alone; softmax comes before it": of(
            lambda p: -wanted(p, labels, s) / p / N
        ),
    }
    mistakes["what arrives at the loss, grad_loss, is forgotten"] = lambda grad_y, logits: (
        (softmax(logits) - wanted(softmax(logits), labels, s)) / N
    )
    if s:
        mistakes |= {
            "label smoothing is ignored": of(lambda p: (p - wanted(p, labels, 0)) / N),
            "the label keeps 1 − s, but it gets its share s / K of the rest, too": of(
                lambda p: (p - wanted(p, labels, s) + s / p.shape[1] * wanted(p, labels, 0)) / N
            ),
        }
    return mistakes


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((4, 5)), "weight": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)}

    def linear(x: Array, weight: Array, bias: Array) -> Array:
        return np.asarray(x @ weight.T + bias)

    def linear_backward(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
        return mine.linear_backward(grad_y, x, weight)

    yield from check_gradient("linear_backward", linear, linear_backward, arrays, linear_mistakes())

    logits, labels = 2 * rng.standard_normal((6, 4)), np.array([2, 0, 3, 1, 0, 2])
    for s in (0.0, 0.1):

        def loss(logits: Array, s: float = s) -> Array:
            return numpy_kernels.cross_entropy_forward(logits, labels, s, -100)[0]

        def backward(grad_y: Array, logits: Array, s: float = s) -> Any:
            return mine.cross_entropy_backward(grad_y, softmax(logits), labels.copy(), s)

        head = f"cross_entropy_backward, smoothing {s}"
        yield from check_gradient(head, loss, backward, {"logits": logits}, loss_mistakes(labels, s))


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
    names=("linear_backward", "cross_entropy_backward"),
    hints=HINTS,
    check=check,
    plug=plug,
)
