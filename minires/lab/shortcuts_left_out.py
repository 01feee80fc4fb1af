"""The plain twin of any network: the same layers, the same weights, and every residual add leaves out its shortcut."""

import copy
from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.nn import Module
from minires.observe import observing
from minires.ops.shortcut import ResidualAdd


class BranchAlone(Op):
    """What a residual add becomes: y = branch."""

    def forward(self, branch: Array) -> Array:
        return branch

    def backward(self, grad_y: Array) -> tuple[Array]:
        return (grad_y,)


class LeaveOutShortcuts:
    """An observer that, unlike all others, changes what it sees: it makes residual adds of the branch alone."""

    def __init__(self) -> None:
        self.adds = 0

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        if isinstance(op, ResidualAdd):
            self.adds += 1
            branch = inputs[1]
            y.data = branch.data
            if not op.needs_grad[1]:  # what was computed along the shortcut alone is a constant now
                y.op, y.requires_grad = None, False
                return
            op.__class__ = BranchAlone  # type: ignore[assignment]
            op.inputs, op.input_shapes, op.needs_grad = (branch,), (branch.shape,), (True,)

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
        pass


class PlainTwin(Module):
    """Stands before a network's own class: its forward, without shortcuts."""

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        leave_out = LeaveOutShortcuts()
        with observing(leave_out):
            y: Tensor = super().forward(*inputs, **options)
        if leave_out.adds == 0:
            raise ValueError(
                "twin: the network called no ops.residual_add, so there is no shortcut to leave out; write the blocks' "
                "addition as ops.residual_add(shortcut, branch), and make the network without fused=True"
            )
        return y


def plain_twin(model: Module) -> Module:
    """Return a copy of a network, weights and names alike, whose residual adds leave out their shortcuts.

    The model itself stays as it is. TypeError for what is no module; ValueError, when it is first called, for a network
    that never calls `ops.residual_add`.
    """
    if not isinstance(model, Module):
        raise TypeError(f"twin: a network must be an nn.Module, got {type(model).__name__}")
    made = copy.deepcopy(model)
    if not isinstance(model, PlainTwin):
        made.__class__ = type(f"Plain{type(model).__name__}", (PlainTwin, type(model)), {})
    return made
