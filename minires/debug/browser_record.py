"""A backward pass as data for the browser view: `record(loss)` walks it and returns what JSON can hold.

    {"name", "loss", "ops": [op, …], "arrays": [array, …], "sources": [source, …], "formulas": [text, …]}

op       one step, in the order of the walk: "op" class name, "path" of its module, "site", "kept" what forward saved,
         "totals", "lines" [{"line", "values": {name: array or text}}], "inputs" [{"name", "parameter", "made_by" the
         index of an op, "shape", "grad", "total"}], and at a residual add "fork", the fork meter's numbers; arrays, "y"
         the activation and "grad_y" what arrived among them, "source", "kernels", "helpers" and "formula" by number
array    as `browser_arrays.describe` returns it
source   {"file", "line", "text"}: a function backward, or a kernel that it calls, or what the kernels call
formula  the text at the head of the op's file, where its formulas are
"""

import inspect
import os
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import minires
from minires.debug.browser_arrays import ArrayTable, number
from minires.debug.kernel_sources import kernels_beneath
from minires.engine import Op, Tensor
from minires.nn import Module
from minires.observe.fork_meter import forks
from minires.observe.step import Source, Step
from minires.observe.stepper import backward_steps

PassRecord = dict[str, Any]

FORK_NUMBERS = ("skip_norm", "branch_norm", "x_norm", "skip_share", "branch_share", "cosine")
MOST_LINES = 60  # of one backward that are recorded: a loop may run for long
PACKAGE = Path(minires.__file__).parent


class LineTrace:
    """Inside `with LineTrace() as trace:` the lines that an op's backward runs are recorded, with the values they set.

    Values are kept until `take`. Nothing is recorded while a debugger or a coverage tool traces this thread.
    """

    def __enter__(self) -> "LineTrace":
        self.lines: list[tuple[int, dict[str, Any]]] = []
        self.before: dict[str, Any] = {}
        self.traces = sys.gettrace() is None
        if self.traces:
            sys.settrace(self.on_call)
        return self

    def __exit__(self, *error: object) -> None:
        if self.traces:
            sys.settrace(None)

    def on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_name != "backward":  # one comparison for the many calls that are something else
            return None
        op = frame.f_locals.get("self")
        if not isinstance(op, Op) or inspect.unwrap(type(op).backward).__code__ is not frame.f_code:
            return None  # not an op's own backward: Tensor's, or one that it calls
        self.lines, self.before = [], dict(frame.f_locals)
        return self.on_line

    def on_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event not in ("line", "return") or len(self.lines) >= MOST_LINES:
            return self.on_line
        now = dict(frame.f_locals)
        if self.lines:  # what is new was set by the line before
            new = {name: value for name, value in now.items() if self.before.get(name, self) is not value}
            self.lines[-1][1].update(new)
        self.before = now
        if event == "line":
            self.lines.append((frame.f_lineno, {}))
        return self.on_line

    def take(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the lines of the backward that ran last, and forget them."""
        lines, self.lines, self.before = self.lines, [], {}
        return lines


def record(loss: Tensor, name: str = "", model: Module | None = None) -> PassRecord:
    """Run the backward pass of `loss`, which fills the `.grad` of its leaves as ever, and return the record of it.

    name: the network's, for the page. model: gives parameters their names. Errors are those of `Tensor.backward`.
    """
    steps = backward_steps(loss, model=model)
    kept = [saved_by(tensor.op) for tensor in steps.order]  # before a step releases it
    arrays = ArrayTable()
    sources: dict[Source, int] = {}
    formulas: dict[str, int] = {}
    ops = []
    with LineTrace() as trace:
        for step in steps:
            text = inspect.getdoc(sys.modules[type(step.op).__module__]) or ""
            entry = describe_step(step, trace.take(), arrays)
            entry["kept"] = kept[step.index]
            entry["source"] = sources.setdefault(step.source, len(sources))
            for kind, found in zip(("kernels", "helpers"), kernels_beneath(step.source), strict=True):
                entry[kind] = [sources.setdefault(one, len(sources)) for one in found]
            entry["formula"] = formulas.setdefault(text, len(formulas))
            ops.append(entry)
    for fork in forks(steps):
        ops[fork.add]["fork"] = {name: number(getattr(fork, name)) for name in FORK_NUMBERS}
    return {
        "name": name,
        "loss": number(loss.item()) if loss.size == 1 else None,
        "ops": ops,
        "arrays": arrays.entries,
        "sources": [{"file": path_in_package(one.path), "line": one.line, "text": one.text} for one in sources],
        "formulas": list(formulas),
    }


def describe_step(step: Step, lines: list[tuple[int, dict[str, Any]]], arrays: ArrayTable) -> dict[str, Any]:
    """Return what the page shows of one step; its arrays go into the table."""
    path, called_at, function = step.site
    inputs = [
        {
            "name": one.name,
            "parameter": one.parameter,
            "made_by": one.made_by,
            "shape": list(one.tensor.shape),
            "grad": None if one.grad is None else arrays.add(one.grad, is_parameter=bool(one.parameter)),
            "total": None if one.total is None else arrays.add(one.total, is_parameter=bool(one.parameter)),
        }
        for one in step.inputs
    ]
    return {
        "op": step.op_name,
        "path": step.module_path,
        "site": f"{os.path.basename(path)}:{called_at} in {function}",
        "y": arrays.add(step.tensor.data),
        "grad_y": arrays.add(step.grad_y),
        "inputs": inputs,
        "lines": [{"line": line, "values": describe_values(values, step, arrays)} for line, values in lines],
        "totals": asdict(step.progress) | {"grad_norm": number(step.progress.grad_norm)},
    }


def describe_values(values: dict[str, Any], step: Step, arrays: ArrayTable) -> dict[str, Any]:
    """Return what a line of a backward set: an array's number in the table, or anything short as text."""
    filters = [id(one.grad) for one in step.inputs if one.parameter and one.grad is not None]
    described: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray | np.generic):
            described[name] = arrays.add(np.asarray(value), is_parameter=id(value) in filters)
        elif is_plain(value):
            described[name] = repr(value)[:60]
    return described


def is_plain(value: Any) -> bool:
    """Say whether a value is a number, a text, None or a short tuple of such: what is read at a glance."""
    if isinstance(value, tuple):
        return len(value) <= 6 and all([is_plain(one) for one in value])
    return value is None or isinstance(value, (bool, int, float, str))


def saved_by(op: Op | None) -> dict[str, str]:
    """Return what an op keeps for its backward, as name and short text: {"x": "(32, 16, 8, 8) float32"}."""
    assert op is not None
    saved = {}
    for name, value in op.saved_words().items():
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            saved[name] = f"{tuple(value.shape)} {value.dtype}"
        elif is_plain(value):
            saved[name] = repr(value)[:60]
    return saved


def path_in_package(path: str) -> str:
    """Return a path from the package on, "minires/ops/convolution.py", and the bare name of a file elsewhere."""
    file = Path(path)
    return file.relative_to(PACKAGE.parent).as_posix() if file.is_relative_to(PACKAGE) else file.name
