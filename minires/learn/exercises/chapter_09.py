"""Chapter 9: He's initialization, and the backward of an activation."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_equal, check_gradient, refuse_nothing, replaced
from minires.learn.exercise import Exercise
from minires.nn import initialization

TEXT = '''"""Chapter 9: weights that neither vanish nor explode, and the backward of ELU.

Keep the dtype in elu_backward: float32 in, float32 out.

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

POSITIVE, NEGATIVE = "the side where x > 0", "the side where x is below 0"


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype)


def sides(positive: Any = 1.0, negative: Any = None) -> Any:
    """Return the terms of ELU's gradient; the slope of either side is a function of x and alpha, or a number."""

    def terms(grad_y: Array, x: Array, alpha: float) -> dict[str, Array]:
        slope = alpha * np.exp(x) if negative is None else negative(x, alpha)
        other = positive(x, alpha) if callable(positive) else positive
        return {POSITIVE: np.where(x > 0, grad_y * other, 0), NEGATIVE: np.where(x > 0, 0, grad_y * slope)}

    return terms


SLOPES: dict[str, Any] = {
    "on the negative side stands y itself, not its slope": sides(negative=lambda x, a: a * np.expm1(x)),
    "on the negative side nothing comes back: that is ReLU's gradient": sides(negative=lambda x, a: 0 * x),
    "on the negative side the slope is alpha alone, that of a leaky ReLU: eˣ is missing": sides(
        negative=lambda x, a: a + 0 * x
    ),
    "on the negative side all comes back": sides(negative=lambda x, a: 1 + 0 * x),
    "alpha is missing": sides(negative=lambda x, a: np.exp(x)),
    "alpha is missing, and y stands for the slope": sides(negative=lambda x, a: np.expm1(x)),
    "alpha is there twice": sides(negative=lambda x, a: a * a * np.exp(x)),
    "alpha stands in the exponent": sides(negative=lambda x, a: np.exp(a * x)),
    "alpha stands in the exponent, too": sides(negative=lambda x, a: a * np.exp(a * x)),
    "eˣ is divided by alpha, and should be multiplied": sides(negative=lambda x, a: np.exp(x) / a),
    "the exponent has the wrong sign, e⁻ˣ": sides(negative=lambda x, a: a * np.exp(-x)),
    "the slope of eˣ is eˣ, not x·eˣ": sides(negative=lambda x, a: a * x * np.exp(x)),
    "it is alpha·eˣ + 1: the one of y is a constant, whose slope is 0": sides(negative=lambda x, a: a * np.exp(x) + 1),
    "it is y + 1, which is the slope for alpha = 1 alone": sides(negative=lambda x, a: a * np.expm1(x) + 1),
    "it is alpha·eˣ − 1: the one of y is inside of the parentheses, and its slope is 0": sides(
        negative=lambda x, a: a * np.exp(x) - 1
    ),
    "on the positive side the slope is 1, not alpha": sides(positive=lambda x, a: a),
    "on the positive side stands x, the value, not the slope": sides(positive=lambda x, a: x),
    "both sides have the slope of the negative one": sides(positive=lambda x, a: a * np.exp(x)),
    "the two sides are exchanged": lambda g, x, a: {
        POSITIVE: np.where(x > 0, g * a * np.exp(x), 0), NEGATIVE: np.where(x > 0, 0, g),
    },
    "the sign of grad_y decides the side; x does": lambda g, x, a: {
        POSITIVE: np.where(g > 0, g, 0), NEGATIVE: np.where(g > 0, 0, g * a * np.exp(x)),
    },
    "what arrives, grad_y, is not used": lambda g, x, a: sides()(np.ones_like(g), x, a),
}  # fmt: skip


def elu_right(alpha: float) -> Right:
    def with_alpha(terms: Any) -> Any:
        return lambda grad_y, x: terms(grad_y, x, alpha)

    return Right(with_alpha(sides()), {sentence: with_alpha(terms) for sentence, terms in SLOPES.items()})


def check_elu(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        return {"x": rng.normal(0, 1.5, rng.integers(4, 7, 2))}

    for alpha in (0.7, 1.0):

        def forward(x: Array, alpha: float = alpha) -> Array:
            return elu(x, alpha)

        def backward(grad_y: Array, x: Array, alpha: float = alpha) -> Any:
            return mine.elu_backward(grad_y, x, alpha)

        head = f"elu_backward, alpha {alpha}"
        yield from check_gradient(head, forward, backward, draw, {"x": elu_right(alpha)}, seed=seed)
    far = mine.elu_backward(np.ones(2), np.array([800.0, -800.0]), 1.0)
    hint = "at x = 800 and −800: where eˣ is not used it may overflow, but nothing of it may get out"
    yield from check_equal("elu_backward, far out", far, np.array([1.0, 0.0]), hint)


def check_draws(mine: Any, seed: int) -> Iterator[str]:
    """Draw twice with generators of one seed, and twice with one generator."""
    twice = mine.drawn_twice((30, 20), seed)
    if not np.array_equal(twice[0], twice[1]):
        raise Wrong("he_weight: generators of one seed give different weights: draw from `generator` alone")
    if np.array_equal(twice[1], twice[2]):
        raise Wrong("he_weight: every call gives the same weights: draw from `generator`, make no new one")
    yield "he_weight draws from the generator that it is handed"


def drawn_twice(mine: ModuleType, shape: tuple[int, ...], seed: int) -> list[Array]:
    """Where the reader's code runs: draw with two generators of one seed, with the second one twice."""
    first, second = np.random.default_rng(seed), np.random.default_rng(seed)
    return [mine.he_weight(shape, first), mine.he_weight(shape, second), mine.he_weight(shape, second)]


def he_weight(mine: ModuleType, shape: tuple[int, ...], seed: int) -> Array:
    return mine.he_weight(shape, np.random.default_rng(seed))


@dataclass(frozen=True)
class Fans:
    """What may be counted of a weight's shape."""

    shape: tuple[int, ...]

    @property
    def inputs(self) -> int:
        return self.shape[1] * math.prod(self.shape[2:])

    @property
    def outputs(self) -> int:
        return self.shape[0] * math.prod(self.shape[2:])

    @property
    def right(self) -> int:
        return self.inputs if len(self.shape) == 2 else self.outputs

    @property
    def other(self) -> int:
        return self.outputs if len(self.shape) == 2 else self.inputs

    @property
    def without_taps(self) -> int:
        return self.shape[1] if len(self.shape) == 2 else self.shape[0]


VARIANCES: dict[str, Callable[[Fans], float]] = {
    "the 2 is missing, for the half that ReLU takes away": lambda fan: 1 / fan.right,
    "the standard deviation is 2/fan; that is what the variance should be": lambda fan: (2 / fan.right) ** 2,
    "the fan is the other one: inputs are counted for outputs, or the reverse": lambda fan: 2 / fan.other,
    "the fan is the other one, and the 2 is missing": lambda fan: 1 / fan.other,
    "inputs are counted for a filter, where its outputs should be": lambda fan: 2 / fan.inputs,
    "inputs are counted for a filter, where its outputs should be, and the 2 is missing": lambda fan: 1 / fan.inputs,
    "outputs are counted for a matrix, where its inputs should be": lambda fan: 2 / fan.outputs,
    "outputs are counted for a matrix, where its inputs should be, and the 2 is missing": lambda fan: 1 / fan.outputs,
    "a filter's KH·KW taps are not counted": lambda fan: 2 / fan.without_taps,
    "a filter's KH·KW taps are not counted, and C is, not F": lambda fan: 2 / fan.shape[1],
    "a filter's KH·KW taps are not counted, and F is the fan of a matrix, too": lambda fan: 2 / fan.shape[0],
    "the fan is the mean of inputs and outputs; He's takes one of them": lambda fan: 4 / (fan.inputs + fan.outputs),
    "this is Glorot's, 2/(fan_in + fan_out)": lambda fan: 2 / (fan.inputs + fan.outputs),
    "the fan counts all numbers of the weight": lambda fan: 2 / math.prod(fan.shape),
    "this is PyTorch's default, of variance 1/(3·fan_in)": lambda fan: 1 / (3 * fan.inputs),
    "the bound of a uniform draw is He's standard deviation, so that the variance is a third of it": (
        lambda fan: 2 / fan.right / 3
    ),
    "the variance is 2·fan, and should be 2/fan": lambda fan: 2 * fan.right,
    "these are standard normal numbers, of variance 1, not scaled": lambda fan: 1.0,
    "the variance is twice too large": lambda fan: 4 / fan.right,
}


def check_weights(mine: Any, seed: int) -> Iterator[str]:
    """Look at mean, variance and distribution; `Wrong` with the formula that all of the weights seem to follow."""
    drawn = {case: mine.weight_drawn(shape, seed) for case, shape in SHAPES.items()}
    for (case, shape), weight in zip(SHAPES.items(), drawn.values(), strict=True):
        head = f"he_weight, {case}"
        refuse_nothing(head, weight)
        if not isinstance(weight, np.ndarray) or weight.shape != shape:
            yield from check_equal(head, weight, np.zeros(shape), "one weight for each place of the shape")
        if weight.dtype != np.float64:
            raise Wrong(f"{head}: the weights are {weight.dtype}, and should be float64")
        if not np.isfinite(weight).all():
            raise Wrong(f"{head}: some weights are not finite")
        if abs(weight.mean()) > 0.1 * weight.std():
            raise Wrong(f"{head}: the mean is {weight.mean():.3f}, not 0")
    for (case, shape), weight in zip(SHAPES.items(), drawn.values(), strict=True):
        head, fan, std = f"he_weight, {case}", Fans(shape).right, float(weight.std())
        if abs(std / (2 / fan) ** 0.5 - 1) < 0.03:
            check_shape_of_draw(head, weight / std)
            yield head
            continue
        for sentence, variance in VARIANCES.items():
            draws = zip(SHAPES.values(), drawn.values(), strict=True)
            if all(abs(one.std() / variance(Fans(of)) ** 0.5 - 1) < 0.03 for of, one in draws):
                raise Wrong(f"{head}: {sentence}")
        times = std / (2 / fan) ** 0.5
        raise Wrong(f"{head}: the standard deviation is {std:.4f}, {times:.2f} times what it should be")
    yield from check_draws(mine, seed)


def check_shape_of_draw(head: str, scaled: Array) -> None:
    """`Wrong` for weights of the right variance that are not normally distributed."""
    fourth = float(np.mean(scaled**4))  # 3 for a normal distribution, 1.8 for a uniform one, 1 for two values
    if fourth < 2.2:
        raise Wrong(f"{head}: mean and variance are right, the distribution is not normal (a uniform one?)")
    if fourth > 4:
        raise Wrong(f"{head}: mean and variance are right, the distribution is not normal: too many large numbers")


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def draw_weight(init: str, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return mine.he_weight(shape, generator)

    return replaced(initialization, draw_weight=draw_weight)


EXERCISE = Exercise(
    chapter=9,
    name="initialization",
    title="He's initialization, and ELU backward",
    text=TEXT,
    hints=HINTS,
    checks={"he_weight": check_weights, "elu_backward": check_elu},
    beside={"weight_drawn": he_weight, "drawn_twice": drawn_twice},
    plug=plug,
)
