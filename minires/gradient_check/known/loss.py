"""The gradients of losses, term by term, and the mistakes that people make in them.

L = −Σₙ Σ_k q[n,k] · log p[n,k] / N      dL/dlogits = (p − q) / N      q = (1 − s) at the label, + s / K everywhere

s smooths the labels. A label below 0 is ignored, and N counts the others.
"""

from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.gradient_check.known.probabilities import softmax
from minires.kernels import Array


def one_hot(labels: Array, K: int) -> Array:
    """Return a row of zeros and a 1 for each label, of zeros for one that is ignored."""
    return np.eye(K)[np.maximum(labels, 0)] * (labels >= 0)[:, None]


def counted(labels: Array) -> int:
    return int(np.sum(labels >= 0))


def of_logits(s: float, **changes: Any) -> Any:
    """Return the terms of the loss's gradient, or those with changes: what stands for p, for 1/N, and so on."""

    def terms(grad_loss: Array, logits: Array, labels: Array) -> dict[str, Array]:
        K, N, kept = logits.shape[1], counted(labels), (labels >= 0)[:, None]
        p, hot = softmax(logits, 1) * kept, one_hot(labels, K)
        given = {"loss": grad_loss, "p": p, "hot": hot, "spread": np.full(logits.shape, s / K) * kept}
        for name, change in changes.items():
            given[name] = change(p, labels, hot)
        found = {
            "the probabilities, p": given["loss"] * given["p"] / N,
            "the 1 − s of the label": -given["loss"] * (1 - s) * given["hot"] / N,
        }
        return found | ({"s / K, the share of every class": -given["loss"] * given["spread"] / N} if s else {})

    return terms


def sizes(grad_loss: Array, logits: Array, labels: Array) -> dict[str, float]:
    N, ignored = counted(labels), np.sum(labels < 0)
    return {"N": N, "K": logits.shape[1]} | ({"all N": N + ignored} if ignored else {})


def cross_entropy_right(s: float) -> Right:
    """Return what is known of the gradient of the logits, as a function of (grad_loss, logits, labels)."""
    variants: dict[str, Any] = {
        "the mean over the images is forgotten": (
            lambda g, z, labels: counted(labels) * total(of_logits(s)(g, z, labels))
        ),
        "an image whose label is ignored gets a gradient, as if it had none of the labels": (
            lambda g, z, labels: (
                total(of_logits(s)(g, z, labels)) + g * softmax(z, 1) * (labels < 0)[:, None] / counted(labels)
            )
        ),
        "an image whose label is ignored gets a gradient, as if it had the first of the labels": (
            lambda g, z, labels: total(of_logits(s)(g, z, np.maximum(labels, 0))) * len(z) / counted(labels)
        ),
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


def mse_rights() -> list[Right]:
    """L = Σ (prediction − target)² / size, for prediction and target."""

    def terms(sign: int) -> Any:
        return lambda g, p, t: {
            "the prediction's term": sign * g * 2 * p / p.size,
            "the target's term": -sign * g * 2 * t / p.size,
        }

    def mistakes(sign: int) -> dict[str, Any]:
        return {
            "what arrives at the loss is forgotten": lambda g, p, t: sign * 2 * (p - t) / p.size,
            "this is the gradient of |prediction − target|": lambda g, p, t: sign * g * np.sign(p - t) / p.size,
            "the difference is squared in it": lambda g, p, t: sign * g * 2 * (p - t) ** 2 / p.size,
            "divided by the number of rows, and should be by that of all numbers": (
                lambda g, p, t: sign * g * 2 * (p - t) / (len(p) if p.ndim else 1)
            ),
            "the factor 2 of the square is missing": lambda g, p, t: sign * g * (p - t) / p.size,
        }

    def of_all(g: Array, p: Array, t: Array) -> dict[str, float]:
        return {"size": p.size}

    return [Right(terms(sign), mistakes(sign), of_all, "size") for sign in (1, -1)]


def soft_cross_entropy_right(targets: Array) -> Right:
    """losses[n] = −Σ_k t[n,k] · log p[n,k]: the probabilities count as often as the targets of their row."""
    mass = targets.sum(axis=1, keepdims=True)

    def terms(g: Array, z: Array, p: Any = None, mass: Array = mass) -> dict[str, Array]:
        probabilities = softmax(z, 1) if p is None else p(z)
        return {
            "the probabilities (p · Σ t)": g[:, None] * probabilities * mass,
            "the targets (t)": -g[:, None] * targets,
        }

    hard = one_hot(targets.argmax(axis=1), targets.shape[1])
    return Right(
        terms,
        {
            "the probabilities are not multiplied by Σ t, the row's targets together": (
                lambda g, z: terms(g, z, mass=np.ones_like(mass))
            ),
            "the targets are taken for hard ones, the largest of each row": (
                lambda g, z: g[:, None] * (softmax(z, 1) * mass - hard)
            ),
            "the logits stand where their probabilities belong": lambda g, z: terms(g, z, p=lambda z: z),
            "what arrives is summed over the images first": (lambda g, z: g.sum() * (softmax(z, 1) * mass - targets)),
            "it is divided by the number of images; each has its own loss": (lambda g, z: total(terms(g, z)) / len(z)),
        },
        lambda g, z: {"N": z.shape[0], "K": z.shape[1]},
    )
