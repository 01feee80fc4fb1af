"""A gradient taken apart by the paths it came on: at every residual add it goes through the shortcut or the branch.

For a fixed forward pass the backward pass is linear in the gradient, so with n blocks the gradient at the stem is the
sum over 2ⁿ paths. A path's length is the number of branches on it. `by_length` adds up all paths of each length without
walking them one by one: it carries, through the ordinary ops' backward, one gradient for each length so far.
"""

import copy
from collections.abc import Collection
from typing import Any

from minires.engine import Tensor, backward_order
from minires.kernels import Array
from minires.nn import Module
from minires.ops import cross_entropy
from minires.ops.shortcut import ResidualAdd


def forward(model: Module, images: Array, labels: Array) -> tuple[Tensor, list[Tensor]]:
    """Return the loss of a float64 copy of the model, in training mode, and the residual adds' outputs, first to last.

    Only activations require grad, so that no gradient of a weight is computed on the many ways back.
    """
    model = copy.deepcopy(model).to("float64").train()
    for parameter in model.parameters():
        parameter.requires_grad = False
    loss = cross_entropy(model(Tensor(images.astype("float64"), requires_grad=True)), labels)
    adds = [tensor for tensor in backward_order(loss) if isinstance(tensor.op, ResidualAdd)]
    return loss, adds[::-1]


def by_length(loss: Tensor, source: Tensor, start: Array | None = None) -> dict[int, Array]:
    """Return dL/dsource, taken apart: for each length, the sum of the gradients of all paths of that length.

    source: a tensor that `loss` was computed from, such as the first block's input. start: the gradient of `loss`,
    where it is not a single number. The graph is kept.
    """
    waiting: dict[Tensor, dict[int, Array]] = {loss: {0: loss.data * 0 + 1 if start is None else start}}
    for tensor in backward_order(loss):
        if tensor is source:
            break
        op = tensor.op
        assert op is not None
        for length, grad in waiting.pop(tensor, {}).items():
            added = (0, 1) if isinstance(op, ResidualAdd) else (0,) * len(op.inputs)
            for into, needed, part, more in zip(op.inputs, op.needs_grad, op.backward(grad), added, strict=True):
                if needed:
                    put(waiting.setdefault(into, {}), length + more, part)
    return waiting[source]


def along(loss: Tensor, source: Tensor, branches: Collection[Tensor], start: Array | None = None) -> Array | None:
    """Return the gradient that reaches `source` on one path: the branch at these adds, the shortcut at all others.

    None where nothing gets there.
    """
    waiting: dict[Tensor, dict[int, Array]] = {loss: {0: loss.data * 0 + 1 if start is None else start}}
    for tensor in backward_order(loss):
        if tensor is source:
            break
        op = tensor.op
        assert op is not None
        grad = waiting.pop(tensor, {}).get(0)
        if grad is None:
            continue
        taken = range(len(op.inputs))
        if isinstance(op, ResidualAdd):
            taken = range(1, 2) if tensor in branches else range(0, 1)
        parts: Any = op.backward(grad)
        for index in taken:
            if op.needs_grad[index]:
                put(waiting.setdefault(op.inputs[index], {}), 0, parts[index])
    return waiting.get(source, {}).get(0)


def put(sums: dict[int, Array], length: int, grad: Array | None) -> None:
    assert grad is not None
    sums[length] = sums[length] + grad if length in sums else grad
