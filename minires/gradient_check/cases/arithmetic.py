"""Elementwise arithmetic: all ways of broadcasting, numbers on either side, and a tensor that is used three times."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.gradient_check.cases.space import Case, Space, away_from_zero, positive
from minires.kernels import kernels_for

SHAPES = (
    ((3, 4), (3, 4)),
    ((2, 3, 4), (2, 3, 4)),
    ((2, 1, 4), (3, 1)),
    ((3, 1), (2, 1, 4)),
    ((5, 2, 3, 4), (3, 4)),  # two axes that only one of them has
    ((4,), (5, 2, 3, 4)),
    ((1, 1), (2, 3)),
    ((2, 3), ()),
    ((), (2, 3)),
    ((1, 3, 1), (2, 1, 4)),
    ((), ()),
)
FORMULAS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
}


def binary(name: str, rng: np.random.Generator, shapes: Any) -> Case:
    a_of = positive if name == "power" else away_from_zero
    arguments = {"a": a_of(rng, *shapes[0]), "b": away_from_zero(rng, *shapes[1])}
    return Case(name, "", getattr(ops, name), arguments, FORMULAS[name])


def where(rng: np.random.Generator, shapes: Any, condition: str) -> Case | None:
    a, b = shapes
    shape = {"both": np.broadcast_shapes(a, b), "of a": a, "more": (2, *np.broadcast_shapes(a, b))}[condition]
    size = int(np.prod(shape))
    if size < 2:
        return None  # one of the two would get nothing
    chosen = (rng.permutation(size) % 2 == 0).reshape(shape)
    return Case(
        "where",
        "",
        lambda a, b: ops.where(chosen, a, b),
        {"a": rng.standard_normal(a), "b": rng.standard_normal(b)},
        lambda a, b: np.where(chosen, a, b),
    )


def with_number(rng: np.random.Generator, operation: str, number: Any) -> Case:
    one: dict[str, Callable[[Any], Any]] = {
        "x + number": lambda x: x + number,
        "number + x": lambda x: number + x,
        "x − number": lambda x: x - number,
        "number − x": lambda x: number - x,
        "x · number": lambda x: x * number,
        "number · x": lambda x: number * x,
        "x / number": lambda x: x / number,
        "number / x": lambda x: number / x,
        "x ** number": lambda x: x**number,
        "number ** x": lambda x: abs(number) ** x,
    }
    return Case("", "", one[operation], {"x": positive(rng, 2, 3)}, one[operation])


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    condition = rng.random((3, 4)) > 0.5
    cases = []
    for name, formula in FORMULAS.items():
        function, a_of = getattr(ops, name), positive if name == "power" else away_from_zero
        plain = {"a": a_of(rng, 3, 4), "b": away_from_zero(rng, 3, 4)}
        broadcast = {"a": a_of(rng, 2, 1, 4), "b": away_from_zero(rng, 3, 1)}
        cases += [Case(name, "", function, plain, formula), Case(name, "broadcast", function, broadcast, formula)]
    return [
        *cases,
        Case("subtract", "number − tensor", lambda x: 2.0 - x, {"x": normal((3, 4))}, lambda x: 2.0 - x),
        Case("power", "tensor ** 3", lambda x: x**3, {"x": away_from_zero(rng, 3, 4)}, lambda x: x * x * x),
        Case("power", "2 ** tensor", lambda x: 2**x, {"x": normal((3, 4))}, np.exp2),
        Case("power", "exponents 0 and 1", power_of(np.array([0.0, 1.0, 2.0])), {"a": np.array([0.0, 0.0, -1.5])}),
        Case("power", "exponents −1", power_of(np.array([-1.0, 2.0, -1.0])), {"a": np.array([0.7, -1.2, -1.5])},
             lambda a: np.array([1.0, a[1], 1.0]) * np.array([1 / a[0], a[1], 1 / a[2]])),
        Case("power", "zero to a power", zero_to, {"b": np.array([1.0, 2.0, 0.5])}),
        Case("negative", "", ops.negative, {"x": normal((3, 4))}, np.negative),
        Case("exp", "", ops.exp, {"x": normal((3, 4))}, np.exp),
        Case("log", "", ops.log, {"x": positive(rng, 3, 4)}, np.log),
        Case("sqrt", "", ops.sqrt, {"x": positive(rng, 3, 4)}, np.sqrt),
        Case("abs", "", ops.abs, {"x": away_from_zero(rng, 3, 4)}, np.abs),
        Case("abs", "zeros", ops.abs, {"x": np.array([0.0, 2.0, -1.0])}, np.abs, lambda grad_y, x: grad_y * np.sign(x)),
        Case(
            "where",
            "",
            lambda a, b: ops.where(condition, a, b),
            {"a": normal((3, 4)), "b": normal((3, 4))},
            lambda a, b: np.where(condition, a, b),
        ),
        Case(
            "where",
            "broadcast",
            lambda a, b: ops.where(condition, a, b),
            {"a": normal((3, 1)), "b": normal(4)},
            lambda a, b: np.where(condition, a, b),
        ),
        Case("add", "a leaf in four places", four_uses, {"x": normal((2, 3))}, lambda x: x + x * x * x),
        Case("where", "a condition that is a tensor", lambda a, b: ops.where(tensor_of(condition, a), a, b),
             {"a": normal((3, 4)), "b": normal((3, 4))}, lambda a, b: np.where(condition, a, b)),
        Case("multiply", "by constants", by_constants, {"x": normal((2, 3))}, lambda x: x * (CONSTANTS - 0.5)),
        Case("add", "a single number in four places", four_uses, {"x": normal(())}, lambda x: x + x * x * x),
        Case("add", "an intermediate in four places", lambda x: four_uses(ops.exp(x)), {"x": 0.5 * normal((2, 3))}),
    ]  # fmt: skip


def exact(rng: np.random.Generator) -> list[Case]:
    base = np.array([0.0, 1.5, 0.0])

    def gradient(grad_b: Any, b: Any) -> Any:
        return grad_b * np.where(base == 0, 0, base**b * np.log(np.where(base == 0, 1, base)))

    b = np.array([0.0, 2.0, 1.0])
    return [Case("power", "zero to the zeroth", zero_to, {"b": b}, lambda b: base**b, gradient, exactly=True)]


CONSTANTS = np.array([2.0, -1.0, 0.25])


def by_constants(x: Tensor) -> Tensor:
    """Multiply by a tensor that is made of an array and a number alone."""
    return ops.multiply(x, ops.subtract(kernels_for(x.data).xp.asarray(CONSTANTS, x.dtype), 0.5))


def tensor_of(condition: Any, like: Tensor) -> Any:
    """Return a condition as a tensor, on the device of another."""
    return Tensor(kernels_for(like.data).xp.asarray(condition))


def power_of(exponents: Any) -> Callable[[Tensor], Tensor]:
    return lambda a: ops.power(a, kernels_for(a.data).xp.asarray(exponents, a.dtype))


def zero_to(b: Tensor) -> Tensor:
    return ops.power(Tensor(kernels_for(b.data).xp.asarray([0.0, 1.5, 0.0], b.dtype)), b)


def four_uses(x: Tensor) -> Tensor:
    """Return x + x³: the engine adds up what comes from four places."""
    return ops.add(x, ops.multiply(ops.multiply(x, x), x))


NUMBERS = {"operation": ("x + number", "number + x", "x − number", "number − x", "x · number", "number · x",
                         "x / number", "number / x", "x ** number", "number ** x"),
           "number": (3, 0.7, -2.0, np.float64(1.25), np.array(2))}  # fmt: skip

SPACES = [
    *[Space(name, {"shapes": SHAPES}, partial(binary, name)) for name in FORMULAS],
    Space("where", {"shapes": SHAPES, "condition": ("both", "of a", "more")}, where),
    Space("multiply", NUMBERS, with_number),
]
