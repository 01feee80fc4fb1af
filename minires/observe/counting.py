"""What a network costs: parameters and multiply-adds, layer by layer, from one forward pass of one image.

A multiply-add is one product of a weight and an activation, summed; they are counted in convolutions and linear layers
alone, as papers do: a K×K convolution C→F with I×J outputs has F·C·K·K·I·J, with G groups a G-th of that, a linear
layer C→F has F·C. The count is the definition's, however few products a kernel gets along with.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minires.engine import Op, Tensor, no_grad, per_thread
from minires.kernels import Array, kernels_for
from minires.kernels.numpy_kernels import output_size
from minires.observe.observer import observing
from minires.ops.affine import Linear
from minires.ops.chain import ConvChain
from minires.ops.convolution import Conv2d
from minires.ops.grouped_convolution import GroupedConv2d


@dataclass
class LayerCost:
    """One layer: its dotted name, its class, what it gave last, and what it cost in all its calls."""

    name: str
    kind: str
    output_shape: tuple[int, ...]  # without N
    parameters: int
    multiply_adds: int


class Totals(NamedTuple):
    parameters: int
    multiply_adds: int


def multiply_adds_of(op: Op, shapes: list[tuple[int, ...]], y_shape: tuple[int, ...]) -> int:
    """Count the multiply-adds of an op's forward pass: 0 for one without filters or a matrix of weights."""
    if isinstance(op, ConvChain):
        image, count = shapes[0], 0
        for filters, (stride, padding, _) in zip(shapes[1 :: 2 if op.folded else 3], op.settings, strict=False):
            KH, KW = filters[2:]
            image = (image[0], filters[0], *output_size(image, (KH, KW), stride, padding))
            count += image[0] * math.prod(image[2:]) * math.prod(filters)
        return count
    if isinstance(op, Conv2d | GroupedConv2d | Linear):
        return y_shape[0] * math.prod(y_shape[2:]) * math.prod(shapes[1])
    return 0


class LayerCounter:
    """The observer: adds what an op costs to the layer that called it.

    A layer is a module without children, or with parameters of its own; a block is listed where its own op has a
    layer's work, as a fused one does.
    """

    def __init__(self, model: Any) -> None:
        self.names = {module: name for name, module in model.named_modules()}
        self.parameters = Counter[str]()  # of each module, without those of the modules in it
        for name, parameter in model.named_parameters():
            self.parameters[name.rpartition(".")[0]] += parameter.size
        self.layers: dict[str, LayerCost] = {}

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        module = per_thread.module
        name = self.names.get(module, per_thread.module_path)
        multiply_adds = multiply_adds_of(op, [tensor.shape for tensor in inputs], y.shape)
        has_children = next(module.named_children(), None) is not None
        if has_children and not self.parameters[name] and not multiply_adds:
            return
        if name not in self.layers:
            self.layers[name] = LayerCost(name, type(module).__name__, (), self.parameters[name], 0)
        self.layers[name].output_shape = y.shape[1:]
        self.layers[name].multiply_adds += multiply_adds

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
        """There is no backward pass."""


def layer_costs(model: Any, input_shape: tuple[int, ...] | None = None) -> list[LayerCost]:
    """Run one image of zeros through the model, in evaluation, and list the layers that compute, in their order.

    input_shape: (C, H, W); may be left out where the model knows its own. The model is left as it was.
    """
    shape = model.input_shape if input_shape is None else input_shape
    if shape is None:
        raise ValueError(
            f"summary: {type(model).__name__} does not know its input's shape; pass input_shape, such as (3, 32, 32)"
        )
    parameters = model.parameters()
    like = parameters[0].data if parameters else np.zeros(0, np.float32)
    image = Tensor(kernels_for(like).xp.zeros((1, *shape), like.dtype))
    counter = LayerCounter(model)
    was_training = {module: module.training for module in counter.names}
    model.eval()
    try:
        with no_grad(), observing(counter):
            model(image)
    finally:
        for module, training in was_training.items():
            module.training = training
    return list(counter.layers.values())


def totals(model: Any, input_shape: tuple[int, ...] | None = None) -> Totals:
    """Count a model's parameters, and the multiply-adds of its forward pass for one image."""
    layers = layer_costs(model, input_shape)
    parameters = sum([parameter.size for parameter in model.parameters()])
    return Totals(parameters, sum([layer.multiply_adds for layer in layers]))


def summary_text(model: Any, input_shape: tuple[int, ...] | None = None) -> str:
    """Write the table of layers: name, class, output shape, parameters, multiply-adds; the totals below."""
    layers = layer_costs(model, input_shape)
    parameters = sum([parameter.size for parameter in model.parameters()])
    head = ("layer", "", "output", "parameters", "multiply-adds")
    foot = ("total", type(model).__name__, "", f"{parameters:,}", f"{sum([each.multiply_adds for each in layers]):,}")
    lines = [head]
    for layer in layers:
        shape = "×".join([str(size) for size in layer.output_shape])
        lines.append((layer.name, layer.kind, shape, written(layer.parameters), written(layer.multiply_adds)))
    lines.append(foot)

    widths = [max([len(line[column]) for line in lines]) for column in range(5)]
    rule = "─" * (sum(widths) + 8)
    text = []
    for line in lines:
        left = [cell.ljust(width) for cell, width in zip(line[:3], widths[:3], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[3:], widths[3:], strict=True)]
        text.append("  ".join(left + right).rstrip())
    return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])


def written(count: int) -> str:
    """Write a count, and nothing for none."""
    return f"{count:,}" if count else ""
