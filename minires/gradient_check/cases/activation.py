"""Activations: slopes and alphas on both sides of a half and of one, numbers on the kink and far away; any axis.

Far out, the exact cases compare digits: y and 1 − y, each to its own last ones, where a difference has lost them.
"""

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
        Case("log_softmax", "ties", ops.log_softmax, {"x": np.array([[2.0, 2.0, 1.0], [0.5, -3.0, 0.5]])}, log_formula),
        Case("softmax", "ruled out", ops.softmax, {"x": RULED_OUT}, formula_of_softmax),
        Case("log_softmax", "ruled out", lambda x: ops.exp(ops.log_softmax(x)), {"x": RULED_OUT}, formula_of_softmax),
        Case("softmax", "axis 1", lambda x: ops.softmax(x, axis=1), {"x": rng.standard_normal((2, 4, 3))}),
        Case("log_softmax", "", ops.log_softmax, {"x": rng.standard_normal((3, 4))}),
        Case("log_softmax", "axis 0", lambda x: ops.log_softmax(x, axis=0), {"x": rng.standard_normal((4, 3))}),
    ]


# Far out, at infinity

RULED_OUT = np.array([[0.5, -np.inf, 2.0, -1.0], [-np.inf, 0.3, -np.inf, 0.1]])  # as a mask does
FAR = np.array([-1000.0, -120.3, -95.1, -87.2, -80.7, -30.3, -14.1, -3.3, -1e-3, 1e-3, 2.7, 13.9, 31.1, 81.3, 997.0])


def formula_of_softmax(x: Any) -> Any:
    exp = np.exp(x - x.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


def log_formula(x: Any) -> Any:
    """The logarithm of softmax: of 1 + Σ of all but one of the largest."""
    falling = -np.sort(-x, axis=-1)
    rest = np.exp(falling[:, 1:] - falling[:, :1]).sum(axis=-1, keepdims=True)
    return x - falling[:, :1] - np.log1p(rest)


def softmax_gradient(grad_y: Any, x: Any) -> Any:
    """yᵢ · Σⱼ yⱼ (dyᵢ − dyⱼ): as the sum, and no large numbers that cancel."""
    y = formula_of_softmax(x)
    return y * np.sum(y[:, None, :] * (grad_y[:, :, None] - grad_y[:, None, :]), axis=2)


def log_softmax_gradient(grad_y: Any, x: Any) -> Any:
    """dyᵢ · Σⱼ pⱼ − pᵢ · Σⱼ dyⱼ, both sums without j = i."""
    p, others = formula_of_softmax(x), 1 - np.eye(x.shape[1])
    return grad_y * (p @ others) - p * (grad_y @ others)


def silently(function: Any) -> Any:
    """What is too small becomes 0 in silence (`exp_below_zero`): nothing is raised where NumPy is told to raise."""

    def call(x: Any) -> Any:
        with np.errstate(all="raise"):
            return function(x)

    return call


def exact(rng: np.random.Generator) -> list[Case]:
    def far(name: str, variant: str, function: Any, formula: Any, slope: Any) -> Case:
        gradient = lambda grad_y, x: grad_y * slope(x)  # noqa: E731
        return Case(name, variant, function, {"x": FAR}, formula, gradient, exactly=True)

    def slope_of_tanh(x: Any) -> Any:
        e = np.exp(-2 * np.abs(x))
        return 4 * e / (1 + e) ** 2

    def along(name: str, variant: str, x: Any, grad_y: Any = None) -> Case:
        formula = formula_of_softmax if name == "softmax" else log_formula
        gradient = softmax_gradient if name == "softmax" else log_softmax_gradient
        return Case(name, variant, getattr(ops, name), {"x": x}, formula, gradient, exactly=True, grad_y=grad_y)

    spread = 30 * rng.standard_normal((40, 5))  # many: what rounding takes away is as often little as much
    spread[:2] = np.array([[0.0, -13.7, -14.2, -13.9, -15.1], [-81.1, -79.3, 2.3, -82.7, -80.9]])
    spread[2:20] = rng.uniform(-83, -65, (18, 5))
    spread[2:20, 1] = rng.uniform(0.5, 3, 18)
    apart = rng.standard_normal((3, 4)) + np.array([[0.0], [1000.0], [-1000.0]])
    of_one = np.zeros(spread.shape)
    of_one[np.arange(40), rng.integers(0, 5, 40)] = rng.uniform(0.5, 1.5, 40)
    return [
        far("tanh", "far out", ops.tanh, np.tanh, slope_of_tanh),
        far("sigmoid", "far out", silently(ops.sigmoid), lambda x: 1 / (1 + np.exp(-x)),
            lambda x: 1 / (1 + np.exp(-x)) / (1 + np.exp(x))),
        far("elu", "far out, alpha 1000", lambda x: ops.elu(x, 1000.0),
            lambda x: np.where(x > 0, x, 1000 * np.expm1(x)), lambda x: np.where(x > 0, 1, 1000 * np.exp(x))),
        along("softmax", "far apart", spread),
        along("softmax", "rows far apart", apart),
        along("log_softmax", "far apart, the gradient of one", spread, of_one),
        along("log_softmax", "rows far apart, the gradient of one", apart, np.eye(4)[[0, 3, 1]]),
        along("log_softmax", "ruled out", RULED_OUT, np.eye(4)[[2, 1]]),
    ]  # fmt: skip


SIZES = (1.0, 0.01, 3.0)
ALONG = {"shape": ((3, 4), (2, 4, 3), (5,), (1, 3), (2, 3, 4, 5)), "axis": (-1, 0, 1, -2, 2), "shift": (0.0, 800.0)}

SPACES = [
    *[Space(name, {"shape": SHAPES, "size": SIZES}, partial(elementwise, name)) for name in FORMULAS],
    Space("leaky_relu", {"negative_slope": (0.2, 0.6, 0.99, 1.5, -0.5, 0.0), "shape": SHAPES}, leaky_relu),
    Space("elu", {"alpha": (0.7, 0.2, 1.0, 1.6), "shape": SHAPES, "size": SIZES}, elu),
    *[Space(name, ALONG, partial(along_axis, name)) for name in ("softmax", "log_softmax")],
]
