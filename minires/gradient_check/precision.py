"""One pass as it is really run: a kernel set, a precision, a memory order; compared in units of its own rounding.

Finite differences need float64. What trains is float32, by kernels that float64 never reaches, on arrays that lie
channels-last in memory. So a case is passed once more for every set and precision, and its gradients are compared with
the float64 gradients and slopes that finite differences gave. Which functions computed it is looked up while it runs.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from minires import kernels
from minires.engine import Tensor
from minires.gradient_check.cases.space import Case
from minires.gradient_check.inspection import inspect_backward
from minires.gradient_check.report import GradientError, Report
from minires.kernels import Array

ROUNDINGS = 100  # of these a right gradient may be off; Winograd's transforms take a tenth of them
KERNELS = Path(kernels.__file__).parent


@dataclass
class Pass:
    """What one pass gave: the output, the gradients, and by which functions."""

    y: Array
    grads: list[Array]
    computed_by: tuple[str, ...] = ()


@dataclass
class Reference:
    """A float64 pass that finite differences found right, its slopes, and how it moves when its arguments round.

    moved_y, moved_grads: the largest change where every number of every argument moves by up to float32's rounding.
    """

    y: Array
    grads: list[Array]
    slopes: list[list[tuple[Array, float]]]
    grad_y: Array
    moved_y: float = 0.0
    moved_grads: list[float] = field(default_factory=list)


def run(case: Case, points: list[Array], grad_y: Array, inspect: bool = False) -> Pass:
    """Pass forward and backward once."""
    leaves = [Tensor(point, requires_grad=True) for point in points]
    y = case.fn(*leaves)
    y = y[0] if isinstance(y, tuple) else y
    if inspect:
        inspect_backward(y, grad_y)
    y.backward(grad_y)
    return Pass(y.data, [np.zeros(leaf.shape, leaf.dtype) if leaf.grad is None else leaf.grad for leaf in leaves])


def measure_rounding(case: Case, points: list[Array], reference: Reference, generator: np.random.Generator) -> None:
    """Measure how far the reference's output and gradients move when the arguments round to float32."""
    unit = float(np.finfo(np.float32).eps)
    reference.moved_grads = [0.0] * len(points)
    for _ in range(3):
        moved = [point * (1 + unit * generator.choice([-0.5, 0.5], point.shape)) for point in points]
        other = run(case, moved, reference.grad_y)
        reference.moved_y = max(reference.moved_y, largest(other.y - reference.y))
        for place, (grad, right) in enumerate(zip(other.grads, reference.grads, strict=True)):
            reference.moved_grads[place] = max(reference.moved_grads[place], largest(grad - right))


def compare(case: Case, names: list[str], points: list[Array], reference: Reference, dtype: Any, last: bool) -> Any:
    """Pass in a precision, images channels-last or not; return the Pass and its worst error in roundings.

    GradientError for one that is more than ROUNDINGS off, of another dtype, or other numbers on two threads.
    """
    converted = [ordered(point.astype(dtype), name, last) for name, point in zip(names, points, strict=True)]
    grad_y = ordered(reference.grad_y.astype(dtype), "", last)
    with Recorder() as recorder:
        found = run(case, converted, grad_y)
    found.computed_by = recorder.names()
    run(case, converted, grad_y, inspect=True)
    share = float(np.finfo(dtype).eps) / float(np.finfo(np.float32).eps)
    worst = 0.0
    arrays: list[tuple[str, Array, Array, float, Any]] = [("the output", found.y, reference.y, reference.moved_y, [])]
    for place, name in enumerate(names):
        given = found.grads[place], reference.grads[place], reference.moved_grads[place], reference.slopes[place]
        arrays.append((f"the gradient with respect to {name}", *given))
    for what, array, right, moved, slopes in arrays:
        if array.dtype != dtype:
            raise GradientError(f"{what} is {array.dtype}, of arguments in {np.dtype(dtype)}", Report(case.name))
        size = max(largest(right), largest(reference.grad_y))  # 1 − y² is rounded like the 1 in it
        unit = share * (moved + float(np.finfo(np.float32).eps) * size)
        error = array.astype(np.float64) - right
        off = [largest(error)]
        if dtype == np.float32:  # differences in float64 are no better than this
            off += [abs(float(np.sum(array * way)) - slope) / math.sqrt(way.size) for way, slope in slopes]
        roundings = max(off) / unit if unit > 0 else 0.0 if max(off) == 0 else np.inf
        if not roundings <= ROUNDINGS:
            raise GradientError(
                f"{what}, shape {right.shape}, by {', '.join(found.computed_by) or 'NumPy'} is off by {max(off):.2e}, "
                f"{roundings:.3g} roundings of {unit:.1e}; {places(error, unit)}",
                Report(case.name),
            )
        worst = max(worst, roundings)
    return found, worst


def places(error: Array, unit: float) -> str:
    """Say where most of the error is."""
    off = np.where(np.isfinite(error), np.abs(error), np.inf)
    index = [int(place) for place in np.unravel_index(np.argmax(off), error.shape)]
    wrong = int(np.sum(~(off <= ROUNDINGS * unit)))
    return f"{wrong} of {error.size} numbers are wrong, the worst at {index}"


def largest(array: Array) -> float:
    """Return the largest absolute value; inf where a number is not finite."""
    return float(np.abs(array).max(initial=0.0)) if np.isfinite(array).all() else np.inf


def ordered(array: Array, name: str, last: bool) -> Array:
    """Put images channels-last in memory, and parameters in C order."""
    if last and array.ndim == 4 and not name.startswith(("weight", "filters")):
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return np.array(array, order="C")


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let the compiled kernels use so many threads inside."""
    from minires.kernels.numba_kernels.machine import threads as machine

    before = machine.get_num_threads()
    kernels.set_num_threads(number)
    try:
        yield
    finally:
        kernels.set_num_threads(before)


class Recorder:
    """Inside, remembers which functions of the kernel modules are called, in this thread."""

    def __enter__(self) -> "Recorder":
        self.seen: dict[tuple[str, str], None] = {}
        self.before = sys.getprofile()
        sys.setprofile(self.look)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(self.before)

    def look(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        path = Path(frame.f_code.co_filename)
        if KERNELS not in path.parents:
            return
        name = frame.f_code.co_name
        if name == "__call__" and path.stem == "compilation":  # a compiled kernel: its own file and name
            kernel = frame.f_locals["self"]
            function = getattr(kernel.compiled, "py_func", kernel.compiled)
            self.seen[Path(function.__code__.co_filename).stem, kernel.name] = None
        elif path.parent == KERNELS and path.stem.startswith("numpy_"):
            self.seen["numpy", name] = None

    def names(self) -> tuple[str, ...]:
        """Name what did the arithmetic: the files of compiled kernels (winograd, direct, …), and NumPy's im2col."""
        compiled = {file for file, _ in self.seen if file != "numpy"}
        numpy = {name for file, name in self.seen if file == "numpy" and name not in SIZES_ALONE}
        if numpy & {"im2col", "col2im"}:
            numpy = numpy - {"im2col", "col2im"} | {"im2col"}
        words = sorted(compiled)
        if "im2col" in numpy:
            words.append("im2col")
        elif numpy:
            words.append("NumPy")
        return tuple(words)


SIZES_ALONE = {"output_size", "tap", "channel_axes", "image_groups"}  # no arithmetic on numbers of an image
