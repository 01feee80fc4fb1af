"""The backward pass one op at a time: `for step in backward_steps(loss)`.

The same order, the same backward functions and the same accumulation as `Tensor.backward`, so the same gradients; but
between two ops the reader has the word.
"""

import math
from fnmatch import fnmatchcase
from typing import Any

from minires.engine import Op, Tensor, accumulate, backward_order, deliver, first_grad
from minires.kernels import Array
from minires.observe.step import Input, Progress, Step, input_name, is_parameter, source_of, statistics


class backward_steps:
    """A walk through the backward pass of `loss`. Each op's backward runs when the walk first comes to it, and once.

    steps = backward_steps(loss)
    next(steps)                      one op; `for step in steps` walks to the end
    steps.until("layer2.0.conv1")    on to a module, by name or pattern, or to the first op inside it
    steps.until(op="BatchNorm")      on to an op, by class name or pattern
    steps.run_to_end()
    steps.back()                     to the record before; walking on from there replays the records that are kept
    steps.ahead                      the tensors that the walk has yet to come to

    grad, keep_graph: as in `Tensor.backward`, whose errors it raises. model: gives parameters their names; without it a
    parameter is called by the module that used it and the op's word for it, which is the same in all plain layers.
    A walk that is left early leaves the gradients of the leaves incomplete.
    """

    def __init__(self, loss: Tensor, grad: Array | None = None, keep_graph: bool = False, model: Any = None) -> None:
        self.order = backward_order(loss)
        grad = first_grad(loss, grad)
        for tensor in self.order:
            tensor.grad = None
        accumulate(loss, grad)
        self.keep_graph = keep_graph
        self.model = model
        self.records: list[Step] = []
        self.position = 0  # how many steps lie behind
        self.index_of = {tensor: index for index, tensor in enumerate(self.order)}
        self.parameter_names: dict[Tensor, str] = {}
        if model is not None:
            self.parameter_names = {parameter: name for name, parameter in model.named_parameters()}
        self.parameter_norms: dict[Tensor, float] = {}  # of the gradients that parameters have up to now

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> "backward_steps":
        return self

    def __next__(self) -> Step:
        if self.position == len(self.order):
            raise StopIteration
        if self.position == len(self.records):
            self.records.append(self._run(self.order[self.position]))
        self.position += 1
        return self.records[self.position - 1]

    @property
    def current(self) -> Step | None:
        """The step that the walk stands at, None before the first."""
        return self.records[self.position - 1] if self.position else None

    @property
    def ahead(self) -> list[Tensor]:
        """The tensors whose ops' backward comes next, in order."""
        return self.order[self.position :]

    def back(self, count: int = 1) -> Step | None:
        """Go back `count` steps and return the step there, None at the start. ValueError beyond the start."""
        if not 1 <= count <= self.position:
            raise ValueError(f"backward_steps.back: cannot go back {count} steps after {self.position}")
        self.position -= count
        return self.current

    def until(self, module: str = "*", op: str = "*") -> Step:
        """Walk on to the next op of a module, an op, or both, and return its step.

        module: a dotted name, which means the module or anything inside, or a pattern such as "layer3.*".
        op: an op's class name, or a pattern. ValueError, before anything runs, where nothing ahead fits.
        """
        if not any([fits(tensor.op, module, op) for tensor in self.ahead]):
            raise ValueError(f"backward_steps.until: {self._nothing_ahead(module, op)}")
        step = next(self)
        while not fits(step.op, module, op):
            step = next(self)
        return step

    def run_to_end(self) -> Step:
        """Walk to the end and return the last step. RuntimeError where the loss is a leaf, which has no step."""
        for _ in self:
            pass
        if self.current is None:
            raise RuntimeError("backward_steps.run_to_end: there are no steps, since the loss is a leaf")
        return self.current

    def _run(self, tensor: Tensor) -> Step:
        """Do what `Tensor.backward` does with one tensor, and record it."""
        op, grad_y = tensor.op, tensor.grad
        assert op is not None and grad_y is not None  # backward_order lists such tensors only
        try:
            grads = op.backward(grad_y)
            deliver(tensor, grad_y, grads)
        except Exception as error:
            error.add_note(f"in the backward pass of {tensor!r}")
            raise
        tensor.grad = None

        inputs = []
        for i, source in enumerate(op.inputs):
            grad, total = (grads[i], source.grad) if op.needs_grad[i] else (None, None)
            one = Input(
                name=input_name(op, i),
                tensor=source,
                parameter=self._parameter_name(op, i),
                made_by=self.index_of.get(source),
                grad=grad,
                statistics=None if grad is None else statistics(grad),
                total=total,
                total_statistics=None if total is None else statistics(total),
            )
            if one.parameter and one.total_statistics is not None:
                self.parameter_norms[source] = one.total_statistics.norm
            inputs.append(one)
        if not self.keep_graph:
            op.release()
        return Step(
            index=self.position,
            count=len(self.order),
            op=op,
            tensor=tensor,
            source=source_of(type(op).backward),
            grad_y=grad_y,
            statistics=statistics(grad_y),
            inputs=tuple(inputs),
            progress=Progress(
                ops=self.position + 1,
                parameters=len(self.parameter_norms),
                numbers=sum([parameter.size for parameter in self.parameter_norms]),
                grad_norm=math.hypot(*self.parameter_norms.values()),
            ),
        )

    def _parameter_name(self, op: Op, index: int) -> str:
        tensor = op.inputs[index]
        if tensor in self.parameter_names:
            return self.parameter_names[tensor]
        if not is_parameter(tensor):
            return ""
        return f"{op.module_path}.{input_name(op, index)}".lstrip(".")

    def _nothing_ahead(self, module: str, op: str) -> str:
        wanted = " and ".join([f"{kind} {name!r}" for kind, name in (("module", module), ("op", op)) if name != "*"])
        behind = any([fits(step.op, module, op) for step in self.records[: self.position]])
        if behind:
            return f"{wanted or 'everything'} lies behind; go back()"
        names = sorted({tensor.op.module_path.partition(".")[0] for tensor in self.ahead if tensor.op} - {""})
        ops = sorted({type(tensor.op).__name__ for tensor in self.ahead})
        modules = f" in {', '.join(names)} and the modules inside" if names else ""
        return f"nothing ahead fits {wanted}; ahead are the ops {', '.join(ops) or 'of no kind'}{modules}"


def fits(op: Op | None, module: str = "*", op_name: str = "*") -> bool:
    """Say whether an op is of a class and inside a module, by names or by patterns with * and ?."""
    return op is not None and inside(op.module_path, module) and fnmatchcase(type(op).__name__, op_name)


def inside(path: str, module: str) -> bool:
    """Say whether a module path is a module, something in it, or fits a pattern with * and ?."""
    return path == module or path.startswith(f"{module}.") or fnmatchcase(path, module)
