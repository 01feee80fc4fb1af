"""A case, and the space of an op's arguments that cases are generated from.

An op declares once which values of each argument are interesting: `Space("conv2d", {"kernel": …, "stride": …}, make)`.
`all_pairs` draws few choices in which every two values of two arguments meet; most mistakes that show up for special
arguments only need no more than two of them. `random_choices` draws as many as one likes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from minires.kernels import Array

Choice = dict[str, Any]
TRIES = 40  # random completions of a pair of values, of which the one with most new pairs is taken


@dataclass
class Case:
    """One op in one configuration: `fn(*arguments.values())` gives a Tensor, or a tuple that starts with one.

    formula: the forward pass once more, from the op's definition and in plain NumPy: a mistake that forward and
        backward share leaves the gradient right, and the function another one.
    at_kinks: the gradient with respect to the one argument, from grad_y and the argument: what is agreed upon where
        there is no derivative (relu at 0, equal maxima), and differences cannot tell.
    each_element: small enough that every element is compared by itself; else random directions and some elements are.
    large: reaches paths that small arrays do not (threads, groups of images); random directions alone.
    exactly: formula and at_kinks say what output and gradient are, number by number, each to its own last digits, and
        infinities and NaN in their places; no differences are taken. For arguments at which those cannot tell.
    grad_y: the output gradient, where a random one would hide what the case looks for.
    """

    op: str  # the public function's name
    variant: str
    fn: Callable[..., Any]
    arguments: dict[str, Array]
    formula: Callable[..., Any] | None = None
    at_kinks: Callable[..., Any] | None = None
    each_element: bool = True
    large: bool = False
    exactly: bool = False
    grad_y: Array | None = None

    @property
    def name(self) -> str:
        return f"{self.op}, {self.variant}" if self.variant else self.op


@dataclass
class Space:
    """The interesting values of each argument of an op.

    make(rng, **choice): the case of one value for each argument, or None where they do not go together.
    corners: choices that are taken besides, each complete or with the first value for what it leaves out.
    """

    op: str
    values: dict[str, tuple[Any, ...]]
    make: Callable[..., Case | None]
    corners: tuple[Choice, ...] = field(default=())

    def cases(self, rng: np.random.Generator, thorough: int = 0) -> Iterator[Case]:
        """Yield the corners and the all-pairs choices; thorough: that many random choices besides."""
        first = {name: values[0] for name, values in self.values.items()}
        chosen = [{**first, **corner} for corner in self.corners]
        chosen += all_pairs(self.values, self.fits, rng)
        chosen += [self.random_choice(rng) for _ in range(thorough)]
        for choice in chosen:
            case = self.make(rng, **choice)
            if case is not None:
                case.op, case.variant, case.each_element = self.op, described(choice, first), False
                yield case

    def fits(self, choice: Choice) -> bool:
        return self.make(np.random.default_rng(0), **choice) is not None

    def random_choice(self, rng: np.random.Generator) -> Choice:
        return {name: values[rng.integers(len(values))] for name, values in self.values.items()}


def described(choice: Choice, first: Choice) -> str:
    """Name the first argument's value, and those that are not the first of their argument: "kernel (3, 3), N 1"."""
    leading = next(iter(choice))
    words = [
        f"{name.replace('_', ' ')} {shown(value)}"
        for name, value in choice.items()
        if name == leading or value != first[name]
    ]
    return ", ".join(words)


def shown(value: Any) -> str:
    return str(value).replace("-", "−").replace("'", "")


def all_pairs(values: dict[str, tuple[Any, ...]], fits: Callable[[Choice], bool], rng: Any) -> list[Choice]:
    """Return choices in which every two values of two arguments meet, as far as they go together."""
    names = list(values)
    if len(names) == 1:
        return [choice for value in values[names[0]] if fits(choice := {names[0]: value})]
    places = {name: range(len(values[name])) for name in names}
    missing = {(a, i, b, j): None for a, b in combinations(names, 2) for i in places[a] for j in places[b]}
    chosen = []
    while missing:
        a, i, b, j = next(iter(missing))
        best: dict[str, int] = {}
        most: list[Any] = []
        for _ in range(TRIES):
            at = {name: int(rng.integers(len(values[name]))) for name in names} | {a: i, b: j}
            new = [pair for pair in pairs_of(at, names) if pair in missing]
            if len(new) > len(most) and fits({name: values[name][at[name]] for name in names}):
                best, most = at, new
        if best:
            chosen.append({name: values[name][best[name]] for name in names})
        for pair in most or [(a, i, b, j)]:  # a pair that goes with nothing is given up
            del missing[pair]
    return chosen


def pairs_of(at: dict[str, int], names: list[str]) -> list[tuple[str, int, str, int]]:
    return [(a, at[a], b, at[b]) for a, b in combinations(names, 2)]


# Inputs


def positive(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(0.5, 2.0, shape)


def away_from_zero(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def distinct(rng: np.random.Generator, *shape: int) -> Array:
    """Draw numbers no two of which are close: a maximum of them has no tie, and none is near zero."""
    size = int(np.prod(shape))
    return (rng.permutation(size).reshape(shape) - size / 2 + 0.25) / 7
