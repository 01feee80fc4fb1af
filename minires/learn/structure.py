"""What a reader's block does, as numbers: the ops that ran, on which leaves, and what came out.

Tensors and modules cannot be sent from the process that runs the reader's code. `described` runs there, beside it, and
gives back what can; `describe` asks for it, and the checks of an exercise read the `Description`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from minires.engine import Tensor, backward_order
from minires.kernels import Array, numpy_kernels
from minires.learn.answer import ReadersError
from minires.learn.examiner import Wrong, generator

Ref = tuple[str, int]  # ("op", its number) or ("leaf", its number)


@dataclass(frozen=True)
class Made:
    """An op that ran: its inputs are other ops' outputs, or leaves."""

    name: str
    inputs: list[Ref]
    options: dict[str, Any]


@dataclass(frozen=True)
class Description:
    """What a block did with x: the ops from the input on, the leaves (x is number 0), and what came out."""

    ops: list[Made]
    leaves: list[Array]
    trained: list[bool]  # which leaves the block lists among its parameters
    last: Ref
    y: Array

    def way(self, ref: Ref) -> list[int]:
        """The numbers of the ops that made something, from the input on."""
        found: set[int] = set()
        left = [ref]
        while left:
            kind, number = left.pop()
            if kind == "op" and number not in found:
                found.add(number)
                left += self.ops[number].inputs
        return sorted(found)

    def names(self, numbers: Sequence[int]) -> str:
        return " ".join([self.ops[number].name for number in numbers])

    def weight(self, number: int) -> Array:
        return self.leaves[self.ops[number].inputs[1][1]]


def described(mine: ModuleType, name: str, arguments: Sequence[int], x: Array) -> Any:
    """Where the reader's code runs: build a block, give it x, and describe what it did in numbers and arrays."""
    given = Tensor(x, requires_grad=True)
    block = getattr(mine, name)(*arguments)
    y = block(given)
    if not isinstance(y, Tensor):
        return {"made": type(y).__name__}
    made = [tensor for tensor in backward_order(y)[::-1] if tensor.op is not None]
    numbers = {tensor: i for i, tensor in enumerate(made)}
    leaves: dict[Tensor, int] = {given: 0}
    ops = []
    for tensor in made:
        assert tensor.op is not None
        refs = []
        for source in tensor.op.inputs:
            here = ("op", numbers[source]) if source in numbers else ("leaf", leaves.setdefault(source, len(leaves)))
            refs.append(here)
        options = {key: getattr(tensor.op, key) for key in ("stride", "padding", "eps") if hasattr(tensor.op, key)}
        ops.append((type(tensor.op).__name__, refs, options))
    last = ("op", numbers[y]) if y in numbers else ("leaf", leaves.get(y, 0))
    listed = [id(parameter) for parameter in block.parameters()]
    return {
        "made": "Tensor",
        "ops": ops,
        "leaves": [leaf.data for leaf in leaves],
        "trained": [id(leaf) in listed for leaf in leaves],
        "last": last,
        "y": y.data,
    }


def describe(
    head: str, mine: Any, name: str, arguments: tuple[int, ...], seed: int, shape: tuple[int, ...] = (2, 8, 6, 6)
) -> Description:
    """Have a block made and run on random images; `Wrong` where it gives back no tensor made of them."""
    x = generator(seed, name).standard_normal(shape).astype(np.float32)
    try:
        found = mine.described(name, arguments, x)
    except (ReadersError, ValueError) as error:
        if "residual_add" not in str(error):
            raise
        raise Wrong(
            f"{head}: shortcut and branch have different shapes there: where channels or size change, be it one "
            f"of them alone, the shortcut must be projected\n  {error}"
        ) from error
    if found["made"] != "Tensor":
        raise Wrong(f"{head}: the block gives back {found['made']}, not a tensor; is a return missing?")
    ops = [Made(str(op), [tuple(ref) for ref in refs], dict(options)) for op, refs, options in found["ops"]]
    if found["last"][0] != "op":
        raise Wrong(f"{head}: the block gives back what it was given")
    return Description(ops, list(found["leaves"]), list(found["trained"]), tuple(found["last"]), found["y"])


def check_used_once(head: str, block: Description) -> None:
    """`Wrong` for a convolution or a norm that stands in two places with the same numbers."""
    seen: set[int] = set()
    for op in block.ops:
        if op.name not in ("Conv2d", "BatchNorm"):
            continue
        leaf = op.inputs[1][1] if op.inputs[1][0] == "leaf" else -1
        if leaf in seen:
            what, has = ("convolution", "weights") if op.name == "Conv2d" else ("batch norm", "weights and statistics")
            raise Wrong(f"{head}: one {what} is used twice; each place has its own, with its own {has}")
        if not block.trained[leaf]:
            raise Wrong(
                f"{head}: there are weights that parameters() does not list, so no optimizer would train them: keep "
                "every layer as an attribute of the block"
            )
        seen.add(leaf)


def computed_again(block: Description) -> Array:
    """Return what convolutions, batch norms, ReLUs and additions make of x as described, by the kernels alone."""
    results: list[Array] = []
    for op in block.ops:
        arrays = [results[number] if kind == "op" else block.leaves[number] for kind, number in op.inputs]
        if op.name == "Conv2d":
            bias = arrays[2] if len(arrays) > 2 else None
            stride, padding = tuple(op.options["stride"]), tuple(op.options["padding"])
            results.append(numpy_kernels.conv2d_forward(arrays[0], arrays[1], bias, stride, padding))
        elif op.name == "BatchNorm":
            results.append(numpy_kernels.batch_norm_forward(arrays[0], arrays[1], arrays[2], op.options["eps"])[0])
        elif op.name == "ReLU":
            results.append(np.maximum(arrays[0], 0))
        else:
            results.append(arrays[0] + arrays[1])
    return results[block.last[1]]
