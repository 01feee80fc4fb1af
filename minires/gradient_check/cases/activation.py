"""Activations: slopes and alphas on both sides of a half and of one, numbers on the kink and far away; any axis."""

from functools import partial
from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space, away_from_zero

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017

SHAPES = ((3, 4), (7,), (1, 5), (2, 3, 4, 5), ())
FORMULAS: dict[str, Any] = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * (np.exp(np.minimum(x, 0)) - 1)),
}


def numbers(rng: np.random.Generator, shape: Any, size: float = 1.0) -> Any:
    return size * np.abs(x) if (x := away_from_zero(rng, *shape)).size == 1 else size * x


def elementwise(name: str, rng: np.random.Generator, shape: Any, size: float) -> Case:
    return Case(name, "", getattr(ops, name), {"x": numbers(rng, shape, size)}, FORMULAS[name])


def leaky_relu(rng: np.random.Generator, negative_slope: float, shape: Any) -> Case:
    return Case(
        "",
        "",
        lambda x: ops.leaky_relu(x, negative_slope),
        {"x": numbers(rng, shape)},
        lambda x: np.where(x > 0, x, negative_slope * x),
    )


def elu(rng: np.random.Generator, alpha: float, shape: Any, size: float) -> Case:
    return Case(
        "",
        "",
        lambda x: ops.elu(x, alpha),
        {"x": numbers(rng, shape, size)},
        lambda x: np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1)),
    )


def along_axis(name: str, rng: np.random.Generator, shape: Any, axis: int, shift: float) -> Case | None:
    if not -len(shape) <= axis < len(shape) or shape[axis] == 1:  # of one number it is constant
        return None

    def formula(x: Any) -> Any:
        exp = np.exp(x - shift)
        p = exp / exp.sum(axis=axis, keepdims=True)
        return p if name == "softmax" else np.log(p)

    function = getattr(ops, name)
    return Case(name, "", lambda x: function(x, axis), {"x": shift + rng.standard_normal(shape)}, formula)


def named(rng: np.random.Generator) -> list[Case]:
    x = away_from_zero(rng, 3, 4)
    kink = np.array([0.0, 1.0, -1.0, 0.0, 2.0])
    return [
        *[Case(function.__name__, "", function, {"x": x}) for function in (ops.tanh, ops.sigmoid, ops.relu, ops.selu)],
        Case("relu", "zeros", ops.relu, {"x": kink}, at_kinks=lambda grad_y, x: np.where(x > 0, grad_y, 0)),
        Case(
            "leaky_relu",
            "zeros",
            lambda x: ops.leaky_relu(x, 0.3),
            {"x": kink},
            at_kinks=lambda grad_y, x: np.where(x > 0, 1, 0.3) * grad_y,
        ),
        Case(
            "elu",
            "zeros",
            lambda x: ops.elu(x, 0.7),
            {"x": kink},
            at_kinks=lambda grad_y, x: np.where(x > 0, 1, 0.7 * np.exp(np.minimum(x, 0))) * grad_y,
        ),
        Case("leaky_relu", "slope 0.2", lambda x: ops.leaky_relu(x, 0.2), {"x": x}),
        Case("leaky_relu", "the default slope", ops.leaky_relu, {"x": x}, lambda x: np.where(x > 0, x, 0.01 * x)),
        Case("elu", "alpha 0.7", lambda x: ops.elu(x, 0.7), {"x": x}),
        Case("elu", "the default alpha", ops.elu, {"x": x}, lambda x: np.where(x > 0, x, np.exp(x) - 1)),
        Case("softmax", "", ops.softmax, {"x": rng.standard_normal((3, 4))}),
        Case("softmax", "axis 1", lambda x: ops.softmax(x, axis=1), {"x": rng.standard_normal((2, 4, 3))}),
        Case("log_softmax", "", ops.log_softmax, {"x": rng.standard_normal((3, 4))}),
        Case("log_softmax", "axis 0", lambda x: ops.log_softmax(x, axis=0), {"x": rng.standard_normal((4, 3))}),
    ]


SIZES = (1.0, 0.01, 3.0)
ALONG = {"shape": ((3, 4), (2, 4, 3), (5,), (1, 3), (2, 3, 4, 5)), "axis": (-1, 0, 1, -2, 2), "shift": (0.0, 800.0)}

SPACES = [
    *[Space(name, {"shape": SHAPES, "size": SIZES}, partial(elementwise, name)) for name in FORMULAS],
    Space("leaky_relu", {"negative_slope": (0.2, 0.6, 0.99, 1.5, -0.5, 0.0), "shape": SHAPES}, leaky_relu),
    Space("elu", {"alpha": (0.7, 0.2, 1.0, 1.6), "shape": SHAPES, "size": SIZES}, elu),
    *[Space(name, ALONG, partial(along_axis, name)) for name in ("softmax", "log_softmax")],
]
