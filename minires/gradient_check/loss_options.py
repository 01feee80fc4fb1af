"""Cases of cross-entropy's options: soft labels, weights of classes, a loss for each image."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minires.engine import Tensor
from minires.gradient_check import cases
from minires.gradient_check.cases import Case
from minires.kernels import Array


def loss_option_cases(rng: np.random.Generator) -> list[Case]:
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
        return cases.ops.cross_entropy(logits, given, **keywords)  # the ops that the other cases have

    return loss
