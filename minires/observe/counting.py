"""What a network costs: parameters and multiply-adds, layer by layer, from one forward pass of one image.

A multiply-add is one product of a weight and an activation, summed; they are counted in convolutions and linear layers
alone, as papers do: a K×K convolution C→F with I×J outputs has F·C·K·K·I·J, a linear layer C→F has F·C.
"""

from typing import Any, NamedTuple

import numpy as np

from minires.engine import Tensor, no_grad
from minires.kernels import kernels_for
from minires.nn.layers import Conv2d, Linear
from minires.nn.module import Module, Parameter


class Row(NamedTuple):
    """One module's call: its dotted name, its class, what it gave, and what that cost."""

    name: str
    kind: str
    output_shape: tuple[int, ...]  # without N
    parameters: int
    multiply_adds: int


class Totals(NamedTuple):
    parameters: int
    multiply_adds: int


class Recorder:
    """Stands in for a module's `forward` and notes each call."""

    def __init__(self, name: str, module: Module, rows: list[Row]) -> None:
        self.name, self.module, self.rows, self.forward = name, module, rows, module.forward
        own = [value for value in vars(module).values() if isinstance(value, Parameter)]
        self.parameters = sum([parameter.size for parameter in own])

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        y = self.forward(*inputs, **options)
        multiply_adds = 0
        if isinstance(self.module, Conv2d | Linear):
            outputs_per_channel = y.size // self.module.weight.shape[0]
            multiply_adds = self.module.weight.size * outputs_per_channel
        self.rows.append(Row(self.name, type(self.module).__name__, y.shape[1:], self.parameters, multiply_adds))
        self.parameters = 0  # a module that is called twice has them once
        return y


def layer_rows(model: Module, input_shape: tuple[int, ...] | None = None) -> list[Row]:
    """Run one image of zeros through the model, in evaluation, and list the calls of all layers, in order.

    A layer is a module without children, or with parameters of its own. input_shape: (C, H, W); may be left out where
    the model knows its own. The model is left as it was.
    """
    shape = model.input_shape if input_shape is None else input_shape
    if shape is None:
        raise ValueError(
            f"summary: {type(model).__name__} does not know its input's shape; pass input_shape, such as (3, 32, 32)"
        )
    parameters = model.parameters()
    like = parameters[0].data if parameters else np.zeros(0, np.float32)
    image = Tensor(kernels_for(like).xp.zeros((1, *shape), like.dtype))

    rows: list[Row] = []
    modules = dict(model.named_modules())
    was_training = {name: module.training for name, module in modules.items()}
    recorded = []
    try:
        model.eval()
        for name, module in modules.items():
            has_children = next(module.named_children(), None) is not None
            recorder = Recorder(name, module, rows)
            if not has_children or recorder.parameters:
                module.forward = recorder
                recorded.append(module)
        with no_grad():
            model(image)
    finally:
        for module in recorded:
            del module.forward  # the class's own is there again
        for name, module in modules.items():
            module.training = was_training[name]
    return rows


def totals(model: Module, input_shape: tuple[int, ...] | None = None) -> Totals:
    """Count a model's parameters, and the multiply-adds of its forward pass for one image."""
    rows = layer_rows(model, input_shape)
    parameters = sum([parameter.size for parameter in model.parameters()])
    return Totals(parameters, sum([row.multiply_adds for row in rows]))


def summary_text(model: Module, input_shape: tuple[int, ...] | None = None) -> str:
    """Write the table of layers: name, class, output shape, parameters, multiply-adds; the totals below."""
    rows = layer_rows(model, input_shape)
    parameters = sum([parameter.size for parameter in model.parameters()])
    head = ("layer", "", "output", "parameters", "multiply-adds")
    foot = ("total", type(model).__name__, "", f"{parameters:,}", f"{sum([row.multiply_adds for row in rows]):,}")
    lines = [head]
    for row in rows:
        shape = "×".join([str(size) for size in row.output_shape])
        lines.append((row.name, row.kind, shape, counted(row.parameters), counted(row.multiply_adds)))
    lines.append(foot)

    widths = [max([len(line[column]) for line in lines]) for column in range(5)]
    rule = "─" * (sum(widths) + 8)
    text = []
    for line in lines:
        left = [cell.ljust(width) for cell, width in zip(line[:3], widths[:3], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[3:], widths[3:], strict=True)]
        text.append("  ".join(left + right).rstrip())
    return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])


def counted(number: int) -> str:
    """Write a count, and nothing for none."""
    return f"{number:,}" if number else ""
