"""Chapter 5: the gradients of a linear layer and of cross-entropy with label smoothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
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


def softmax(x: Array) -> Array:
    exp = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def draw_linear(rng: np.random.Generator) -> dict[str, Array]:
    N, C, F = rng.permutation([3, 4, 5]) + rng.integers(0, 2)
    return {
        "x": rng.standard_normal((N, C)), "weight": rng.standard_normal((F, C)), "bias": rng.standard_normal(F),
    }  # fmt: skip


def linear(x: Array, weight: Array, bias: Array) -> Array:
    return np.asarray(x @ weight.T + bias)


def linear_sizes(grad_y: Array, x: Array, weight: Array, bias: Array) -> dict[str, float]:
    return {"N": len(x), "C": x.shape[1], "F": len(weight)}


LINEAR = {
    "x": Right(lambda g, x, weight, bias: g @ weight, {}, linear_sizes),
    "weight": Right(
        lambda g, x, weight, bias: g.T @ x,
        {
            "divided by N: it is a mean over the images; the mean is the loss's business, and is in grad_y": (
                lambda g, x, weight, bias: g.T @ x / len(x)
            ),
            "what the bias does is counted in: y − bias, or grad_y with its mean taken off": (
                lambda g, x, weight, bias: (g - g.mean(axis=0)).T @ x
            ),
            "x is squared in it": lambda g, x, weight, bias: g.T @ x**2,
        },
        linear_sizes,
    ),
    "bias": Right(
        lambda g, x, weight, bias: g.sum(axis=0),
        {
            "a mean over the images, and should be a sum; the mean belongs to the loss": (
                lambda g, x, weight, bias: g.mean(axis=0)
            ),
            "multiplied by the bias itself": lambda g, x, weight, bias: g.sum(axis=0) * bias,
            "this is N, the number of images, in each place: what arrives is not used": (
                lambda g, x, weight, bias: np.full(len(bias), float(len(x)))
            ),
            "the largest of what arrives, not the sum": lambda g, x, weight, bias: g.max(axis=0),
        },
        linear_sizes,
    ),
}


def one_hot(labels: Array, K: int) -> Array:
    return np.eye(K)[labels]


def of_logits(s: float, **changes: Any) -> Any:
    """Return the terms of the loss's gradient, or those with changes: what stands for p, for 1/N, and so on."""

    def terms(grad_loss: Array, logits: Array, labels: Array) -> dict[str, Array]:
        p, (N, K) = softmax(logits), logits.shape
        hot = one_hot(labels, K)
        given = {"loss": grad_loss, "p": p, "hot": hot, "spread": np.full((N, K), s / K)}
        for name, change in changes.items():
            given[name] = change(p, labels, hot)
        found = {
            "the probabilities, p": given["loss"] * given["p"] / N,
            "the 1 − s of the label": -given["loss"] * (1 - s) * given["hot"] / N,
        }
        return found | ({"s / K, the share of every class": -given["loss"] * given["spread"] / N} if s else {})

    return terms


def loss_sizes(grad_loss: Array, logits: Array, labels: Array) -> dict[str, float]:
    return {"N": logits.shape[0], "K": logits.shape[1]}


def of_loss(s: float) -> Right:
    variants: dict[str, Any] = {
        "the mean over the images is forgotten": lambda g, z, labels: len(z) * total(of_logits(s)(g, z, labels)),
        "this is the gradient of the loss's opposite: the sign is wrong": (
            lambda g, z, labels: -total(of_logits(s)(g, z, labels))
        ),
        "this is −q/p, the gradient of the logarithm alone; softmax comes before it": (
            lambda g, z, labels: -g * smoothed(labels, z.shape[1], s) / softmax(z) / len(z)
        ),
        "what arrives at the loss, grad_loss, is forgotten": (
            lambda g, z, labels: total(of_logits(s)(np.ones_like(g), z, labels))
        ),
        "the probabilities are taken for logits: softmax is done twice": of_logits(
            s, p=lambda p, labels, hot: softmax(p)
        ),
        "the probabilities are taken for logits: −log p is the loss, p − q its gradient": of_logits(
            s, p=lambda p, labels, hot: np.log(p)
        ),
        "it is multiplied by p: that is the gradient for what softmax gave, passed on twice": (
            lambda g, z, labels: softmax(z) * total(of_logits(s)(g, z, labels))
        ),
        "only the label's own place has a gradient; all classes share in softmax": (
            lambda g, z, labels: total(of_logits(s)(g, z, labels)) * one_hot(labels, z.shape[1])
        ),
        "the label's own place has no gradient": (
            lambda g, z, labels: total(of_logits(s)(g, z, labels)) * (1 - one_hot(labels, z.shape[1]))
        ),
        "the labels are shifted by one class": of_logits(s, hot=lambda p, labels, hot: np.roll(hot, 1, axis=1)),
        "the labels are shifted by one class (backwards)": of_logits(
            s, hot=lambda p, labels, hot: np.roll(hot, -1, axis=1)
        ),
        "the most probable class stands where the label belongs": of_logits(
            s, hot=lambda p, labels, hot: one_hot(p.argmax(axis=1), p.shape[1])
        ),
        "the labels of the images are in the wrong order": of_logits(s, hot=lambda p, labels, hot: hot[::-1]),
    }
    if s:
        variants |= {
            "label smoothing is ignored": of_logits(0.0),
            "the label keeps 1 − s, but it gets its share s / K of the rest, too": of_logits(
                s, spread=lambda p, labels, hot: s / p.shape[1] * (1 - hot)
            ),
            "s is shared among the K − 1 other classes; it is shared among all K, the label's too": of_logits(
                s, spread=lambda p, labels, hot: s / (p.shape[1] - 1) * (1 - hot)
            ),
            "the label keeps all of its 1, where it should give s away": (
                lambda g, z, labels: of_logits(0.0)(g, z, labels) | {"": -g * np.full(z.shape, s / z.shape[1]) / len(z)}
            ),
            "every other class gets s, not s / K": of_logits(s, spread=lambda p, labels, hot: s * (1 - hot)),
            "s and 1 − s are exchanged": lambda g, z, labels: of_logits(1 - s)(g, z, labels),
        }
    return Right(of_logits(s), variants, loss_sizes)


def smoothed(labels: Array, K: int, s: float) -> Array:
    return (1 - s) * one_hot(labels, K) + s / K


def check_linear(mine: Any, seed: int) -> Iterator[str]:
    def linear_backward(grad_y: Array, x: Array, weight: Array, bias: Array) -> Any:
        return mine.linear_backward(grad_y, x, weight)

    yield from check_gradient("linear_backward", linear, linear_backward, draw_linear, LINEAR, seed=seed)


def check_loss(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, K = rng.permutation([4, 7]) + rng.integers(0, 2)
        return {"logits": 2 * rng.standard_normal((N, K)), "labels": rng.permutation(np.arange(N) % K)}

    for s in (0.1, 0.0):

        def loss(logits: Array, labels: Array, s: float = s) -> Array:
            return numpy_kernels.cross_entropy_forward(logits, labels, s, -100)[0]

        def backward(grad_y: Array, logits: Array, labels: Array, s: float = s) -> Any:
            return mine.cross_entropy_backward(grad_y, softmax(logits), labels, s), None

        head = f"cross_entropy_backward, smoothing {s}"
        yield from check_gradient(head, loss, backward, draw, {"logits": of_loss(s)}, seed=seed)


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
