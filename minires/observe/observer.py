"""Looking on at a pass: `with observing(observer):` the engine tells an observer what this thread's ops do.

An observer has two methods, which `minires.engine.Observer` declares:

after_forward(op, inputs, y)               the op has made the tensor y of the tensors `inputs`
after_backward(tensor, grad_y, grads)      the op that made `tensor` has made of grad_y, which is dL/dtensor, the arrays
                                           `grads`: one per input, None where none is needed; they are not added up yet

It looks and changes nothing. What it raises ends the pass. The protocol stands in the engine, which asks for it by name
and imports nothing from here.
"""

from minires.engine import Observer, Op, Tensor, per_thread
from minires.kernels import Array


class observing:
    """Inside `with observing(observer):` the observer is told; who looked on before is told too, and first."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    def __enter__(self) -> None:
        self.before = per_thread.observer
        per_thread.observer = self.observer if self.before is None else Both(self.before, self.observer)

    def __exit__(self, *error: object) -> None:
        per_thread.observer = self.before


class Both:
    """Two observers as one."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self.first, self.second = first, second

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        self.first.after_forward(op, inputs, y)
        self.second.after_forward(op, inputs, y)

    def after_backward(self, tensor: Tensor, grad_y: Array, grads: tuple[Array | None, ...]) -> None:
        self.first.after_backward(tensor, grad_y, grads)
        self.second.after_backward(tensor, grad_y, grads)
