"""The gradient of cross-entropy with label smoothing s, term by term, and the mistakes that people make in it.

L = −Σₙ Σ_k q[n,k] · log p[n,k] / N      dL/dlogits = (p − q) / N      q = (1 − s) at the label, + s / K everywhere
"""

from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.gradient_check.known.probabilities import softmax
from minires.kernels import Array


def one_hot(labels: Array, K: int) -> Array:
    return np.eye(K)[labels]


def of_logits(s: float, **changes: Any) -> Any:
    """Return the terms of the loss's gradient, or those with changes: what stands for p, for 1/N, and so on."""

    def terms(grad_loss: Array, logits: Array, labels: Array) -> dict[str, Array]:
        p, (N, K) = softmax(logits, 1), logits.shape
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


def sizes(grad_loss: Array, logits: Array, labels: Array) -> dict[str, float]:
    return {"N": logits.shape[0], "K": logits.shape[1]}


def cross_entropy_right(s: float) -> Right:
    """Return what is known of the gradient of the logits, as a function of (grad_loss, logits, labels)."""
    variants: dict[str, Any] = {
        "the mean over the images is forgotten": lambda g, z, labels: len(z) * total(of_logits(s)(g, z, labels)),
        "this is the gradient of the loss's opposite: the sign is wrong": (
            lambda g, z, labels: -total(of_logits(s)(g, z, labels))
        ),
        "this is −q/p, the gradient of the logarithm alone; softmax comes before it": (
            lambda g, z, labels: -g * smoothed(labels, z.shape[1], s) / softmax(z, 1) / len(z)
        ),
        "what arrives at the loss, grad_loss, is forgotten": (
            lambda g, z, labels: total(of_logits(s)(np.ones_like(g), z, labels))
        ),
        "the probabilities are taken for logits: softmax is done twice": of_logits(
            s, p=lambda p, labels, hot: softmax(p, 1)
        ),
        "the probabilities are taken for logits: −log p is the loss, p − q its gradient": of_logits(
            s, p=lambda p, labels, hot: np.log(p)
        ),
        "it is multiplied by p: that is the gradient for what softmax gave, passed on twice": (
            lambda g, z, labels: softmax(z, 1) * total(of_logits(s)(g, z, labels))
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
    return Right(of_logits(s), variants, sizes, "N")


def smoothed(labels: Array, K: int, s: float) -> Array:
    return (1 - s) * one_hot(labels, K) + s / K
