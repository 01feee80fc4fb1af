"""Chapter 9: He's initialization, and the backward of an activation."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array
from minires.learn.examiner import Backward, Wrong, check_equal, check_gradient, replaced
from minires.learn.exercise import Exercise
from minires.nn import initialization

TEXT = '''"""Chapter 9: weights that neither vanish nor explode, and the backward of ELU.

Fill in the two functions, then run `minires check 9`. `minires check 9 --hint` helps.
"""

import numpy as np


def he_weight(shape, generator):
    """Return weights of this shape, drawn from N(0, 2/fan) with `generator`, a numpy.random.Generator.

        a matrix, shape (F, C):             fan = C, the inputs of one output
        filters, shape (F, C, KH, KW):      fan = F·KH·KW, the outputs of one input

    N(0, 2/fan) is the normal distribution with mean 0 and *variance* 2/fan. Values are float64.
    """
    ...


def elu_backward(grad_y, x, alpha):
    """Return dL/dx for y = x where x > 0, and y = alpha·(eˣ − 1) elsewhere.

    grad_y and x have one shape; alpha is a number.
    """
    ...
'''

HINTS = (
    "generator.normal(mean, standard deviation, shape) takes the standard deviation: the root of the variance.",
    "shape[0] is F, shape[1] is C, and shape[2:] is (KH, KW), or () for a matrix; math.prod(()) is 1.",
    "ELU: differentiate the two branches one by one. On the negative side only eˣ depends on x.",
    "np.where(condition, a, b) takes a where the condition holds and b elsewhere. Do not forget to multiply by what "
    "arrives.",
)

SHAPES = {"a matrix": (300, 60), "3×3 filters": (64, 16, 3, 3), "filters of 1×5": (40, 100, 1, 5)}

MISTAKES = {
    "on the negative side stands y itself, not its slope": "value",
    "on the negative side nothing comes back: that is ReLU's gradient": "relu",
    "the two sides are exchanged": "exchanged",
    "what arrives, grad_y, is not used": "alone",
}


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype)


def typical(kind: str, alpha: float) -> Backward:
    """Return a backward of ELU with one typical mistake."""

    def backward(grad_y: Array, x: Array) -> Array:
        slopes = {
            "value": np.where(x > 0, 1, elu(x, alpha)),
            "relu": np.where(x > 0, 1, 0),
            "exchanged": np.where(x > 0, alpha * np.exp(x), 1),
            "alone": np.where(x > 0, 1, alpha * np.exp(x)) / grad_y,
            "exp": np.where(x > 0, 1, np.exp(x)),
        }
        return grad_y * slopes[kind]

    return backward


def check(mine: ModuleType) -> Iterator[str]:
    for case, shape in SHAPES.items():
        weight = mine.he_weight(shape, np.random.default_rng(0))
        yield from check_weight(f"he_weight, {case}", shape, weight)
        again, generator = mine.he_weight(shape, np.random.default_rng(0)), np.random.default_rng(0)
        if not np.array_equal(weight, again):
            raise Wrong(
                f"he_weight, {case}: generators of one seed give different weights: draw from `generator` alone"
            )
        if np.array_equal(mine.he_weight(shape, generator), mine.he_weight(shape, generator)):
            raise Wrong(f"he_weight, {case}: every call gives the same weights: draw from `generator`, make no new one")

    x = np.random.default_rng(0).normal(0, 1.5, (4, 5))
    for alpha in (1.0, 0.7):

        def forward(x: Array, alpha: float = alpha) -> Array:
            return elu(x, alpha)

        def backward(grad_y: Array, x: Array, alpha: float = alpha) -> Any:
            return mine.elu_backward(grad_y, x, alpha)

        mistakes = {sentence: typical(kind, alpha) for sentence, kind in MISTAKES.items()}
        if alpha != 1:
            mistakes["alpha is missing"] = typical("exp", alpha)
        yield from check_gradient(f"elu_backward, alpha {alpha}", forward, backward, {"x": x}, mistakes)


def check_weight(head: str, shape: tuple[int, ...], weight: Any) -> Iterator[str]:
    """Yield if weights have about the right mean and variance; `Wrong` with the formula that they seem to follow."""
    if not isinstance(weight, np.ndarray) or weight.shape != shape:
        yield from check_equal(head, weight, np.zeros(shape), "one weight for each place of the shape")
        return
    F, C, taps = shape[0], shape[1], weight[0, 0].size
    fan = C if len(shape) == 2 else F * taps
    std, wanted = float(weight.std()), (2 / fan) ** 0.5
    if abs(weight.mean()) > 0.1 * std:
        raise Wrong(f"{head}: the mean is {weight.mean():.3f}, not 0")
    if abs(std / wanted - 1) < 0.03:
        yield head
        return
    mistakes = {
        "the 2 is missing, for the half that ReLU takes away": (1 / fan) ** 0.5,
        "the standard deviation is 2/fan; that is what the variance should be": 2 / fan,
        "the fan is the other one: inputs are counted for outputs, or the reverse": (2 / (C * taps)) ** 0.5
        if len(shape) > 2
        else (2 / F) ** 0.5,
        "the filter's KH·KW taps are not counted": (2 / F) ** 0.5,
        "this is PyTorch's default, of variance 1/(3·fan_in)": (1 / (3 * C * taps)) ** 0.5,
        "the bound of a uniform draw is He's standard deviation, so that the variance is a third of it": (2 / fan / 3)
        ** 0.5,
    }
    for sentence, mistaken in mistakes.items():
        if abs(std / mistaken - 1) < 0.03:
            raise Wrong(f"{head}: {sentence}")
    raise Wrong(f"{head}: the standard deviation is {std:.4f}, {std / wanted:.2f} times what it should be")


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def draw_weight(init: str, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return mine.he_weight(shape, generator)

    return replaced(initialization, draw_weight=draw_weight)


EXERCISE = Exercise(
    chapter=9,
    name="initialization",
    title="He's initialization, and ELU backward",
    text=TEXT,
    names=("he_weight", "elu_backward"),
    hints=HINTS,
    check=check,
    plug=plug,
)
