"""Losses: smoothing, ignored labels under any number, one image, one class more than labels, large logits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.gradient_check.cases.space import Case, Space
from minires.kernels import Array


def cross_entropy(
    rng: np.random.Generator,
    N: int,
    classes: int,
    label_smoothing: float,
    ignore_index: int,
    ignored: str,
    size: float,
    shift: float,
) -> Case | None:
    labels = rng.integers(0, classes, N)
    if 0 <= ignore_index < classes:
        labels[labels == ignore_index] = (ignore_index + 1) % classes
    if ignored == "some":
        labels[1:2] = ignore_index
        labels[-1:] = ignore_index
    elif ignored == "all but one":
        labels[1:] = ignore_index
    if (labels == ignore_index).all():
        return None

    def formula(logits: Any) -> Any:
        total, kept = 0.0, 0
        for n in range(N):
            if labels[n] == ignore_index:
                continue
            log_p = logits[n] - shift - np.log(np.sum(np.exp(logits[n] - shift)))
            q = np.full(classes, label_smoothing / classes)
            q[labels[n]] += 1 - label_smoothing
            total, kept = total - np.sum(q * log_p), kept + 1
        return total / kept

    return Case(
        "",
        "",
        lambda logits: ops.cross_entropy(logits, labels, label_smoothing, ignore_index),
        {"logits": shift + size * rng.standard_normal((N, classes))},
        formula,
    )


def mse_loss(rng: np.random.Generator, shape: Any) -> Case:
    arguments = {"prediction": rng.standard_normal(shape), "target": rng.standard_normal(shape)}
    return Case("", "", ops.mse_loss, arguments, lambda p, t: np.sum((p - t) ** 2) / max(1, int(np.prod(shape))))


def loss_option_cases(rng: np.random.Generator) -> list[Case]:
    """Return the cases of soft labels, weights of classes, and a loss for each image."""
    labels, some = np.array([3, 0, 2, 2, 1]), np.array([3, -100, 2, -100, 1])
    weight = np.array([0.5, 2.0, 0.0, 1.25])
    soft = rng.dirichlet(np.ones(4), 5)
    options: dict[str, tuple[Array, dict[str, Any]]] = {
        "soft labels": (soft, {}),
        "soft labels, smoothing 0.1, weight": (soft, {"label_smoothing": 0.1, "weight": weight}),
        "weight": (labels, {"weight": weight}),
        "weight, smoothing 0.1, some ignored": (some, {"weight": weight, "label_smoothing": 0.1}),
        "none": (some, {"reduction": "none"}),
        "none, soft labels, weight": (soft, {"reduction": "none", "weight": weight}),
        "sum": (some, {"reduction": "sum", "label_smoothing": 0.1}),
    }
    return [
        Case("cross_entropy", name, loss_of(given, keywords), {"logits": rng.standard_normal((5, 4))})
        for name, (given, keywords) in options.items()
    ]


def loss_of(labels: Array, keywords: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    def loss(logits: Tensor) -> Tensor:
        given = labels.astype(logits.dtype) if labels.dtype.kind == "f" else labels
        return ops.cross_entropy(logits, given, **keywords)

    return loss


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    labels = np.array([0, 3, 1, 2, 3])
    some = np.array([0, -100, 1, -100, 3])
    return [
        Case("cross_entropy", "", lambda logits: ops.cross_entropy(logits, labels), {"logits": normal((5, 4))}),
        Case(
            "cross_entropy",
            "smoothing 0.1",
            lambda logits: ops.cross_entropy(logits, labels, label_smoothing=0.1),
            {"logits": normal((5, 4))},
        ),
        Case(
            "cross_entropy",
            "smoothing 0.1, some ignored",
            lambda logits: ops.cross_entropy(logits, some, label_smoothing=0.1),
            {"logits": normal((5, 4))},
        ),
        *loss_option_cases(rng),
        Case("mse_loss", "", ops.mse_loss, {"prediction": normal((3, 4)), "target": normal((3, 4))}),
        Case("mse_loss", "a constant target", lambda p: ops.mse_loss(p, 0.5), {"prediction": normal(())}),
    ]


SPACES = [
    Space(
        "cross_entropy",
        {
            "N": (5, 1, 2, 7),
            "classes": (4, 2, 3, 10),
            "label_smoothing": (0.0, 0.1, 0.6, 1.0),
            "ignore_index": (-100, 255, 1, -1, 0),
            "ignored": ("none", "some", "all but one"),
            "size": (1.0, 5.0),
            "shift": (0.0, 1000.0, -1000.0),  # eˣ would overflow
        },
        cross_entropy,
    ),
    Space("mse_loss", {"shape": ((3, 4), (7,), (2, 1, 3, 2), (1,), ())}, mse_loss),
]
