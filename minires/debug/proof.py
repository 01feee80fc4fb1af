"""Proofs at the prompt: an op's backward against finite differences, its mistake named, and the gradients as they
would be by the formulas.

The formulas (minires/gradient_check/known) are written apart from the kernels, so a mistake in a kernel does not stand
in both.
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from minires.engine import Op, Tensor
from minires.gradient_check import GradientError, gradcheck
from minires.gradient_check.known.ops import known_of
from minires.gradient_check.report import Report
from minires.kernels import Array
from minires.kernels.devices import to_device
from minires.observe.step import input_name

WHOLE = 2500  # up to so many elements each is compared, for one op
SAMPLED = 40  # and for all ops together
OF_THE_CALL = ("inputs", "input_shapes", "needs_grad", "site", "module_path", "has_run", "released")
LARGEST = 8_000_000  # numbers of a pass whose gradients are computed once more by the formulas


def prove(op: Op, names: Sequence[str], max_elements: int = WHOLE) -> Report:
    """Check an op's backward at the inputs it had, in float64. GradientError names the mistake where that is known."""
    arrays = [to_device(one.data, "cpu") for one in op.inputs]
    return gradcheck(partial(called_again, op), *arrays, names=names, max_elements=max_elements)


def prove_all(order: Sequence[Tensor]) -> tuple[list[list[str]], int]:
    """Check one op of each kind, shape and options; return a row of text for each, and how many are wrong."""
    groups: dict[Any, list[Op]] = {}
    for tensor in order:
        assert tensor.op is not None
        groups.setdefault(kind_of(tensor.op), []).append(tensor.op)
    rows, wrong = [["op", "first in", "alike", "worst relative error"]], 0
    for ops in groups.values():
        row = [type(ops[0]).__name__, ops[0].module_path or "-", str(len(ops))]
        names = [input_name(ops[0], i) for i in range(len(ops[0].inputs))]
        try:
            report = prove(ops[0], names, SAMPLED)
        except GradientError as error:
            wrong += 1
            found = [f"grad_{one.name}: {first_line(one.diagnosis)}" for one in error.report.arguments if not one.ok]
            rows.append([*row, "WRONG  " + "; ".join(found or [str(error).splitlines()[0]])])
        except (ValueError, TypeError) as error:
            rows.append([*row, f"not checked: {str(error).removeprefix('gradcheck: ')}"])
        else:
            verdict = "right" if report.ok else "undecided in part"
            rows.append([*row, f"{verdict}  {report.relative_error:.1e}"])
    return rows, wrong


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def kind_of(op: Op) -> Any:
    """What two ops have in common that run the same code on the same shapes."""
    options = [
        (name, value)
        for name, value in sorted(vars(op).items())
        if name not in OF_THE_CALL and isinstance(value, int | float | tuple)
    ]
    return type(op), op.needs_grad, tuple([one.shape for one in op.inputs]), repr(options)


def called_again(op: Op, *inputs: Tensor) -> Tensor:
    """Call an op once more, on other inputs, as if from the line that called it before.

    The engine lets an op run once; a copy may be told that it has not.
    """
    again = copy.copy(op)
    again.has_run = False
    y = again(*inputs)
    again.site, again.module_path = op.site, op.module_path
    return y


def gradients_by_formula(order: Sequence[Tensor]) -> dict[Tensor, Array]:
    """Return the gradient that would arrive at every op's output if backward were right, {} for a pass too large.

    order: from the loss back. An op whose formulas are not known is taken at its word.
    """
    if sum(tensor.data.size for tensor in order) > LARGEST:
        return {}
    grads: dict[Tensor, Array] = {order[0]: np.ones(order[0].shape)}
    for tensor in order:
        op, grad_y = tensor.op, grads.get(tensor)
        if op is None or grad_y is None:
            continue
        known = known_of(op)
        arrays = [to_device(one.data, "cpu") for one in op.inputs]
        own = op.backward(grad_y.astype(tensor.data.dtype)) if known is None else None
        for i, source in enumerate(op.inputs):
            if source.op is None or not op.needs_grad[i]:
                continue
            if known is not None:
                grad = known.rights[i].of((grad_y, *[array.astype(np.float64) for array in arrays], *known.more))
            else:
                assert own is not None and own[i] is not None
                grad = np.asarray(own[i], np.float64)
            grads[source] = grads[source] + grad if source in grads else grad
    return grads
