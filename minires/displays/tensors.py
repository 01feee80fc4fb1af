"""A tensor: shape, dtype, device, the op that made it and where, its numbers and those of its gradient."""

from typing import Any

import numpy as np

from minires.displays import elements
from minires.displays.spread import histogram, look_at

FEW = 6  # numbers that are written out


def tensor_html(tensor: Any) -> str:
    """Return the display of a tensor."""
    facts = [tensor.shape, tensor.dtype]
    if tensor.device != "cpu":
        facts.append(tensor.device)
    if tensor.requires_grad and tensor.op is None:
        facts.append("requires grad")
    parts = [elements.head(type(tensor).__name__, *facts), elements.faint(origin(tensor))]
    parts += described("data", tensor.data)
    if tensor.grad is not None:
        parts += described("grad", tensor.grad)
    return elements.box(*parts)


def origin(tensor: Any) -> str:
    """`made by Conv2d at resnet.py:41 in forward, in layer2.1.conv1`."""
    if tensor.op is None:
        return "a leaf: no op made it"
    place = f", in {tensor.op.module_path}" if tensor.op.module_path else ""
    return f"made by {tensor.op!r}{place}"


def described(name: str, array: Any) -> list[str]:
    """Return the lines about an array: its few numbers, or a summary and a histogram."""
    if not isinstance(array, np.ndarray):
        return [elements.faint(f"{name}: on the GPU, from which nothing was copied; .numpy() does")]
    if array.size == 0:
        return [elements.faint(f"{name}: no numbers")]
    if array.size <= FEW:
        written = ", ".join([short(value) for value in array.ravel().tolist()])
        return [f"<div>{elements.text(name)}: {elements.text(written)}</div>"]
    with np.errstate(all="ignore"):  # beside the largest numbers, the smallest may underflow
        numbers = look_at(array)
        words = f"{name}: {numbers.words}"
        return [f"<div>{elements.text(words)}</div>", histogram(numbers, f"histogram of {words}")]


def short(value: float) -> str:
    """Write a float with four digits, an integer or a bool as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
