"""What can be seen of a backward pass without finite differences: what it writes, and what it gives back."""

from typing import NoReturn

import numpy as np

from minires.engine import Op, Tensor, backward_order
from minires.gradient_check.report import GradientError, Report
from minires.kernels import Array


def inspect_backward(y: Tensor, grad_y: Array) -> dict[Tensor, Array]:
    """Walk the graph of y by hand and return the gradients of its leaves; the graph is kept.

    GradientError if an op's backward raises, writes into the gradient it was handed, or gives back something else than
    one gradient of the input's shape and dtype for every input that needs one.
    """
    grads = {y: grad_y}
    for tensor in backward_order(y):
        op = tensor.op
        assert op is not None
        handed = grads.pop(tensor)
        for source, grad in zip(op.inputs, inspect_op(op, handed), strict=True):
            if source.requires_grad:
                assert grad is not None
                grads[source] = grads[source] + grad if source in grads else grad
    return grads


def inspect_op(op: Op, grad_y: Array) -> tuple[Array | None, ...]:
    """Run one op's backward, looking at what it does."""
    handed = np.array(grad_y)
    try:
        grads = op.backward(handed)
    except Exception as error:
        raise GradientError(f"{op!r}: backward raised {type(error).__name__}: {error}", Report(repr(op))) from error
    if not np.array_equal(handed, grad_y, equal_nan=True):
        refuse(
            op,
            "backward wrote into the gradient it was handed, which others hold too (both sides of a skip do): "
            "write a + b, never a += b",
        )
    if not isinstance(grads, tuple) or len(grads) != len(op.inputs):
        got = f"{len(grads)} gradients" if isinstance(grads, tuple) else f"a {type(grads).__name__}"
        refuse(op, f"backward gave {got} instead of a tuple of one gradient for each of the {len(op.inputs)} inputs")
    for position, (source, grad) in enumerate(zip(op.inputs, grads, strict=True)):
        if not source.requires_grad:
            continue
        if grad is None:
            refuse(op, f"backward gave no gradient for input {position}, shape {source.shape}, which requires one")
        if grad.shape != source.shape:
            refuse(
                op,
                f"backward gave a gradient of shape {grad.shape} for input {position} of shape {source.shape}"
                + shape_hint(grad.shape, source.shape),
            )
        if grad.dtype != source.dtype:
            refuse(op, f"backward gave a gradient of dtype {grad.dtype} for input {position} of dtype {source.dtype}")
    return grads


def refuse(op: Op, problem: str) -> NoReturn:
    raise GradientError(f"{op!r}: {problem}", Report(repr(op)))


def shape_hint(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if sorted(given) == sorted(wanted):
        return ": the gradient is transposed"
    try:
        if np.broadcast_shapes(given, wanted) == given:
            return ": the forward pass broadcast this input, so its gradient must be summed over the repeated axes"
    except ValueError:
        pass
    return ""
