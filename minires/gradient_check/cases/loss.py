"""Losses: smoothing, ignored labels under any number, one image, one class more than labels, large logits.

Soft labels, weights and the three reductions are a space of their own; all have one formula, image by image.
"""

from collections.abc import Callable
from functools import partial
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
    shift: Any,
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

    return Case(
        "",
        "",
        lambda logits: ops.cross_entropy(logits, labels, label_smoothing, ignore_index),
        {"logits": shifted(shift, N) + size * rng.standard_normal((N, classes))},
        partial(formula, labels=labels, label_smoothing=label_smoothing, ignore_index=ignore_index),
    )


def formula(
    logits: Any,
    labels: Any,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """torch.nn.functional.cross_entropy, by its documentation, image by image."""
    N, classes = logits.shape
    weights = np.ones(classes) if weight is None else np.asarray(weight)
    losses, counts = np.zeros(N), np.zeros(N)
    for n in range(N):
        if labels.ndim == 1 and labels[n] == ignore_index:
            continue
        largest = logits[n].max()
        log_p = logits[n] - largest - np.log(np.sum(np.exp(logits[n] - largest)))
        hard = np.eye(classes)[labels[n]] if labels.ndim == 1 else labels[n]
        q = weights * ((1 - label_smoothing) * hard + label_smoothing / classes)
        losses[n] = -sum([q[k] * log_p[k] for k in range(classes) if q[k] != 0])
        counts[n] = weights[labels[n]] if labels.ndim == 1 else 1
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / counts.sum()


def shifted(shift: Any, N: int) -> Any:
    """Return what all logits are shifted by; "rows": each image's by another number."""
    return 400.0 * np.arange(N)[:, None] if shift == "rows" else shift


def mse_loss(rng: np.random.Generator, shape: Any) -> Case:
    arguments = {"prediction": rng.standard_normal(shape), "target": rng.standard_normal(shape)}
    return Case("", "", ops.mse_loss, arguments, lambda p, t: np.sum((p - t) ** 2) / max(1, int(np.prod(shape))))


def with_options(
    rng: np.random.Generator, labels: str, weight: str, reduction: str, label_smoothing: float, size: float, shift: Any
) -> Case:
    hard = np.array([3, -100, 2, -100, 1]) if labels == "some ignored" else np.array([3, 0, 2, 2, 1])
    given = rng.dirichlet(np.ones(4), 5) if labels == "soft" else hard
    weights: Any = {"none": None, "an array": np.array([0.5, 2.0, 0.0, 1.25]), "a list": [1.5, 0.7, 2.0, 1.1]}[weight]
    options: dict[str, Any] = {"weight": weights, "reduction": reduction, "label_smoothing": label_smoothing}
    x = shifted(shift, 5) + size * rng.standard_normal((5, 4))
    return Case("", "", loss_of(given, options), {"logits": x}, partial(formula, labels=given, **options))


def loss_of(labels: Array, keywords: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    def loss(logits: Tensor) -> Tensor:
        given = labels.astype(logits.dtype) if labels.dtype.kind == "f" else labels
        return ops.cross_entropy(logits, given, **keywords)

    return loss


def of_changed_labels(logits: Tensor) -> Tensor:
    """The loss, whose labels are changed before backward."""
    labels = np.array([0, 3, 1, 2, 3])
    loss = ops.cross_entropy(logits, labels)
    labels[:] = 0
    return loss


def exact(rng: np.random.Generator) -> list[Case]:
    """One class alone: nothing can be lost, and nothing learned."""
    labels, x = np.array([0, -100, 0]), rng.standard_normal((3, 1))
    return [
        Case(
            "cross_entropy",
            f"one class, {reduction}",
            loss_of(labels, {"reduction": reduction, "weight": weight}),
            {"logits": x},
            partial(formula, labels=labels, weight=weight, reduction=reduction),
            lambda grad_y, x: np.zeros(x.shape),
            exactly=True,
        )
        for reduction, weight in (("mean", None), ("sum", np.array([2.0])))
    ]


HARD, SOME = np.array([3, 0, 2, 2, 1]), np.array([3, -100, 2, -100, 1])
SOFT = np.array([[1, 2, 3, 4], [10, 0, 0, 0], [5, 5, 0, 0], [2, 1, 6, 1], [0, 0, 2.5, 7.5]]) / 10
WEIGHT = np.array([0.5, 2.0, 0.0, 1.25])
OPTIONS: dict[str, tuple[Array, dict[str, Any]]] = {
    "soft labels": (SOFT, {}),
    "soft labels, smoothing 0.1, weight": (SOFT, {"label_smoothing": 0.1, "weight": WEIGHT}),
    "weight": (HARD, {"weight": WEIGHT}),
    "weight, smoothing 0.1, some ignored": (SOME, {"weight": WEIGHT, "label_smoothing": 0.1}),
    "none": (SOME, {"reduction": "none"}),
    "none, soft labels, weight": (SOFT, {"reduction": "none", "weight": WEIGHT}),
    "sum": (SOME, {"reduction": "sum", "label_smoothing": 0.1}),
}
NOT_THE_LABEL = np.arange(4) == np.array([[1], [0], [3], [3], [0]])


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    labels = np.array([0, 3, 1, 2, 3])
    some = np.array([0, -100, 1, -100, 3])
    by_both_ways: list[tuple[str, Array, dict[str, Any]]] = [
        ("", labels, {}),
        (", sum", labels, {"reduction": "sum"}),
        (", some ignored", some, {}),
    ]
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
        *[
            Case("cross_entropy", name, loss_of(given, options), {"logits": normal((5, 4))},
                 partial(formula, labels=given, **options))
            for name, (given, options) in OPTIONS.items()
        ],
        Case("cross_entropy", "labels that change afterwards", of_changed_labels, {"logits": normal((5, 4))},
             partial(formula, labels=labels)),
        *[
            Case("cross_entropy", f"a class {how}{name}", loss_of(given, options),
                 {"logits": np.where(NOT_THE_LABEL, far, normal((5, 4)))}, partial(formula, labels=given, **options))
            for how, far in (("ruled out", -np.inf), ("far behind", -150.0))
            for name, given, options in by_both_ways
        ],
        Case("mse_loss", "", ops.mse_loss, {"prediction": normal((3, 4)), "target": normal((3, 4))}),
        Case("mse_loss", "a constant target", lambda p: ops.mse_loss(p, 0.5), {"prediction": normal(())}),
    ]  # fmt: skip


SPACES = [
    Space(
        "cross_entropy",
        {
            "N": (5, 1, 2, 7),
            "classes": (4, 2, 3, 10),
            "label_smoothing": (0.0, 0.1, 0.6, 1.0),
            "ignore_index": (-100, 255, 1, -1, 0),
            "ignored": ("none", "some", "all but one"),
            "size": (1.0, 2.0),
            "shift": (0.0, 1000.0, -1000.0, "rows"),  # eˣ would overflow
        },
        cross_entropy,
    ),
    Space(
        "cross_entropy",
        {
            "labels": ("soft", "hard", "some ignored"),
            "weight": ("none", "an array", "a list"),
            "reduction": ("mean", "sum", "none"),
            "label_smoothing": (0.0, 0.1, np.float64(0.3), 1.0),
            "size": (1.0, 2.0),
            "shift": (0.0, 1000.0, "rows"),
        },
        with_options,
    ),
    Space("mse_loss", {"shape": ((3, 4), (7,), (2, 1, 3, 2), (1,), ())}, mse_loss),
]
