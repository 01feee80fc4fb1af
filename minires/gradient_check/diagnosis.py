"""The mistake in a wrong backward, named: by an op's formulas, or by finite differences where it has none.

An op of minires.ops is run on small arrays drawn anew, and what its backward gives is fitted with its formulas, those
of known/. Any other function, an op of the reader's own say, is run at points near the given ones, with its slopes by
differences in the place of formulas: no term can be named there, but a factor, a sign, an axis, a wrong place.

What is said gives, applied to the right gradients, those of backward on every sample. What fits nothing gets no name.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minires.engine import Op, Tensor, no_grad
from minires.gradient_check.differences import random_gradient
from minires.gradient_check.fitting import Right, Sample, name_mistake, picture
from minires.gradient_check.known.ops import known_of
from minires.gradient_check.report import ArgumentReport
from minires.kernels import Array

SAMPLES = 4
NEAR = 0.03  # how far the points beside the given one lie, as a share of its numbers
CLOSE = 1e-6  # what slopes by differences are good for
NO_NAME = "its mistake is none of those that have a name"


def name_op_mistakes(op: Op, seed: int = 0) -> dict[int, str]:
    """Run an op's backward on small inputs drawn anew; return what is wrong with the gradient of each input, "" if it
    has no name. Inputs whose gradient is right there are left out."""
    known = known_of(op)
    if known is None:
        return {}
    samples: list[list[Sample]] = [[] for _ in known.rights]
    for number in range(SAMPLES):
        rng = np.random.default_rng([seed, number])
        arrays = known.draw(rng, [tensor.data for tensor in op.inputs])
        again = copy.copy(op)
        again.has_run, again.released = False, False
        y = again(*[Tensor(array.astype(np.float64), requires_grad=True) for array in arrays])
        grad_y = random_gradient(y.shape, rng)
        grads = again.backward(grad_y.copy())
        for which, grad in zip(samples, grads, strict=False):
            if grad is not None:
                which.append(Sample((grad_y, *arrays, *known.more), np.asarray(grad)))
    found = {}
    for i, (right, which) in enumerate(zip(known.rights, samples, strict=True)):
        if which and any(not right_here(right, sample) for sample in which):
            found[i] = name_mistake(right, which)
    return found


def right_here(right: Right, sample: Sample) -> bool:
    wanted = right.of(sample.arguments)
    return wanted.shape == sample.given.shape and np.allclose(sample.given, wanted, rtol=1e-7, atol=1e-10)


def diagnose(
    function: Callable[..., Tensor],
    points: Sequence[Array],
    op: Op | None,
    leaves: Sequence[Tensor],
    wrong: Sequence[tuple[int, ArgumentReport]],
) -> None:
    """Write into the reports of wrong arguments what is wrong with their gradients.

    op: the one that the function is made of, where it is one alone; leaves: what it was called with.
    """
    named: dict[int, str] | None = None
    if op is not None and known_of(op) is not None:
        try:
            named = name_op_mistakes(op)
        except Exception:  # whatever a wrong backward raises on inputs of other sizes
            named = None
    for position, report in wrong:
        places = [i for i, one in enumerate(op.inputs) if one is leaves[position]] if op is not None else []
        sentence = ""
        if named is not None and len(places) == 1:
            sentence = named.get(places[0], "right on other arrays, drawn anew: these sizes or numbers bring it out")
        if not sentence and report.elements is not None:
            sentence = named_by_differences(function, points, position)
        report.diagnosis = sentence or NO_NAME + places_of(report)


def places_of(report: ArgumentReport) -> str:
    """Draw where the gradient is wrong, where each element was compared and some are right."""
    if report.elements is None or report.gradient is None or report.gradient.shape != report.elements.shape:
        return ""
    drawn = picture(report.gradient, report.elements)
    return "" if drawn.startswith("all") else f"; {drawn}"


def named_by_differences(function: Callable[..., Tensor], points: Sequence[Array], position: int) -> str:
    """Name the mistake in one argument's gradient, from what comes back at points nearby; "" if none fits."""
    samples = []
    for number in range(SAMPLES):
        rng = np.random.default_rng(number)
        near = [point * (1 + NEAR * rng.uniform(-1, 1, point.shape)) for point in points]
        leaves = [Tensor(point.copy(), requires_grad=i == position) for i, point in enumerate(near)]
        with np.errstate(all="ignore"):
            y = first_of(function(*leaves))
            grad_y = random_gradient(y.shape, rng)
            if y.requires_grad:
                y.backward(grad_y.copy())
            grad = leaves[position].grad
            slopes = slopes_of(function, near, position)
        given = np.zeros(near[position].shape) if grad is None else np.asarray(grad)
        samples.append(Sample((grad_y, slopes, near[position], y.data), given))
    if all(np.isfinite(sample.given).all() and not same_size(sample).any() for sample in samples):
        return "it should be 0: the output does not depend on this argument"
    return name_mistake(BY_DIFFERENCES, samples)


def same_size(sample: Sample) -> Array:
    """Return the right gradient, without what is nothing beside the wrong one."""
    right = BY_DIFFERENCES.of(sample.arguments)
    return np.where(np.abs(right) > CLOSE * np.abs(sample.given).max(initial=0), right, 0)


def slopes_of(function: Callable[..., Tensor], points: Sequence[Array], position: int) -> Array:
    """Return the table of slopes dy/dx, in the shape of y and then that of x, by central differences of two steps."""
    x = points[position]

    def y_at(index: tuple[int, ...], step: float) -> Array:
        moved = x.copy()
        moved[index] += step
        with no_grad():
            return first_of(function(*[Tensor(moved if i == position else one) for i, one in enumerate(points)])).data

    def slope(index: tuple[int, ...], step: float) -> Array:
        return (y_at(index, step) - y_at(index, -step)) / (2 * step)

    columns = [(4 * slope(index, 5e-5) - slope(index, 1e-4)) / 3 for index in np.ndindex(x.shape)]
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *x.shape)


def first_of(y: Any) -> Tensor:
    return y[0] if isinstance(y, tuple) else y


def pulled_back(grad_y: Array, slopes: Array, *_: Array) -> Array:
    """Return Σ dy · slopes, the gradient with respect to x."""
    return np.tensordot(grad_y, slopes, grad_y.ndim)


def by(factor: Callable[[Array, Array], Array], divided: bool = False) -> Callable[..., Array]:
    """Return the gradient with a factor of x and y too many, or too few; NaN, which fits nothing, for other shapes."""

    def gradient(grad_y: Array, slopes: Array, x: Array, y: Array) -> Array:
        if x.shape != y.shape:
            return np.full(x.shape, np.nan)
        right = pulled_back(grad_y, slopes)
        return right / factor(x, y) if divided else right * factor(x, y)

    return gradient


FACTORS: dict[str, Callable[[Array, Array], Array]] = {
    "the output": lambda x, y: y,
    "1 minus the output": lambda x, y: 1 - y,
    "the argument": lambda x, y: x,
}
BY_DIFFERENCES = Right(
    pulled_back,
    {f"a factor is missing: {name}": by(factor, divided=True) for name, factor in FACTORS.items()}
    | {f"there is a factor too many: {name}": by(factor) for name, factor in FACTORS.items()},
    close=CLOSE,
)
