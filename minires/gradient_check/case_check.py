"""One case under every kernel set, in the precisions and memory orders in which it is used.

formula   the output is what the op's definition gives, written once more in plain NumPy
float64   backward against central differences, under the first of the sets; the others give the same to rounding
float32   the same function's gradients in units of their own rounding; one thread and two give the same bits
exactly   where differences cannot tell: formulas of output and gradient, number by number, in both precisions
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minires import kernels
from minires.gradient_check import precision
from minires.gradient_check.cases.space import Case
from minires.gradient_check.differences import random_gradient
from minires.gradient_check.function_check import evaluate, gradcheck
from minires.gradient_check.precision import Reference, ordered
from minires.gradient_check.report import GradientError
from minires.kernels import Array

ALWAYS = 10**6  # every element of a named case
OWN_ROUNDINGS = 20  # of a number's own last digit that it may be off, in an exact case
FORMULA = 1e-10  # what a formula in float64 may be off itself, where it cancels a little


@dataclass
class Row:
    """What was found of one case under one kernel set and precision."""

    case: Case
    kernels: str
    dtype: str
    verdict: str  # "ok", "WRONG" or "undecided"
    error: float | None = None  # float64 by differences: the worst relative error; else the worst in roundings
    computed_by: tuple[str, ...] = ()
    checked: int = 0
    kinks: int = 0
    by_differences: bool = False
    message: str = ""


def kernel_sets() -> list[str]:
    """Name the CPU kernel sets that can run here."""
    sets = []
    for name in kernels.CPU_KERNELS:
        try:
            with kernels.use(name):
                sets.append(name)
        except ImportError:
            pass
    return sets


def check_case(case: Case, sets: Sequence[str], seed: int = 0) -> list[Row]:
    """Check one case under these kernel sets; return a row for each set and precision, until one is wrong."""
    names = list(case.arguments)
    points = [array.astype(np.float32).astype(np.float64) for array in case.arguments.values()]
    rows, reference = [], None
    if case.exactly:
        kinds = [(kernel_set, dtype) for kernel_set in sets for dtype in (np.float64, np.float32)]
        return [by_formula(case, names, points, kernel_set, dtype, seed) for kernel_set, dtype in kinds]
    for kernel_set in sets:
        with kernels.use(kernel_set):
            if reference is None:
                row, reference = by_differences(case, names, points, kernel_set, seed)
                rows.append(row)
                if reference is None:
                    return rows
            else:
                rows.append(by_comparison(case, names, points, reference, kernel_set, np.float64))
            rows.append(by_comparison(case, names, points, reference, kernel_set, np.float32))
    return rows


def by_differences(
    case: Case, names: list[str], points: list[Array], kernel_set: str, seed: int
) -> tuple[Row, Reference | None]:
    """Check a case in float64 against its formula and finite differences."""
    row = Row(case, kernel_set, "float64", "WRONG", by_differences=True)
    how = {"sampled_elements": 0 if case.large else 2, "directions": 1 if case.large else 2}
    generator = np.random.default_rng(seed)
    try:
        with np.errstate(all="ignore"):
            check_formula(case, points)
        report = gradcheck(
            case.fn, *points, names=names, seed=seed, max_elements=ALWAYS if case.each_element else 0, **how
        )
    except GradientError as error:
        row.message, row.checked, row.kinks = str(error), error.report.checked, error.report.kinks
        row.error = error.report.relative_error or None
        return row, None
    except Exception as error:
        row.message = f"{type(error).__name__}: {error}"
        return row, None
    y = evaluate(case.fn, points)
    grad_y = random_gradient(y.shape, np.random.default_rng(seed))  # the one that gradcheck drew
    if case.at_kinks is not None and (off := off_at_kinks(case, points, report.arguments[0].gradient, grad_y)):
        row.message, row.checked, row.kinks = off, report.checked, report.kinks
        return row, None
    row.verdict = "ok" if report.ok else "undecided"
    row.error, row.checked, row.kinks = report.relative_error, report.checked, report.kinks
    if not report.ok:
        row.message = str(report)
    with precision.Recorder() as recorder:
        found = precision.run(case, points, grad_y)
    row.computed_by = recorder.names()
    slopes = [argument.slopes for argument in report.arguments]
    reference = Reference(found.y, found.grads, slopes, grad_y)
    precision.measure_rounding(case, points, reference, generator)
    return row, reference


def off_at_kinks(case: Case, points: list[Array], grad_x: Array | None, grad_y: Array) -> str:
    """Say where the gradient is not what is agreed upon; "" if it is."""
    assert case.at_kinks is not None and grad_x is not None
    right = case.at_kinks(grad_y, *points)
    if np.allclose(grad_x, right, rtol=1e-9, atol=1e-12):
        return ""
    index = [int(place) for place in np.unravel_index(np.argmax(np.abs(grad_x - right)), right.shape)]
    numbers = f"{grad_x[tuple(index)]:.9g}, not {right[tuple(index)]:.9g}"
    return f"on a kink, at {index}, backward gives {numbers}, which is what is agreed upon there"


def check_formula(case: Case, points: list[Array]) -> None:
    """GradientError where the output is not what the definition gives."""
    if case.formula is None:
        return
    y, right = evaluate(case.fn, points), np.asarray(case.formula(*points))
    if y.shape != right.shape:
        message = f"the output has shape {y.shape}, the op's formula gives {right.shape}"
        raise GradientError(message, precision.Report(case.name))
    off = precision.largest(y - right)
    if not off <= 1e-9 * max(precision.largest(right), 1e-30):
        index = [int(place) for place in np.unravel_index(np.argmax(np.abs(y - right)), y.shape)]
        raise GradientError(
            f"the output is not the op's formula: {y[tuple(index)]:.9g}, not {right[tuple(index)]:.9g} at {index}",
            precision.Report(case.name),
        )


def by_formula(case: Case, names: list[str], points: list[Array], kernel_set: str, dtype: type, seed: int) -> Row:
    """Check output and gradient number by number against formulas, in one precision."""
    assert case.formula is not None and case.at_kinks is not None
    row, last = Row(case, kernel_set, np.dtype(dtype).name, "WRONG"), kernel_set == "numba"
    try:
        with np.errstate(all="ignore"):
            right_y = np.asarray(case.formula(*points))
            given = random_gradient(right_y.shape, np.random.default_rng(seed)) if case.grad_y is None else case.grad_y
            grad_y = given.astype(np.float32).astype(np.float64)
            right_grad = np.asarray(case.at_kinks(grad_y, *points))
        converted = [ordered(point.astype(dtype), name, last) for name, point in zip(names, points, strict=True)]
        with kernels.use(kernel_set), precision.Recorder() as recorder:
            found = precision.run(case, converted, ordered(grad_y.astype(dtype), "", last))
        row.computed_by = recorder.names()
        of_x = f"the gradient with respect to {names[0]}"
        pairs = (("the output", found.y, right_y), (of_x, found.grads[0], right_grad))
        row.error = max([off_exactly(what, array, right, dtype) for what, array, right in pairs])
    except GradientError as error:
        row.message = str(error)
        return row
    except Exception as error:
        row.message = f"{type(error).__name__}: {error}"
        return row
    row.verdict, row.checked = "ok", found.grads[0].size
    return row


def off_exactly(what: str, array: Array, right: Array, dtype: type) -> float:
    """Return by how many roundings of its own a number is off at most; GradientError for more than OWN_ROUNDINGS."""
    if array.dtype != dtype or array.shape != right.shape:
        message = f"{what} is {array.dtype} {array.shape}, and should be {np.dtype(dtype)} {right.shape}"
        raise GradientError(message, precision.Report(what))
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        right = np.where(np.abs(right) > limits.max, np.copysign(np.inf, right), right)
        unit = max(float(limits.eps), FORMULA) * np.abs(right) + float(limits.tiny) / OWN_ROUNDINGS
        same = (array == right) | (np.isnan(array) & np.isnan(right))
        off = np.where(same, 0.0, np.abs(array - right) / unit)
    off = np.where(np.isnan(off), np.inf, off)
    worst = float(off.max(initial=0.0))
    if not worst <= OWN_ROUNDINGS:
        index = [int(place) for place in np.unravel_index(np.argmax(off), right.shape)]
        numbers = f"{array[tuple(index)]:.9g}, not {right[tuple(index)]:.9g} at {index}"
        raise GradientError(f"{what} is not the op's formula: {numbers}", precision.Report(what))
    return worst


def by_comparison(
    case: Case, names: list[str], points: list[Array], reference: Reference, kernel_set: str, dtype: type
) -> Row:
    """Check a case in one precision against the float64 gradients that finite differences found right."""
    row = Row(case, kernel_set, np.dtype(dtype).name, "WRONG")
    given = case, names, points, reference, dtype, kernel_set == "numba"
    try:
        found, row.error = precision.compare(*given)
        if kernel_set == "numba" and case.large:
            with precision.threads(1):
                alone, _ = precision.compare(*given)
            with precision.threads(2):
                together, _ = precision.compare(*given)
            for one, other in zip([alone.y, *alone.grads], [together.y, *together.grads], strict=True):
                if not np.array_equal(one, other):
                    raise GradientError("two threads give other bits than one", precision.Report(case.name))
    except GradientError as error:
        row.message = str(error)
        return row
    except Exception as error:
        row.message = f"{type(error).__name__}: {error}"
        return row
    row.verdict, row.computed_by = "ok", found.computed_by
    row.checked = sum(grad.size for grad in found.grads)
    return row
