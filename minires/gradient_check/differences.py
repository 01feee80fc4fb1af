"""Slopes by finite differences, and the kinks that finite differences must not cross.

At a kink (relu at 0, a tie of a maximum) a function has two slopes and no derivative: a difference across it is an
average of the two and says nothing about backward. Kinks are found by looking at the function alone, at two step
sizes, so that no mistake in a backward pass can pass for one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minires.kernels import Array


@dataclass(frozen=True)
class Tolerance:
    """eps: the step. Two numbers a and b agree if |a − b| ≤ max(atol, rtol · max(|a|, |b|))."""

    eps: float
    rtol: float
    atol: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"gradient check: {name} must be above 0, got {value}")

    def of(self, a: float, b: float) -> float:
        return max(self.atol, self.rtol * max(abs(a), abs(b)))

    def relative_error(self, a: float, b: float) -> float:
        """|a − b| over max(|a|, |b|, atol / rtol): at most rtol exactly where a and b agree."""
        return abs(a - b) / max(abs(a), abs(b), self.atol / self.rtol)


def slope(y_at: Callable[[float], Array], y: Array, grad_y: Array, tolerance: Tolerance) -> float | None:
    """Return d/dt Σ grad_y · y_at(t) at t = 0, where y_at(0) = y; None if there is a kink.

    Central differences c(h) = Σ grad_y (y_at(h) − y_at(−h)) / 2h at h = eps and eps / 2, extrapolated to
    (4 c(h/2) − c(h)) / 3, whose error is of order h⁴ (Richardson). A second try with eps / 10 steps around a kink that
    is merely close. ValueError if y_at(t) is not finite.
    """
    for step in (tolerance.eps, tolerance.eps / 10):
        wide, wide_bend = central_difference(y_at, y, grad_y, step)
        narrow, narrow_bend = central_difference(y_at, y, grad_y, step / 2)
        # A smooth bend Σ grad_y (y(h) − 2y + y(−h)) is h²y'': a quarter of it at half the step. At a kink it is half.
        kink = max(abs(wide - narrow), abs(wide_bend - 4 * narrow_bend) / step)
        if kink <= tolerance.of(wide, narrow):
            return (4 * narrow - wide) / 3
    return None


def central_difference(y_at: Callable[[float], Array], y: Array, grad_y: Array, step: float) -> tuple[float, float]:
    """Return Σ grad_y (y(h) − y(−h)) / 2h and the bend Σ grad_y (y(h) − 2y + y(−h))."""
    ahead = y_at(step) - y  # differences first, sums after: outputs that do not move cancel exactly
    behind = y - y_at(-step)
    if not (np.isfinite(ahead).all() and np.isfinite(behind).all()):
        raise ValueError("gradient check: the function is not finite near its inputs; choose others, inside its domain")
    return float(np.sum(grad_y * (ahead + behind)) / (2 * step)), float(np.sum(grad_y * (ahead - behind)))


def random_gradient(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw an output gradient: random signs, sizes between 1/2 and 3/2, so that no element hides and no sum cancels."""
    return np.asarray(generator.choice([-1.0, 1.0], shape) * generator.uniform(0.5, 1.5, shape))


def random_direction(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw a direction of length 1."""
    direction = np.asarray(generator.standard_normal(shape))
    return direction / np.linalg.norm(direction)
