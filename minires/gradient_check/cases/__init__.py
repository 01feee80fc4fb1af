"""Every public op with inputs that can show a mistake: sizes all different, strides, padding, batches of 1 and 2.

One file for each file of ops, with `named(rng)`, the cases that are worth a name, and `SPACES`, from which cases are
generated; in some `exact(rng)`, where formulas say what differences cannot: far out, at infinity, at NaN.
`all_cases()` is the one list that `minires gradcheck` goes through; many tests take `named_cases()`.
"""

import numpy as np

from minires.gradient_check.cases import (
    activation,
    affine,
    arithmetic,
    chain,
    convolution,
    gaussian,
    general_pooling,
    group_normalization,
    grouped_convolution,
    layer_normalization,
    loss,
    normalization,
    pooling,
    reduction,
    regularization,
    shape,
    shortcut,
)
from minires.gradient_check.cases.space import Case

__all__ = ["FILES", "Case", "all_cases", "exact_cases", "generated_cases", "named_cases"]

FILES = (arithmetic, reduction, shape, activation, regularization, affine, convolution, normalization, shortcut,
         pooling, loss, chain, grouped_convolution, general_pooling, gaussian, group_normalization,
         layer_normalization)  # fmt: skip


def named_cases(seed: int = 0) -> list[Case]:
    """Return the cases that have a name of their own, small enough that every element is compared."""
    generators = np.random.default_rng(seed).spawn(len(FILES))  # a new case moves no other file's inputs
    return side_by_side([case for file, rng in zip(FILES, generators, strict=True) for case in file.named(rng)])


def generated_cases(seed: int = 0, thorough: int = 0) -> list[Case]:
    """Return cases of all arguments' interesting values, every two of them together; thorough: more, per op."""
    spaces = [space for file in FILES for space in file.SPACES]
    generators = np.random.default_rng([seed, 1]).spawn(len(spaces))
    return [case for space, rng in zip(spaces, generators, strict=True) for case in space.cases(rng, thorough)]


def exact_cases(seed: int = 0) -> list[Case]:
    """Return the cases that are compared with formulas alone."""
    generators = np.random.default_rng([seed, 2]).spawn(len(FILES))
    makers = [getattr(file, "exact", None) for file in FILES]
    return [case for make, rng in zip(makers, generators, strict=True) if make is not None for case in make(rng)]


def all_cases(seed: int = 0, thorough: int = 0) -> list[Case]:
    """Return the named, the exact and the generated cases of all ops, with random inputs drawn from `seed`."""
    return side_by_side(named_cases(seed) + exact_cases(seed) + generated_cases(seed, thorough))


def side_by_side(cases: list[Case]) -> list[Case]:
    """Sort by op, in the order in which ops come first."""
    order = list(dict.fromkeys(case.op for case in cases))
    return sorted(cases, key=lambda case: order.index(case.op))
