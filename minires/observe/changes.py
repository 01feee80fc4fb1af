"""Which array was changed between an op's forward and its backward.

Backward reads what forward kept, the caller's own arrays among it: an input, a weight, the labels of a loss. One that
is written into meanwhile (a buffer that a loader fills again, an optimizer's step before a second backward) gives a
gradient of numbers that no forward pass has seen. A checksum of every kept array shows it.
"""

import zlib
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minires.engine import Op
from minires.kernels import Array
from minires.kernels.devices import to_device

Sums = dict[str, int]


class KeptArrays:
    """The checksums of what ops kept for backward, for as long as the ops live."""

    def __init__(self) -> None:
        self.sums: WeakKeyDictionary[Op, Sums] = WeakKeyDictionary()

    def note(self, op: Op) -> None:
        """Take the checksum of every array that the op has kept."""
        self.sums[op] = {name: checksum(array) for name, array in kept_arrays(op)}

    def changed(self, op: Op) -> tuple[str, Array] | None:
        """Return the word and the array of the first that is no longer what it was; None without any."""
        before = self.sums.get(op, {})
        for name, array in kept_arrays(op):
            if name in before and checksum(array) != before[name]:
                return name, array
        return None


def kept_arrays(op: Op) -> Iterator[tuple[str, Array]]:
    """Iterate over (word, array) of all that an op has kept, also in lists: "x", "layers[0][1]"."""
    waiting: list[tuple[str, Any]] = list(op.saved_words().items())
    while waiting:
        name, value = waiting.pop(0)
        if isinstance(value, (list, tuple)):
            waiting += [(f"{name}[{i}]", item) for i, item in enumerate(value)]
        elif hasattr(value, "dtype") and not isinstance(value, np.generic):  # NumPy's scalars cannot be written into
            yield name, value


def checksum(array: Array) -> int:
    """Return the CRC-32 of an array's numbers, shape and dtype."""
    numbers = np.ascontiguousarray(to_device(array, "cpu"))
    return zlib.crc32(numbers.reshape(-1).view(np.uint8).data, zlib.crc32(f"{array.shape} {array.dtype}".encode()))
