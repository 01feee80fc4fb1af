"""One argument's gradient against finite differences: element by element, or along random directions."""

import math
from collections.abc import Callable

import numpy as np

from minires.gradient_check.differences import Tolerance, random_direction, slope
from minires.gradient_check.report import ArgumentReport
from minires.kernels import Array

REDRAWS = 4  # directions tried in place of one that runs into a kink


class Comparison:
    """Collects comparisons of `grad_x`, backward's gradient with respect to x, into an ArgumentReport.

    y_of(x): the function's output, an array, with this argument's value replaced. y = y_of(x).
    """

    def __init__(
        self,
        name: str,
        x: Array,
        grad_x: Array,
        y_of: Callable[[Array], Array],
        y: Array,
        grad_y: Array,
        tolerance: Tolerance,
    ) -> None:
        self.report = ArgumentReport(name, x.shape)
        self.x, self.grad_x, self.y_of, self.y, self.grad_y = x, grad_x, y_of, y, grad_y
        self.tolerance = tolerance
        self.worst = -1.0

    def along(self, direction: Array, backward: float, index: str) -> float | None:
        """Compare the slope along one direction with what backward says it is; None if there is a kink."""
        numeric = slope(lambda t: self.y_of(self.x + t * direction), self.y, self.grad_y, self.tolerance)
        report = self.report
        if numeric is None:
            report.kinks += 1
            return None
        report.checked += 1
        report.largest = max(report.largest, abs(numeric))
        error = abs(backward - numeric)
        allowed = self.tolerance.of(backward, numeric)
        if not error <= allowed:  # so written, a NaN is wrong
            report.wrong += 1
        badness = error / allowed if np.isfinite(error) else np.inf
        if badness > self.worst:
            self.worst = badness
            report.absolute_error, report.relative_error = error, self.tolerance.relative_error(backward, numeric)
            report.index, report.backward, report.numeric = index, backward, numeric
        return numeric

    def element(self, index: tuple[int, ...]) -> float | None:
        direction = np.zeros(self.x.shape)
        direction[index] = 1.0
        return self.along(direction, float(self.grad_x[index]), str(list(map(int, index))))

    def every_element(self) -> None:
        """Compare all elements one by one, and keep finite differences' whole gradient if none is on a kink."""
        numeric = np.full(self.x.shape, np.nan)
        for index in np.ndindex(self.x.shape):
            value = self.element(index)
            if value is not None:
                numeric[index] = value
        if not np.isnan(numeric).any():
            self.report.elements = numeric

    def all_together(self) -> None:
        """Compare along (1, …, 1): the elements of a maximum's tie have no derivatives, but together they have one."""
        length = math.sqrt(self.x.size)
        self.along(np.ones(self.x.shape) / length, float(np.sum(self.grad_x)) / length, "all elements moved together")

    def some_elements(self, number: int, generator: np.random.Generator) -> None:
        for place in generator.choice(self.x.size, min(number, self.x.size), replace=False):
            self.element(np.unravel_index(place, self.x.shape))

    def directions(self, number: int, generator: np.random.Generator) -> None:
        """Compare along `number` random directions; one that runs into a kink is counted and drawn anew."""
        for which in range(number):
            for _ in range(REDRAWS):
                direction = random_direction(self.x.shape, generator)
                backward = float(np.sum(self.grad_x * direction))
                if self.along(direction, backward, f"random direction {which}") is not None:
                    break
