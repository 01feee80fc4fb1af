"""Check the gradient of a loss with respect to every parameter of a model, at the model's own size."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor, backward_order, no_grad, per_thread
from minires.gradient_check.comparison import Comparison
from minires.gradient_check.culprit import check_each_op, find_culprit, named
from minires.gradient_check.differences import Tolerance, random_gradient
from minires.gradient_check.function_check import own_size
from minires.gradient_check.inspection import inspect_backward
from minires.gradient_check.report import ArgumentReport, GradientError, Report, describe_failure
from minires.kernels import Array

STEPS = (1.0, 0.1, 1e-3, 1e-4)  # shares of eps
GIVE_UP = 3  # parameters, from the last one on, of which most tries run into kinks: those before them would too


def check_model(
    model: Any,
    batch: Any,
    labels: Any,
    loss: Callable[[Tensor, Any], Tensor] = ops.cross_entropy,
    *,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float | None = None,
    seed: int = 0,
    directions: int = 2,
    elements: int = 2,
) -> Report:
    """Check dL/dparameter for each parameter, on a float64 copy of the model; return a Report, a line a parameter.

    model: a Module; checked in the mode it is in (training or evaluation). It is not touched.
    batch: images (N, C, H, W), or what the model takes; copied as float64. loss: a function of the model's output and
        `labels`, to a Tensor of any shape.
    eps, rtol, atol: as in `gradcheck`; around kinks steps down to eps / 10000 are tried.
    directions, elements: how many random directions and random elements of each parameter are compared.

    A parameter whose gradient is lost in the loss's rounding is reported as undecided. In a deep plain network a step
    at the first layers crosses a relu's kink however small it is; for those parameters every op is checked by itself,
    on the arrays that it met, and `report.note` says so.

    GradientError names the parameters whose gradient is wrong and, where it can be found, the op that is to blame;
    ValueError if the loss is not finite or cannot be repeated.
    """
    if not per_thread.recording:
        raise RuntimeError("check_model: called inside no_grad, where no graph is recorded; leave that block first")
    model = copy.deepcopy(model).to("float64")
    images = np.array(batch.data if isinstance(batch, Tensor) else batch, np.float64)
    parameters = dict(model.named_parameters())
    random_states = model.random_states()  # each pass must draw the same masks
    tolerance, generator = Tolerance(eps, rtol, atol, steps=STEPS), np.random.default_rng(seed)

    def forward() -> Tensor:
        model.set_random_states(random_states)
        return loss(model(Tensor(images)), labels)

    y = forward()
    with no_grad():
        repeated = forward()
    size = float(np.abs(y.data).max(initial=0.0))
    if not np.isfinite(y.data).all() or not np.allclose(y.data, repeated.data, rtol=1e-12, atol=1e-12 * size):
        raise ValueError(f"check_model: the loss is not finite, or another at every pass: {y.data} and {repeated.data}")
    grad_y = random_gradient(y.shape, generator)
    report = Report(f"{type(model).__name__} with {len(parameters)} parameters")
    add_up(y, grad_y, parameters, report)

    in_kinks = 0
    for name, parameter in reversed(parameters.items()):
        grad_x = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad
        if in_kinks >= GIVE_UP:
            report.arguments.append(ArgumentReport(name, parameter.shape, gradient=grad_x, op_by_op=True))
            continue
        x = parameter.data.copy()

        def y_of(moved: Array, parameter: Tensor = parameter) -> Array:
            parameter.data[...] = moved
            with no_grad():
                return forward().data

        comparison = Comparison(name, x, grad_x, y_of, y.data, grad_y, tolerance, generator)
        comparison.some_elements(elements)
        comparison.directions(directions)
        parameter.data[...] = x
        found = comparison.report
        found.op_by_op = found.kinks > 0 and found.checked == found.undecided
        in_kinks += found.kinks > found.checked
        report.arguments.append(found)
    report.arguments.reverse()
    if report.wrong:
        raise GradientError("check_model: " + describe_failure(report, find_culprit(y, tolerance, generator)), report)
    if any(argument.op_by_op for argument in report.arguments):
        check_op_by_op(y, tolerance, generator, report)
    return report


def add_up(y: Tensor, grad_y: Array, parameters: dict[str, Tensor], report: Report) -> None:
    """Pass backward, and once more by hand: GradientError where the engine adds gradients up to something else."""
    inspected = inspect_backward(y, grad_y)
    for parameter in parameters.values():
        parameter.grad = None
    y.backward(grad_y.copy(), keep_graph=True)
    for name, parameter in parameters.items():
        by_hand = inspected.get(parameter)
        if by_hand is not None and (
            parameter.grad is None or not np.allclose(by_hand, parameter.grad, rtol=1e-9, atol=own_size(by_hand))
        ):
            raise GradientError(f"check_model: gradients are added up wrongly, for {name} at the latest", report)


def check_op_by_op(y: Tensor, tolerance: Tolerance, generator: np.random.Generator, report: Report) -> None:
    """Check every op that the network ran, by itself; GradientError for a wrong one, ValueError for one on a kink."""
    names = [argument.name for argument in report.arguments if argument.op_by_op]
    ops_run = len(backward_order(y))
    culprit, on_kinks = check_each_op(y, tolerance, generator)
    if culprit:
        raise GradientError(f"check_model: the gradient of {report.subject} is wrong\n  {culprit}", report)
    if on_kinks:
        raise ValueError(
            f"check_model: all that was tried for {names[0]} runs into kinks, and so does {named(on_kinks[0])} by "
            "itself; use another batch, or other initial values"
        )
    report.note = (
        f"{len(names)} of {len(report.arguments)} parameters lie below so many kinks that no difference through the "
        f"whole network is free of them. For these each of the {ops_run} ops was compared by itself, on the arrays "
        "that it met, and the engine's sums with sums by hand: all are right."
    )
