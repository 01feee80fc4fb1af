"""Check the gradients of a function of tensors: one op, or any chain of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minires.engine import Tensor, backward_order, no_grad, per_thread
from minires.gradient_check.comparison import Comparison
from minires.gradient_check.culprit import find_culprit
from minires.gradient_check.diagnosis import diagnose
from minires.gradient_check.differences import Tolerance, random_gradient
from minires.gradient_check.inspection import inspect_backward
from minires.gradient_check.report import GradientError, Report, describe_failure
from minires.kernels import Array


def gradcheck(
    fn: Callable[..., Any],
    *arrays: Any,
    eps: float = 1e-5,
    rtol: float = 1e-6,
    atol: float | None = None,
    seed: int = 0,
    names: Sequence[str] = (),
    max_elements: int = 500,
    sampled_elements: int = 20,
    directions: int = 5,
) -> Report:
    """Check backward against finite differences, in float64 and with a random output gradient; return a Report.

    fn: takes one Tensor per array and returns a Tensor of any shape, or a tuple that starts with one. It must give the
        same for the same input: make a dropout's generator inside fn.
    arrays: the points to check at. They are copied, as float64. What is no argument of the derivative (labels, sizes)
        belongs inside fn.
    eps: the step of the central differences. rtol, atol: backward b and numeric n agree if |b − n| is at most
        rtol · max(|b|, |n|), or a hundredth of the gradient's largest number for those, + atol. atol None: what the
        function's own rounding, which is measured, leaves uncertain.
    names: what to call the arguments in the report.
    max_elements: arrays up to this size are checked at every element, larger ones at `sampled_elements` of them and
        along so many random `directions`. sampled_elements 0: along random directions alone.

    A gradient that is all lost in rounding is reported as undecided: the report is neither ok nor wrong, and nothing is
    raised. Elements where fn has a kink (relu at 0, a tie of a maximum) have no derivative; they are found from fn
    alone, left out and counted. Also checked: gradients' shapes and dtypes; that no backward writes into the gradient
    it was handed; that passing twice, and with one argument alone requiring grad, gives the same.

    GradientError, an AssertionError, if a gradient is wrong: it names op, argument, worst index, both numbers, and the
    kind of mistake where one fits. TypeError, ValueError for input that cannot be checked.
    """
    points = [as_float64(array, position) for position, array in enumerate(arrays)]
    labels = name_arguments(names, points)
    if not per_thread.recording:
        raise RuntimeError("gradcheck: called inside no_grad, where no graph is recorded; leave that block first")
    tolerance, generator = Tolerance(eps, rtol, atol), np.random.default_rng(seed)
    y, leaves = run(fn, points, set(range(len(points))))
    if not np.allclose(evaluate(fn, points), y.data, rtol=1e-12, atol=1e-12 * own_size(y.data), equal_nan=True):
        raise ValueError("gradcheck: fn gives different results for the same input; make its generator inside fn")
    if not np.isfinite(y.data).all():
        raise ValueError("gradcheck: fn is not finite at the given arrays; choose inputs inside its domain")
    report = Report(name_ops(y))
    grad_y = random_gradient(y.shape, generator)
    grads = backward_grads(y, leaves, grad_y, report)
    if len(points) > 1:
        check_alone(fn, points, grads, grad_y, labels, report)

    for position, (x, grad_x) in enumerate(zip(points, grads, strict=True)):

        def y_of(moved: Array, position: int = position) -> Array:
            return evaluate(fn, [*points[:position], moved, *points[position + 1 :]])

        comparison = Comparison(labels[position], x, grad_x, y_of, y.data, grad_y, tolerance, generator)
        if x.size <= max_elements:
            comparison.every_element()
        else:
            comparison.some_elements(sampled_elements)
            comparison.directions(directions)
        if sampled_elements > 0:
            comparison.all_together()
        if comparison.report.checked == 0:
            raise ValueError(
                f"gradcheck: all of {labels[position]}, shape {x.shape}, is on kinks, where there is no derivative; "
                "choose other inputs, random ones say"
            )
        report.arguments.append(comparison.report)

    if report.wrong:
        raise GradientError("gradcheck: " + explained(report, fn, points, y, leaves, tolerance), report)
    return report


def explained(
    report: Report,
    fn: Callable[..., Any],
    points: list[Array],
    y: Tensor,
    leaves: list[Tensor],
    tolerance: Tolerance,
) -> str:
    """Describe what is wrong: in a chain the op that is to blame, and where there is none, each argument's mistake."""
    order, generator = backward_order(y), np.random.default_rng(0)
    culprit = find_culprit(y, tolerance, generator) if len(order) > 1 else ""
    if not culprit:
        wrong = [(position, argument) for position, argument in enumerate(report.arguments) if argument.wrong]
        diagnose(fn, points, order[0].op if len(order) == 1 else None, leaves, wrong)
    return describe_failure(report, culprit)


def as_float64(array: Any, position: int) -> Array:
    """Copy an argument as float64. TypeError for what has no derivative, ValueError for what has no elements."""
    if isinstance(array, Tensor):
        array = array.data
    kind = np.asarray(array).dtype.kind
    if kind != "f":
        raise TypeError(
            f"gradcheck: argument {position} is {np.asarray(array).dtype}; only floats have a gradient. "
            "Give labels and sizes to fn by itself: lambda x: cross_entropy(x, labels)"
        )
    point = np.array(array, np.float64)
    if point.size == 0:
        raise ValueError(f"gradcheck: argument {position} has shape {point.shape}: there is nothing to check")
    return point


def name_arguments(names: Sequence[str], points: list[Array]) -> list[str]:
    if not points:
        raise ValueError("gradcheck: give at least one array to differentiate with respect to")
    if names and len(names) != len(points):
        raise ValueError(f"gradcheck: {len(names)} names for {len(points)} arrays")
    return list(names) or [f"argument {position}" for position in range(len(points))]


def run(fn: Callable[..., Any], points: list[Array], requiring: set[int]) -> tuple[Tensor, list[Tensor]]:
    """Call fn on fresh leaves; those at positions in `requiring` require grad. Return its Tensor and the leaves."""
    leaves = [Tensor(point.copy(), requires_grad=position in requiring) for position, point in enumerate(points)]
    y = fn(*leaves)
    y = y[0] if isinstance(y, tuple) else y
    if not isinstance(y, Tensor):
        raise TypeError(f"gradcheck: fn must return a Tensor, or a tuple that starts with one, not {type(y).__name__}")
    for position, (leaf, point) in enumerate(zip(leaves, points, strict=True)):
        if not np.array_equal(leaf.data, point, equal_nan=True):
            raise ValueError(f"gradcheck: fn writes into argument {position}; ops must leave their inputs alone")
    return y, leaves


def evaluate(fn: Callable[..., Any], points: list[Array]) -> Array:
    with no_grad():
        return run(fn, points, set())[0].data


def backward_grads(y: Tensor, leaves: list[Tensor], grad_y: Array, report: Report) -> list[Array]:
    """Pass backward through y, and return the leaves' gradients: zeros for one that no path leads to."""
    if not y.requires_grad:
        raise GradientError(
            f"gradcheck: fn's result {y!r} is not connected to any argument: fn leaves the graph "
            "(.data, .numpy(), .detach()) or records none",
            report,
        )
    inspected = inspect_backward(y, grad_y)
    y.backward(grad_y.copy(), keep_graph=True)
    grads = []
    for position, leaf in enumerate(leaves):
        grad = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
        if type(grad) is not type(leaf.data):
            raise GradientError(
                f"gradcheck: argument {position}, an array, gets as gradient {type(grad).__name__}, which is none",
                report,
            )
        if leaf in inspected and not np.allclose(inspected[leaf], grad, rtol=1e-9, atol=own_size(grad), equal_nan=True):
            raise GradientError(
                f"gradcheck: two backward passes through {report.subject}, the engine's and one by hand, give argument "
                f"{position} different gradients: a backward changes what forward saved, or gradients are added up "
                "wrongly",
                report,
            )
        grads.append(grad)
    return grads


def check_alone(
    fn: Callable[..., Any], points: list[Array], grads: list[Array], grad_y: Array, labels: list[str], report: Report
) -> None:
    """Check that an argument which alone requires grad gets the same gradient as among others."""
    for position, together in enumerate(grads):
        y, leaves = run(fn, points, {position})
        if not y.requires_grad:
            continue  # no path from this argument; finite differences say whether that is right
        inspect_backward(y, grad_y)
        y.backward(grad_y.copy())
        alone = leaves[position].grad
        if alone is None or not np.allclose(alone, together, rtol=1e-9, atol=own_size(together), equal_nan=True):
            raise GradientError(
                f"gradcheck: {report.subject} gives {labels[position]} another gradient when it alone requires grad",
                report,
            )


def own_size(grad: Array) -> float:
    """Return what is nothing beside a gradient's largest number."""
    return 1e-12 * float(np.abs(grad[np.isfinite(grad)]).max(initial=0.0))


def name_ops(y: Tensor) -> str:
    """Name the ops behind y, the last one first."""
    order = backward_order(y)
    if len(order) == 1:
        op = order[0].op
        assert op is not None
        return type(op).__name__ if op.site[0] == __file__ else repr(op)  # gradcheck(ops.relu, x): called from here
    shown = " ← ".join([type(tensor.op).__name__ for tensor in order[:6]])
    return shown + (f" ← … ({len(order)} ops)" if len(order) > 6 else "")
