"""Slopes by finite differences, the kinks that they must not cross, and how far they can be trusted.

At a kink (relu at 0, a tie of a maximum) a function has two slopes and no derivative: a difference across it is an
average of the two and says nothing about backward. Kinks are found by looking at the function alone, at two step
sizes, so that no mistake in a backward pass can pass for one.

A difference is no better than the function's own rounding, divided by the step. That rounding is measured, so that a
tolerance need not be guessed: a gradient of 1e-12 of a function near 1e-12 is compared as strictly as any other, and
one that is lost in the rounding of a function near 1 is said to be undecided.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minires.kernels import Array

UNIT = float(np.finfo(np.float64).eps)
JITTERS = 2  # times that the rounding is measured
NOISE = 20  # a slope is off by at most this many roundings over the step: sums of up to 20 of them are formed
DECIDED = 4  # a gradient of so many times the uncertainty tells a right backward from 0, from a half, from −1 times


@dataclass(frozen=True)
class Tolerance:
    """eps: the step. Two numbers a and b agree if |a − b| ≤ rtol · max(|a|, |b|, size / 100) + the uncertainty.

    size: the largest slope found so far, by differences: a wrong backward must not widen what it is compared by.
    rounding: how far Σ grad_y · y is off.
    atol: the uncertainty, where it is not to be measured.
    steps: the shares of eps that are tried, one after the other, around kinks that are merely close.
    """

    eps: float
    rtol: float
    atol: float | None = None
    size: float = 0.0
    rounding: float = 0.0
    steps: tuple[float, ...] = (1.0, 0.1)

    def __post_init__(self) -> None:
        for name, value in (("eps", self.eps), ("rtol", self.rtol), ("atol", self.atol)):
            if value is not None and not value > 0:
                raise ValueError(f"gradient check: {name} must be above 0, got {value}")

    def uncertainty(self, step: float) -> float:
        return self.atol if self.atol is not None else NOISE * self.rounding / step

    def of(self, a: float, b: float, step: float) -> float:
        return self.rtol * max(abs(a), abs(b), self.size / 100) + self.uncertainty(step)


@dataclass(frozen=True)
class Slope:
    """A slope, and the uncertainty that the function's rounding leaves it."""

    value: float
    uncertainty: float
    step: float


def slope(y_at: Callable[[float], Array], y: Array, grad_y: Array, tolerance: Tolerance) -> Slope | None:
    """Return d/dt Σ grad_y · y_at(t) at t = 0, where y_at(0) = y; None if there is a kink.

    Central differences c(h) = Σ grad_y (y_at(h) − y_at(−h)) / 2h at h = eps and eps / 2, extrapolated to
    (4 c(h/2) − c(h)) / 3, whose error is of order h⁴ (Richardson). Smaller steps are tried around a kink that is merely
    close. ValueError if y_at(t) is not finite.
    """
    for share in tolerance.steps:
        step = share * tolerance.eps
        wide, wide_bend = central_difference(y_at, y, grad_y, step)
        narrow, narrow_bend = central_difference(y_at, y, grad_y, step / 2)
        # A smooth bend Σ grad_y (y(h) − 2y + y(−h)) is h²y'': a quarter of it at half the step. At a kink it is half.
        kink = max(abs(wide - narrow), abs(wide_bend - 4 * narrow_bend) / step)
        if kink <= tolerance.of(wide, narrow, step):
            return Slope((4 * narrow - wide) / 3, tolerance.uncertainty(step), step)
    return None


def central_difference(y_at: Callable[[float], Array], y: Array, grad_y: Array, step: float) -> tuple[float, float]:
    """Return Σ grad_y (y(h) − y(−h)) / 2h and the bend Σ grad_y (y(h) − 2y + y(−h))."""
    ahead = y_at(step) - y  # differences first, sums after: outputs that do not move cancel exactly
    behind = y - y_at(-step)
    if not (np.isfinite(ahead).all() and np.isfinite(behind).all()):
        raise ValueError("gradient check: the function is not finite near its inputs; choose others, inside its domain")
    return float(np.sum(grad_y * (ahead + behind)) / (2 * step)), float(np.sum(grad_y * (ahead - behind)))


def measured_rounding(y_of: Callable[[Array], Array], x: Array, y: Array, grad_y: Array) -> float:
    """Return how far Σ grad_y · y moves when each number of x moves by its own rounding, or y's numbers by theirs."""
    terms = grad_y * y
    rounding = UNIT * float(np.sqrt(np.sum(terms * terms)))
    generator = np.random.default_rng(0)  # its own: how often it is measured moves nothing else that is drawn
    for _ in range(JITTERS):
        moved = y_of(x * (1 + UNIT * generator.integers(-1, 2, x.shape)))
        rounding = max(rounding, abs(float(np.sum(grad_y * (moved - y)))))
    return rounding if np.isfinite(rounding) else 0.0


def random_gradient(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw an output gradient: random signs, sizes between 1/2 and 3/2, so that no element hides and no sum cancels."""
    return np.asarray(generator.choice([-1.0, 1.0], shape) * generator.uniform(0.5, 1.5, shape))


def random_direction(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw a direction of length 1."""
    direction = np.asarray(generator.standard_normal(shape))
    return direction / np.linalg.norm(direction)
