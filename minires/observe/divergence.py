"""Which op made the first NaN or infinity: the step is computed once more, and every op's result is looked at.

Nothing of this runs while the numbers are finite; a training that goes well pays one `isfinite` of the loss and one of
the gradients' norm.
"""

from collections.abc import Callable
from typing import Any

from minires.engine import Op, Tensor, thread
from minires.kernels import Array, kernels_for
from minires.nn import Module


class FirstNotFinite:
    """Looks on while ops compute, and remembers in `culprit`, as a sentence, where the first value is not finite."""

    def __init__(self, model: Module) -> None:
        self.names = {parameter: name for name, parameter in model.named_parameters()}
        self.culprit = ""

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        if self.culprit or all_finite(y.data):
            return
        for tensor in inputs:
            if not all_finite(tensor.data):  # no op made it, or that op would have been found first
                what = f"the parameter {self.names[tensor]}" if tensor in self.names else "the input"
                self.culprit = f"{what}, {described(tensor.data)}, is not finite before {name_of(op)} uses it"
                return
        self.culprit = f"{name_of(op)} makes {described(y.data)} from finite inputs"

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
        assert tensor.op is not None
        if self.culprit:
            return
        for grad, needed in zip(grads, tensor.op.needs_grad, strict=True):
            if needed and grad is not None and not all_finite(grad):
                self.culprit = (
                    f"in backward, {name_of(tensor.op)} makes {described(grad)} from a gradient of at most "
                    f"{float(abs(grad_y).max()):.3g}"
                )
                return


def first_not_finite(model: Module, compute: Callable[[], Any]) -> str:
    """Run `compute`, a step's forward and backward, and say which op made the first value that is no finite number."""
    watcher, observer = FirstNotFinite(model), thread.observer
    thread.observer = watcher
    try:
        compute()
    finally:
        thread.observer = observer
    return watcher.culprit or "the sum of several finite gradients"


def all_finite(array: Array) -> bool:
    return bool(kernels_for(array).xp.isfinite(array).all())


def described(array: Array) -> str:
    """Say how many values of an array are not finite: "3 NaN and 1 infinite of (2, 5)"."""
    xp = kernels_for(array).xp
    return f"{int(xp.isnan(array).sum())} NaN and {int(xp.isinf(array).sum())} infinite values of {array.shape}"


def name_of(op: Op) -> str:
    """Return op, line and module: "Conv2d at blocks.py:41 in forward (layer2.0.conv1)"."""
    return f"{op!r} ({op.module_path})" if op.module_path else repr(op)
