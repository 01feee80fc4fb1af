"""The checker catches every planted bug, and says what it is; and what a checker that seeds ones would let through."""

import numpy as np
import planted_bugs
import pytest

from minires import engine, kernels, ops
from minires.engine import Op, Tensor
from minires.gradient_check import GradientError, gradcheck
from minires.gradient_check.cases import named_cases
from minires.kernels import numpy_kernels
from minires.ops.activation import Softmax

CASES = {case.name: case for case in named_cases()}


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def plant(monkeypatch, bug):
    if bug.kernel is None:
        monkeypatch.setattr(bug.op, "backward", bug.wrong)
    else:
        assert callable(getattr(numpy_kernels, bug.kernel))
        monkeypatch.setattr(numpy_kernels, bug.kernel, bug.wrong)


@pytest.mark.parametrize("bug", planted_bugs.BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_caught(bug, monkeypatch):
    case = CASES[bug.case]
    plant(monkeypatch, bug)
    with pytest.raises(GradientError, match=bug.says or None) as caught:
        gradcheck(case.fn, *case.arguments.values(), names=list(case.arguments))
    message = str(caught.value)
    assert bug.op.__name__ in message
    assert not caught.value.report.ok or not caught.value.report.arguments
    if caught.value.report.arguments:  # numbers were compared: they are in the message
        wrong = next(argument for argument in caught.value.report.arguments if not argument.ok)
        assert f"with respect to {wrong.name}, shape {wrong.shape}" in message
        assert f"the worst at {wrong.index}: backward gives {wrong.backward:.9g}" in message
        assert f"finite differences give {wrong.numeric:.9g}" in message


def test_every_op_has_a_planted_bug():
    public = {op for op in all_ops() if hasattr(op, "backward")}
    assert public - {bug.op for bug in planted_bugs.BUGS} == set()
    assert len({bug.name for bug in planted_bugs.BUGS}) == len(planted_bugs.BUGS)


def all_ops():
    found = Op.__subclasses__()
    for op in found:
        found.extend(op.__subclasses__())
    return [op for op in found if op.__module__.startswith("minires.ops.")]


def ones_check(fn, x):
    """Gradient check as it is often written: the gradient of the sum of the outputs. Return the largest error."""
    leaf = Tensor(x.copy(), requires_grad=True)
    y = fn(leaf)
    y.backward(np.ones(y.shape))
    largest = 0.0
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = 1e-5
        slope = (fn(Tensor(x + step)).data.sum() - fn(Tensor(x - step)).data.sum()) / 2e-5
        largest = max(largest, abs(slope - leaf.grad[index]))
    return largest


def wrong_batch_norm_backward(grad_y, x, weight, mean, var, eps):
    centred = grad_y - grad_y.mean(axis=(0, 2, 3), keepdims=True)
    return 123 * centred, grad_y.sum(axis=(0, 2, 3)), grad_y.sum(axis=(0, 2, 3))


def test_with_ones_as_output_gradient_a_broken_batch_norm_passes(monkeypatch):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    weight, bias = np.array([0.5, 1.0, 2.0]), np.zeros(3)

    def norm(x):
        return ops.batch_norm(x, Tensor(weight), Tensor(bias))[0]

    monkeypatch.setattr(numpy_kernels, "batch_norm_backward", wrong_batch_norm_backward)
    assert ones_check(norm, x) < 1e-8
    with pytest.raises(GradientError, match="BatchNorm"):
        gradcheck(norm, x)


def test_with_ones_as_output_gradient_a_softmax_without_gradient_passes(monkeypatch):
    x = np.random.default_rng(0).standard_normal((3, 4))
    monkeypatch.setattr(Softmax, "backward", lambda self, grad_y: (np.zeros_like(grad_y),))
    assert ones_check(ops.softmax, x) < 1e-8
    with pytest.raises(GradientError, match="Softmax.*\n.*\n.*it is 0 everywhere"):
        gradcheck(ops.softmax, x)


def overwrite(tensor, grad):
    tensor.grad = grad


def add_in_place(tensor, grad):
    if tensor.grad is None:
        tensor.grad = grad
    else:
        tensor.grad += grad


@pytest.mark.parametrize("accumulate", [overwrite, add_in_place])
def test_an_engine_that_adds_gradients_wrongly_is_caught(accumulate, monkeypatch):
    def fn(a, b):
        return ops.residual_add(ops.residual_add(a, b), a)

    rng = np.random.default_rng(0)
    gradcheck(fn, rng.standard_normal((2, 3)), rng.standard_normal((2, 3)))
    monkeypatch.setattr(engine, "accumulate", accumulate)
    with pytest.raises(GradientError, match="gradients are added up wrongly"):
        gradcheck(fn, rng.standard_normal((2, 3)), rng.standard_normal((2, 3)))
