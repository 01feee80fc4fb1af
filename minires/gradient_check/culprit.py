"""Each op of a graph by itself, on the arrays that it met: which one is wrong, or that all are right.

One op has only the kinks of its own elements. So a deep network can be checked op by op where every step of a
difference through all of it crosses some relu's kink; how gradients are added up in between is compared by hand.
"""

import copy

import numpy as np

from minires.engine import Op, Tensor, backward_order
from minires.gradient_check.comparison import Comparison
from minires.gradient_check.diagnosis import name_op_mistakes
from minires.gradient_check.differences import Tolerance, random_gradient
from minires.kernels import Array

DIRECTIONS = 3


def find_culprit(y: Tensor, tolerance: Tolerance, generator: np.random.Generator) -> str:
    """Check each op in y's graph by itself, on the arrays it met, and name the first wrong one; "" if none is found."""
    return check_each_op(y, tolerance, generator)[0]


def check_each_op(y: Tensor, tolerance: Tolerance, generator: np.random.Generator) -> tuple[str, list[Op]]:
    """Check each op in y's graph by itself; return what is wrong with the first wrong one, "" if none is, and the ops
    that run into kinks themselves."""
    on_kinks: list[Op] = []
    for tensor in backward_order(y):
        op = tensor.op
        assert op is not None
        wrong, decided = wrong_input(op, tensor.data, tolerance, generator)
        if wrong:
            return f"the culprit is the backward of {named(op)}: {wrong}{mistake(op)}", on_kinks
        if not decided:
            on_kinks.append(op)
    return "", on_kinks


def named(op: Op) -> str:
    return f"{op!r} ({op.module_path})" if op.module_path else repr(op)


def mistake(op: Op) -> str:
    """Name what is wrong with an op's gradients, where its formulas are known and the mistake has a name."""
    try:
        sentences = list(dict.fromkeys([sentence for sentence in name_op_mistakes(op).values() if sentence]))
    except Exception:  # whatever a wrong backward raises on other inputs
        return ""
    return f"\n    {'; '.join(sentences)}" if sentences else ""


def wrong_input(op: Op, y: Array, tolerance: Tolerance, generator: np.random.Generator) -> tuple[str, bool]:
    """Compare one op's gradients along random directions; describe the first input for which they differ, and say
    whether every input could be compared."""
    decided = True
    arrays = [tensor.data for tensor in op.inputs]
    grad_y = random_gradient(y.shape, generator)
    grads = op.backward(grad_y)
    for position, (x, grad_x) in enumerate(zip(arrays, grads, strict=True)):
        if not op.inputs[position].requires_grad or grad_x is None:
            continue

        def y_of(moved: Array, position: int = position) -> Array:
            # On a copy of the op: forward saves anew, and the op must keep what belongs to y.
            return copy.copy(op).forward(*arrays[:position], moved, *arrays[position + 1 :])

        comparison = Comparison(f"input {position}", x, grad_x, y_of, y, grad_y, tolerance, generator)
        comparison.directions(DIRECTIONS)
        report = comparison.report
        if report.wrong:
            wrong = (
                f"with respect to input {position}, shape {x.shape}, along {report.index} it gives "
                f"{report.backward:.9g}, finite differences give {report.numeric:.9g}"
            )
            return wrong, True
        decided = decided and report.checked > 0
    return "", decided
