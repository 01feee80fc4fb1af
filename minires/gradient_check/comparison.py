"""One argument's gradient against finite differences: element by element, or along random directions."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from minires.gradient_check.differences import DECIDED, Tolerance, measured_rounding, random_direction, slope
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
        generator: np.random.Generator,
    ) -> None:
        self.report = ArgumentReport(name, x.shape, gradient=grad_x)
        self.x, self.grad_x, self.y_of, self.y, self.grad_y = x, grad_x, y_of, y, grad_y
        self.generator = generator
        self.tolerance = dataclasses.replace(
            tolerance,
            rounding=measured_rounding(y_of, x, y, grad_y) if tolerance.atol is None else 0.0,
        )
        self.worst = -1.0

    def along(self, direction: Array, index: str) -> float | None:
        """Compare the slope along one direction with what backward says it is; None if there is a kink."""
        numeric = self.difference(direction, float(np.sum(self.grad_x * direction)), index)
        if numeric is not None:
            self.report.slopes.append((direction, numeric))
        return numeric

    def difference(self, direction: Array, backward: float, index: str) -> float | None:
        numeric = slope(lambda t: self.y_of(self.x + t * direction), self.y, self.grad_y, self.tolerance)
        report = self.report
        if numeric is None:
            report.kinks += 1
            return None
        self.add(backward, numeric.value, numeric.uncertainty, numeric.step, index)
        return numeric.value

    def add(self, backward: float, numeric: float, uncertainty: float, step: float, index: str) -> None:
        """Enter the two numbers of one place into the report."""
        report = self.report
        report.checked += 1
        report.largest = max(report.largest, abs(numeric))
        self.tolerance = dataclasses.replace(self.tolerance, size=report.largest)  # differences' alone: see `slope`
        error, size = abs(backward - numeric), max(abs(backward), abs(numeric))
        allowed = self.tolerance.of(backward, numeric, step)
        right = error <= allowed  # a NaN is wrong
        report.wrong += not right
        undecided = right and size <= DECIDED * uncertainty
        report.undecided += undecided
        report.below = max(report.below, DECIDED * uncertainty)
        badness = error / allowed if np.isfinite(error) and allowed > 0 else 0.0 if error == 0 else np.inf
        if undecided:
            badness = min(badness, 1.0) - 2  # shown only where nothing was decided
        if badness > self.worst or report.checked == 1:
            self.worst = badness
            report.absolute_error, report.relative_error = error, error / size if size > 0 else 0.0
            report.index, report.backward, report.numeric = index, backward, numeric

    def element(self, index: tuple[int, ...]) -> float | None:
        direction = np.zeros(self.x.shape)
        direction[index] = 1.0
        return self.difference(direction, float(self.grad_x[index]), str(list(map(int, index))))

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
        self.along(np.ones(self.x.shape) / math.sqrt(self.x.size), "all elements moved together")

    def some_elements(self, number: int) -> None:
        for place in self.generator.choice(self.x.size, min(number, self.x.size), replace=False):
            self.element(np.unravel_index(place, self.x.shape))

    def directions(self, number: int) -> None:
        """Compare along `number` random directions; one that runs into a kink is counted and drawn anew."""
        for which in range(number):
            for _ in range(REDRAWS):
                if self.along(random_direction(self.x.shape, self.generator), f"random direction {which}") is not None:
                    break
                if self.report.kinks > REDRAWS:
                    return
