"""A chain of layers as its kernels see it: what they are handed of each layer, and what forward keeps for backward.

    x ─▶ conv ─▶ norm ─▶ relu ─▶ conv ─▶ norm ─▶ relu ─▶ … ─▶ conv ─▶ norm ─▶ + ─▶ relu ─▶ y
    └───────────────────────────────────── shortcut ───────────────────────────┘

The shortcut is nothing, x itself, x by option A, or an array of its own. A single layer is a chain of one.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minires.kernels import Array

Pair = tuple[int, int]
Gradients = tuple[Array, Array, Array]  # of a layer's filters, weight and bias


@dataclass(slots=True)
class Prepared:
    """What kernels have made of filters that do not change any more, by name: so that they make it once.

    The filters' array cannot be written to. For another one, or where that was undone, nothing is kept.
    """

    filters: Array
    forms: dict[str, Array] = field(default_factory=dict)

    def holds(self, filters: Array) -> bool:
        """Say whether these are the filters, and still what they were."""
        return filters is self.filters and not filters.flags.writeable

    def form(self, name: str, make: Callable[[Array], Array]) -> Array:
        """Return what make(filters) returned when it was asked for the first time."""
        if name not in self.forms:
            self.forms[name] = make(self.filters)
        return self.forms[name]


class Layer(NamedTuple):
    """A convolution, a batch norm and a relu: their parameters and settings."""

    filters: Array  # (F, C, KH, KW)
    weight: Any  # of the norm, (F,); None where it is folded into the filters, and only a bias is left
    bias: Array  # (F,)
    stride: Pair
    padding: Pair
    eps: float
    prepared: Prepared | None = None


@dataclass(slots=True)
class SavedLayer:
    """What forward keeps of a layer."""

    x: Any  # its input; None where backward makes it from the layer before
    z: Array  # the convolution's output
    mean: Array  # z's, (F,)
    var: Array
    y: Any  # the layer's output; None where it was not stored
    # dL/dy behind relu's mask, and its sums for the norm, where the chain that reads y has taken them (`before`)
    grad_and_sums: tuple[Array, Array] | None = None


class Skip(enum.Enum):
    """What is added before the last relu, where that is no array of its own."""

    NOTHING = "nothing"
    IDENTITY = "identity"
    OPTION_A = "option A"


def total_stride(layers: list[Layer]) -> int:
    """Return by how much the chain makes images smaller; `ops.conv_chain` has seen to it that both sides agree."""
    return math.prod([layer.stride[0] for layer in layers])
