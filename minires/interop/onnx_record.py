"""The record of a forward pass that an ONNX file is made from: the engine's ops, in their order, and their constants.

An observer sees every op with its inputs and its output, whatever module or plain function called it, so that any
network exports. The pass runs twice, with other images and another number of them. What is the same in both is the
graph; a size that differs follows the batch; anything else that differs was computed outside of ops, where no record
is, and is refused with the op and the line that it went into.
"""

import inspect
from dataclasses import dataclass, replace
from os.path import basename
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minires.engine import Op, Tensor, call_site, no_grad, per_thread
from minires.kernels import Array, kernels_for
from minires.kernels.devices import to_device
from minires.nn import Module
from minires.observe.observer import observing
from minires.ops.shape import Reshape

Shape = tuple[int | None, ...]  # None: follows the batch
BATCHES = (2, 3)  # of the two passes


@dataclass(frozen=True)
class Step:
    """One op of the pass. Tensors are numbers, in the order in which they appear; the images are number 0."""

    kind: type[Op]
    options: dict[str, Any]  # what the op was made with, by the words of its __init__
    inputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output: int
    shape: Shape  # of the output
    dtype: np.dtype[Any]
    module_path: str
    site: tuple[str, int, str]

    def __str__(self) -> str:
        path, line, function = self.site
        where = f" ({self.module_path})" if self.module_path else ""
        return f"{self.kind.__name__} at {basename(path)}:{line} in {function}{where}"


@dataclass(frozen=True)
class Record:
    """The ops that a result depends on, the arrays that no op made, by their numbers, and the result."""

    steps: list[Step]
    constants: dict[int, Array]
    result: int
    shape: Shape  # of the result


class Recorder:
    """The observer: writes a step for every op."""

    def __init__(self, images: Tensor) -> None:
        self.numbers: WeakKeyDictionary[Tensor, int] = WeakKeyDictionary()  # of those that still live
        self.count = 0
        self.constants: dict[int, Array] = {}
        self.steps: list[Step] = []
        self.new_number(images)

    def new_number(self, tensor: Tensor) -> int:
        number = self.numbers[tensor] = self.count
        self.count += 1
        return number

    def number_of(self, tensor: Tensor) -> int:
        """Return a tensor's number; one that is met for the first time was made by no op."""
        if tensor in self.numbers:
            return self.numbers[tensor]
        number = self.new_number(tensor)
        self.constants[number] = tensor.data
        return number

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        self.steps.append(
            Step(
                kind=type(op),
                options=options_of(op),
                inputs=tuple([self.number_of(tensor) for tensor in inputs]),
                input_shapes=tuple([tensor.shape for tensor in inputs]),
                output=self.new_number(y),
                shape=y.shape,
                dtype=y.dtype,
                module_path=per_thread.module_path,
                site=call_site(),
            )
        )

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
        """There is no backward pass."""

    def record_of(self, result: Tensor) -> Record:
        """Return what the result depends on, its tensors numbered anew: others may differ from pass to pass."""
        number = self.number_of(result)
        needed, steps = {number}, []
        for step in reversed(self.steps):
            if step.output in needed:
                needed.update(step.inputs)
                steps.append(step)
        steps.reverse()
        new = {0: 0}
        for step in steps:
            for old in (*step.inputs, step.output):
                new.setdefault(old, len(new))
        new.setdefault(number, len(new))
        renumbered = [
            replace(step, inputs=tuple([new[old] for old in step.inputs]), output=new[step.output]) for step in steps
        ]
        constants = {new[old]: array for old, array in self.constants.items() if old in new}
        return Record(renumbered, constants, new[number], result.shape)


def options_of(op: Op) -> dict[str, Any]:
    """Return what an op was made with: its attributes that are named like the arguments of its __init__."""
    if type(op).__init__ is object.__init__:
        return {}
    names = list(inspect.signature(type(op)).parameters)
    return {name: getattr(op, name) for name in names if hasattr(op, name)}


def record(model: Module, input_shape: tuple[int, ...]) -> Record:
    """Run the model in evaluation on two batches and return the record they share; the model is left as it was.

    ValueError, naming op and line, for what follows the images or their number in a way that no record holds;
    TypeError where the model gives no Tensor.
    """
    was_training = {module: module.training for _, module in model.named_modules()}
    random_states = model.random_states()
    model.eval()
    try:
        first, second = [one_pass(model, input_shape, batch) for batch in BATCHES]
    finally:
        for module, training in was_training.items():
            module.training = training
        model.set_random_states(random_states)
    return shared(first, second)


def one_pass(model: Module, input_shape: tuple[int, ...], batch: int) -> Record:
    """Record the forward pass of a batch of random images."""
    parameters = model.parameters()
    like = parameters[0].data if parameters else np.zeros(0, np.float32)
    numbers = np.random.default_rng(batch).standard_normal((batch, *input_shape)).astype(like.dtype)
    images = Tensor(kernels_for(like).xp.asarray(numbers))
    recorder = Recorder(images)
    with no_grad(), observing(recorder):
        result = model(images)
    if not isinstance(result, Tensor):
        name = type(model).__name__
        raise TypeError(f"save_onnx: {name} must return one Tensor, returned a {type(result).__name__}")
    return recorder.record_of(result)


def shared(first: Record, second: Record) -> Record:
    """Return the record of both passes: sizes that differ become None; ValueError for anything else that differs."""
    for one, other in zip(first.steps, second.steps, strict=False):
        if (one.kind, one.inputs, one.site) != (other.kind, other.inputs, other.site):
            raise ValueError(
                f"save_onnx: the network computes other things for other images: {one} in one pass, {other} in "
                "another; an ONNX file holds one graph, so forward must not decide by the images or their number"
            )
    if len(first.steps) != len(second.steps):
        longer = max(first.steps, second.steps, key=len)
        raise ValueError(
            f"save_onnx: the network computes more for some images than for others, such as "
            f"{longer[min(len(first.steps), len(second.steps))]}; an ONNX file holds one graph"
        )
    steps = [shared_step(one, other) for one, other in zip(first.steps, second.steps, strict=True)]
    for number, array in first.constants.items():
        if not same(array, second.constants[number]):
            user = next((step for step in steps if number in step.inputs), None)
            raise ValueError(f"save_onnx: {user or 'the result'}: {unrecorded('an input', array)}")
    return Record(steps, first.constants, first.result, shared_shape(first.shape, second.shape))


def shared_step(one: Step, other: Step) -> Step:
    """Return the step of both passes."""
    for name, value in one.options.items():
        if one.kind is not Reshape and not same(value, other.options[name]):  # a reshape's new shape is its output's
            raise ValueError(f"save_onnx: {one}: {unrecorded(f'its {name}', value)}")
    return replace(
        one,
        input_shapes=tuple([shared_shape(*pair) for pair in zip(one.input_shapes, other.input_shapes, strict=True)]),
        shape=shared_shape(one.shape, other.shape),
    )


def shared_shape(one: Shape, other: Shape) -> Shape:
    return tuple([size if size == size2 else None for size, size2 in zip(one, other, strict=True)])


def unrecorded(what: str, value: Any) -> str:
    """Say that something was computed outside of ops."""
    shape = f" of shape {value.shape}" if hasattr(value, "shape") else f", {value}," if isinstance(value, int) else ""
    return (
        f"{what}{shape} is another for other images, or for another number of them, and no op made it; compute it "
        "with ops, from tensors: what goes through .data, .numpy(), len or a random generator leaves no record"
    )


def same(one: Any, other: Any) -> bool:
    """Compare two values that may be arrays, or tuples of them."""
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "dtype") and hasattr(other, "dtype"):
        return one is other or np.array_equal(to_device(one, "cpu"), to_device(other, "cpu"), equal_nan=True)
    return bool(type(one) is type(other) and one == other)
