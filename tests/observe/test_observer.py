"""observing: who is told of what, and for how long."""

import threading

import numpy as np
import pytest

from minires import Tensor, debug, nn, no_grad, ops
from minires.engine import per_thread
from minires.observe import observing


class Diary:
    """Writes down what it is told, into a list that several may share."""

    def __init__(self, name="", lines=None):
        self.name, self.lines = name, [] if lines is None else lines

    def after_forward(self, op, inputs, y):
        self.lines.append((self.name, "forward", type(op).__name__, [tensor.shape for tensor in inputs], y.shape))

    def after_backward(self, tensor, grad_y, grads):
        shapes = [None if grad is None else grad.shape for grad in grads]
        self.lines.append((self.name, "backward", type(tensor.op).__name__, grad_y.shape, shapes))


def forward_and_backward():
    weight = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    y = ops.linear(Tensor(np.ones((4, 3), np.float32)), weight)
    y.sum().backward()


def test_an_observer_is_told_of_both_passes_in_order():
    diary = Diary()
    with observing(diary):
        forward_and_backward()
    assert [line[1:3] for line in diary.lines] == [
        ("forward", "Linear"), ("forward", "Sum"), ("backward", "Sum"), ("backward", "Linear"),
    ]  # fmt: skip
    assert diary.lines[0][3:] == ([(4, 3), (2, 3)], (4, 2))
    assert diary.lines[3][3] == (4, 2) and diary.lines[3][4][1] == (2, 3)
    forward_and_backward()
    assert len(diary.lines) == 4 and per_thread.observer is None


def test_it_is_told_before_gradients_are_added_up():
    x = Tensor(np.ones(2), requires_grad=True)
    seen = []

    class Look(Diary):
        def after_backward(self, tensor, grad_y, grads):
            seen.append((tensor.grad is grad_y, x.grad))

    y = ops.exp(x)
    with observing(Look()):
        y.backward(np.ones(2))
    assert seen == [(True, None)] and x.grad is not None


def test_the_stepper_tells_it_as_backward_does():
    told, stepped = Diary(), Diary()
    with observing(told):
        forward_and_backward()
    weight = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    loss = ops.linear(Tensor(np.ones((4, 3), np.float32)), weight).sum()
    with observing(stepped):
        debug.backward_steps(loss).run_to_end()
    assert stepped.lines == told.lines[2:]


def test_observers_nest_and_the_outer_one_is_told_first():
    lines = []
    with observing(Diary("a", lines)):
        with observing(Diary("b", lines)), observing(Diary("c", lines)), no_grad():
            ops.exp(Tensor([1.0]))
        ops.exp(Tensor([1.0]))
    assert [name for name, *_ in lines] == ["a", "b", "c", "a"]


def test_after_an_error_nobody_looks_on():
    with pytest.raises(ValueError, match="linear"), observing(Diary()):
        nn.Linear(2, 2)(Tensor(np.ones((1, 3), np.float32)))
    assert per_thread.observer is None


def test_other_threads_are_not_observed():
    diary = Diary()
    with observing(diary):
        other = threading.Thread(target=forward_and_backward)
        other.start()
        other.join()
    assert diary.lines == []
