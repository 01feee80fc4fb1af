"""The ONNX graph while it is written: its nodes, its constants, and a name for each that nobody else has."""

from collections.abc import Iterable, Mapping
from os.path import basename
from typing import Any

import numpy as np

from minires.interop.onnx_record import Step
from minires.kernels import Array
from minires.kernels.devices import to_device

INPUT, OUTPUT = "input", "output"  # their names in the file


class Graph:
    """The nodes and constants written so far; what an exporter writes to."""

    def __init__(self, state: Mapping[str, Array]) -> None:
        self.names = {id(array): name for name, array in state.items()}
        self.nodes: list[Any] = []
        self.initializers: dict[str, Array] = {}
        self.taken: set[str] = {INPUT, OUTPUT, *state}
        self.step: Step | None = None

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        from onnx import helper

        assert self.step is not None
        name = self.new_name(f"{self.step.module_path}/{kind}" if self.step.module_path else kind)
        path, line, function = self.step.site
        origin = f"{self.step.kind.__name__} at {basename(path)}:{line} in {function}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, doc_string=origin, **attributes))
        return name

    def constant(self, array: Array) -> str:
        """Add an array that belongs to no name of the state dict, and return the name it gets."""
        name = self.new_name("constant")
        self.initializers[name] = np.asarray(array, order="C")
        return name

    def state(self, array: Array) -> str:
        """Return the name of a parameter's or a buffer's array; any other becomes a constant."""
        name = self.names.get(id(array))
        if name is None:
            return self.constant(to_device(array, "cpu"))
        self.initializers[name] = np.asarray(to_device(array, "cpu"), order="C")
        return name

    def number(self, value: float) -> str:
        """Add a number of the dtype that the step computes in."""
        assert self.step is not None
        return self.constant(np.asarray(value, self.step.dtype))

    def integers(self, values: Iterable[int]) -> str:
        return self.constant(np.asarray(list(values), np.int64))

    def reduced(self, kind: str, x: str, axes: tuple[int, ...], keepdims: bool) -> str:
        """Add a reduction; over no axis it leaves x as it is."""
        return self.node(kind, x, self.integers(axes), keepdims=int(keepdims), noop_with_empty_axes=1)

    def new_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken.add(name)
        return name
