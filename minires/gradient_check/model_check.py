"""Check the gradient of a loss with respect to every parameter of a model, at the model's own size."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor, no_grad, per_thread
from minires.gradient_check.comparison import Comparison
from minires.gradient_check.culprit import find_culprit
from minires.gradient_check.differences import Tolerance, random_gradient
from minires.gradient_check.inspection import inspect_backward
from minires.gradient_check.report import GradientError, Report, describe_failure
from minires.kernels import Array


def check_model(
    model: Any,
    batch: Any,
    labels: Any,
    loss: Callable[[Tensor, Any], Tensor] = ops.cross_entropy,
    *,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-9,
    seed: int = 0,
    directions: int = 2,
    elements: int = 2,
) -> Report:
    """Check dL/dparameter for each parameter, on a float64 copy of the model; return a Report, a line a parameter.

    model: a Module; checked in the mode it is in (training or evaluation). It is not touched.
    batch: images (N, C, H, W), or what the model takes; copied as float64. loss: a function of the model's output and
        `labels`, to a Tensor of any shape.
    directions, elements: how many random directions and random elements of each parameter are compared.

    GradientError names the parameters whose gradient is wrong and, where it can be found, the op that is to blame;
    ValueError if the loss is not finite or cannot be repeated.
    """
    if not per_thread.recording:
        raise RuntimeError("check_model: called inside no_grad, where no graph is recorded; leave that block first")
    model = copy.deepcopy(model).to("float64")
    images = np.array(batch.data if isinstance(batch, Tensor) else batch, np.float64)
    parameters = dict(model.named_parameters())
    random_states = model.random_states()  # each pass must draw the same masks
    tolerance, generator = Tolerance(eps, rtol, atol), np.random.default_rng(seed)

    def forward() -> Tensor:
        model.set_random_states(random_states)
        return loss(model(Tensor(images)), labels)

    y = forward()
    with no_grad():
        repeated = forward()
    if not np.isfinite(y.data).all() or not np.allclose(y.data, repeated.data, rtol=1e-12, atol=1e-12):
        raise ValueError(f"check_model: the loss is not finite, or another at every pass: {y.data} and {repeated.data}")
    grad_y = random_gradient(y.shape, generator)
    inspect_backward(y, grad_y)
    for parameter in parameters.values():
        parameter.grad = None
    y.backward(grad_y.copy(), keep_graph=True)

    report = Report(f"{type(model).__name__} with {len(parameters)} parameters")
    for name, parameter in parameters.items():
        x = parameter.data.copy()

        def y_of(moved: Array, parameter: Tensor = parameter) -> Array:
            parameter.data[...] = moved
            with no_grad():
                return forward().data

        grad_x = np.zeros(x.shape) if parameter.grad is None else parameter.grad
        comparison = Comparison(name, x, grad_x, y_of, y.data, grad_y, tolerance)
        comparison.some_elements(elements, generator)
        comparison.directions(directions, generator)
        parameter.data[...] = x
        report.arguments.append(comparison.report)
        if comparison.report.checked == 0:
            raise ValueError(
                f"check_model: all that was tried for {name} runs into kinks; use a smaller eps or another batch"
            )
    if not report.ok:
        raise GradientError("check_model: " + describe_failure(report, find_culprit(y, tolerance, generator)), report)
    return report
