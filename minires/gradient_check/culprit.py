"""Find the op whose backward is wrong, among all that a function or a model ran."""

import copy

import numpy as np

from minires.engine import Op, Tensor, backward_order
from minires.gradient_check.comparison import Comparison
from minires.gradient_check.differences import Tolerance, random_gradient
from minires.gradient_check.known.ops import name_op_mistakes
from minires.kernels import Array

DIRECTIONS = 3


def find_culprit(y: Tensor, tolerance: Tolerance, generator: np.random.Generator) -> str:
    """Check each op in y's graph by itself, on the arrays it met, and name the first wrong one; "" if none is found."""
    for tensor in backward_order(y):
        op = tensor.op
        assert op is not None
        wrong = wrong_input(op, tensor.data, tolerance, generator)
        if wrong:
            where = f" ({op.module_path})" if op.module_path else ""
            return f"the culprit is the backward of {op!r}{where}: {wrong}{mistake(op)}"
    return ""


def mistake(op: Op) -> str:
    """Name what is wrong with an op's gradients, where its formulas are known and the mistake has a name."""
    try:
        named = name_op_mistakes(op)
    except Exception:  # whatever a wrong backward raises on other inputs
        return ""
    sentences = dict.fromkeys([sentence for sentence in named.values() if sentence])
    return f"\n    {'; '.join(sentences)}" if sentences else ""


def wrong_input(op: Op, y: Array, tolerance: Tolerance, generator: np.random.Generator) -> str:
    """Compare one op's gradients along random directions; describe the first input for which they differ."""
    arrays = [tensor.data for tensor in op.inputs]
    grad_y = random_gradient(y.shape, generator)
    grads = op.backward(grad_y)
    for position, (x, grad_x) in enumerate(zip(arrays, grads, strict=True)):
        if not op.inputs[position].requires_grad or grad_x is None:
            continue

        def y_of(moved: Array, position: int = position) -> Array:
            # On a copy of the op: forward saves anew, and the op must keep what belongs to y.
            return copy.copy(op).forward(*arrays[:position], moved, *arrays[position + 1 :])

        comparison = Comparison(f"input {position}", x, grad_x, y_of, y, grad_y, tolerance)
        comparison.directions(DIRECTIONS, generator)
        report = comparison.report
        if report.wrong:
            return (
                f"with respect to input {position}, shape {x.shape}, along {report.index} it gives "
                f"{report.backward:.9g}, finite differences give {report.numeric:.9g}"
            )
    return ""
