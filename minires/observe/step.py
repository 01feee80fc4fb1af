"""What is recorded of one op's backward: the gradient that arrived, those that left, and where all of it is written.

Arrays are kept as they are, not copied: nothing in MiniRes writes into a gradient.
"""

import functools
import inspect
import math
from dataclasses import dataclass
from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array, kernels_for
from minires.kernels.norms import norm


@dataclass(frozen=True, eq=False)
class Statistics:
    """An array in six numbers: √Σg², Σg/size, max|g|, the share of exact zeros, and how many NaN and infinities."""

    norm: float
    mean: float
    abs_max: float
    zeros: float
    nans: int
    infs: int

    @property
    def finite(self) -> bool:
        return self.nans == 0 and self.infs == 0


@dataclass(frozen=True, eq=False)
class Source:
    """Where a function is written: file, first line, and its lines as text ("" where the file cannot be read)."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, eq=False)
class Input:
    """What went into an op, and the gradient that the op's backward gives it."""

    name: str  # the op's own word for it: "x", "weight", "shortcut"
    tensor: Tensor
    parameter: str  # a parameter's dotted name, "" for anything else
    made_by: int | None  # the index of the step whose op made it; None for a leaf
    grad: Array | None  # dL/dinput through this op alone; None where no gradient is needed
    statistics: Statistics | None  # of grad
    total: Array | None  # all that has arrived at the input up to now, all of this step included
    total_statistics: Statistics | None


@dataclass(frozen=True, eq=False)
class Progress:
    """How far the pass has come."""

    ops: int  # backward passes done, this included
    parameters: int  # parameters that have a gradient
    numbers: int  # the numbers in them
    grad_norm: float  # the norm of all their gradients together


@dataclass(frozen=True, eq=False)
class Step:
    """One op's backward, done."""

    index: int  # 0 is the op that made the loss
    count: int  # the ops of the whole pass
    op: Op
    tensor: Tensor  # what the op made; its data is the activation
    source: Source  # of the op's backward
    grad_y: Array  # what arrived: dL/dtensor, complete
    statistics: Statistics  # of grad_y
    inputs: tuple[Input, ...]  # what left, one per input of the op
    progress: Progress

    @property
    def op_name(self) -> str:
        return type(self.op).__name__

    @property
    def module_path(self) -> str:
        """The module that called the op: "layer2.0.conv1"."""
        return self.op.module_path

    @property
    def site(self) -> tuple[str, int, str]:
        """The line that called the op: path, line, function."""
        return self.op.site

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters whose gradient this step added to."""
        return [one.parameter for one in self.inputs if one.parameter and one.grad is not None]

    def __repr__(self) -> str:
        where = f" in {self.module_path}" if self.module_path else ""
        return f"Step {self.index + 1} of {self.count}: {self.op!r}{where}, |grad_y| {self.statistics.norm:.3g}"


def statistics(array: Array) -> Statistics:
    """Return the statistics of an array. The norm of what is finite neither under- nor overflows."""
    xp = kernels_for(array).xp
    if array.size == 0:
        return Statistics(0.0, 0.0, 0.0, 0.0, 0, 0)
    nans, infs = int(xp.isnan(array).sum()), int(xp.isinf(array).sum())
    zeros = 1 - int(xp.count_nonzero(array)) / array.size
    if nans:
        return Statistics(math.nan, math.nan, math.nan, zeros, nans, infs)
    abs_max = float(xp.abs(array).max())
    if infs:
        return Statistics(math.inf, math.nan, abs_max, zeros, nans, infs)
    mean = float(array.mean(dtype="float64"))
    return Statistics(norm(array), mean, abs_max, zeros, nans, infs)


@functools.cache
def source_of(function: Any) -> Source:
    """Find where a function is written."""
    code = inspect.unwrap(function).__code__
    try:
        text = "".join(inspect.getsourcelines(function)[0])
    except OSError:  # typed into a prompt, or the file is gone
        text = ""
    return Source(code.co_filename, code.co_firstlineno, text)


def is_parameter(tensor: Tensor) -> bool:
    """Say whether a tensor is trained: for such ones `nn`, which stands above this room, has a class of its own."""
    return type(tensor) is not Tensor


def input_words(op: type[Op]) -> tuple[str, ...]:
    """Return the words that an op class's forward has for its inputs; a *word takes all the rest."""
    signature = inspect.signature(op.forward)
    return tuple(
        [
            f"*{name}" if parameter.kind is parameter.VAR_POSITIONAL else name
            for name, parameter in signature.parameters.items()
            if name != "self"
        ]
    )


def input_name(op: Op, index: int) -> str:
    """Return the op's own word for its input: "weight" for input 1 of a convolution."""
    words = input_words(type(op))
    if words and words[-1].startswith("*") and index >= len(words) - 1:
        return f"{words[-1][1:]}[{index - len(words) + 1}]"
    return words[index]
