"""check_model: a network's parameters one by one, on a copy, with the guilty op named."""

import re

import numpy as np
import pytest

from minires import kernels, models, nn, ops
from minires.engine import Tensor, no_grad
from minires.gradient_check import GradientError, check_model
from minires.kernels import numpy_kernels

rng = np.random.default_rng(0)
images = rng.standard_normal((3, 2, 6, 5)).astype(np.float32)
labels = np.array([0, 2, 1])


@pytest.fixture(autouse=True)
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def small_model():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1, seed=0),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2, seed=1),
        nn.Linear(27, 4, seed=2),
    )


@pytest.mark.parametrize("training", [True, False])
def test_every_parameter_is_checked_and_the_model_untouched(training):
    model = small_model().train(training)
    before = model.state_dict()
    drawn = model[4].generator.bit_generator.state
    report = check_model(model, images, labels)
    assert [argument.name for argument in report.arguments] == [name for name, _ in model.named_parameters()]
    assert all(argument.checked == 4 for argument in report.arguments)
    vanishes = {"0.bias"} if training else set()  # the norm behind it takes it away again
    assert {argument.name for argument in report.arguments if argument.verdict == "undecided"} == vanishes
    assert all(argument.ok or argument.name in vanishes for argument in report.arguments)
    for name, array in model.state_dict().items():
        assert array.dtype == np.float32 and np.array_equal(array, before[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model[4].generator.bit_generator.state == drawn


def test_a_residual_network():
    model = models.cifar_resnet(8, seed=0)
    report = check_model(model, rng.standard_normal((2, 3, 8, 6)), np.array([1, 3]), directions=1, elements=1)
    assert report.ok and report.relative_error < 1e-5
    assert len(report.arguments) == len(model.parameters())


def test_the_wrong_parameters_and_the_guilty_layer_are_named(monkeypatch):
    right = numpy_kernels.batch_norm_backward

    def mean_term_dropped(grad_y, x, weight, mean, var, eps):
        grad_x, grad_weight, grad_bias = right(grad_y, x, weight, mean, var, eps)
        scale = weight / np.sqrt(var + eps)
        return grad_x + (scale * grad_y.mean(axis=(0, 2, 3))).reshape(1, -1, 1, 1), grad_weight, grad_bias

    monkeypatch.setattr(numpy_kernels, "batch_norm_backward", mean_term_dropped)
    with pytest.raises(
        GradientError, match="check_model: the gradient of Sequential with 6 parameters is wrong"
    ) as caught:
        check_model(small_model(), images, labels)
    message = str(caught.value)
    assert "with respect to 0.weight, shape (3, 2, 3, 3)" in message
    assert "right with respect to: 1.weight, 1.bias, 5.weight, 5.bias" in message
    assert re.search(r"the culprit is the backward of BatchNorm at .* \(1\): with respect to input 0", message)
    assert [argument.name for argument in caught.value.report.arguments if not argument.ok] == ["0.weight", "0.bias"]


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_deep_plain_network_gets_an_answer(norm):
    model = models.cifar_resnet(44, skip=False, norm=norm, seed=0)
    report = check_model(model, rng.standard_normal((2, 3, 8, 8)), np.array([1, 3]), directions=1, elements=1)
    assert not report.wrong
    assert all(argument.ok for argument in report.arguments)
    below = [argument for argument in report.arguments if argument.op_by_op]
    assert (f"{len(below)} of {len(report.arguments)} parameters" in report.note) if below else report.note == ""


def test_a_wrong_op_is_found_where_no_difference_is_free_of_kinks(monkeypatch):
    """As at the bottom of a deep plain network: what is behind the first layer is folded 45 times."""
    right = ops.activation.Tanh.backward

    class Folded(nn.Module):
        def __init__(self):
            self.first, self.last = nn.Linear(6, 40, seed=0), nn.Linear(40, 3, seed=1)

        def forward(self, x):
            y = ops.tanh(self.first(x))
            for _ in range(45):
                y = 1 - ops.abs(1.9 * y)
            return self.last(y)

    batch, target = rng.standard_normal((4, 6)), np.array([0, 1, 2, 0])
    report = check_model(Folded(), batch, target)
    assert not report.wrong and any(argument.op_by_op for argument in report.arguments)
    monkeypatch.setattr(ops.activation.Tanh, "backward", lambda self, grad_y: (0.9 * right(self, grad_y)[0],))
    with pytest.raises(GradientError, match="culprit is the backward of Tanh"):
        check_model(Folded(), batch, target)


@pytest.mark.parametrize("factor", [0.0, 0.5, -1.0, 2.0])
@pytest.mark.parametrize("size", [1e-9, 1e-15])
def test_a_small_gradient_cannot_hide(factor, size, monkeypatch):
    class Small(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2, bias=False, seed=0)

        def forward(self, x):
            return ops.multiply(self.layer(x), size)

    def half_mean(y, _):
        return ops.mean(y)

    check_model(Small(), rng.standard_normal((4, 3)), None, loss=half_mean)
    right = ops.affine.Linear.backward

    def wrong(self, grad_y):
        return tuple([None if grad is None else factor * grad for grad in right(self, grad_y)])

    monkeypatch.setattr(ops.affine.Linear, "backward", wrong)
    with pytest.raises(GradientError, match="layer.weight"):
        check_model(Small(), rng.standard_normal((4, 3)), None, loss=half_mean)


def test_what_is_lost_in_rounding_is_undecided():
    class Lost(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2, bias=False, seed=0)

        def forward(self, x):
            return ops.add(ops.multiply(self.layer(x), 1e-14), 1.0)

    report = check_model(Lost(), rng.standard_normal((4, 3)), None, loss=lambda y, _: ops.mean(y))
    assert not report.ok and not report.wrong
    assert "undecided: all of it is below" in str(report)


def test_a_parameter_that_is_left_out_of_the_graph_is_caught():
    class Detached(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(4, 3, seed=0), nn.Linear(3, 3, seed=1)

        def forward(self, x):
            return self.second(self.first(x).detach())

    with pytest.raises(GradientError, match="first.weight.*\n.*first.bias.*\n.*right with respect to: second.weight"):
        check_model(Detached(), rng.standard_normal((2, 4)), np.array([0, 2]))


def test_another_loss_and_a_tensor_batch():
    report = check_model(
        nn.Linear(4, 3, seed=0), Tensor(rng.standard_normal((2, 4))), np.zeros((2, 3)), loss=ops.mse_loss
    )
    assert report.ok


def test_no_grad_is_refused():
    with no_grad(), pytest.raises(RuntimeError, match="check_model: called inside no_grad"):
        check_model(small_model(), images, labels)


def test_a_loss_that_is_not_finite_is_refused():
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="the loss is not finite"):
        check_model(small_model(), np.full_like(images, np.inf), labels)


def test_a_model_on_a_kink_is_refused():
    model = nn.Sequential(nn.Linear(4, 3, seed=0), nn.ReLU(), nn.Linear(3, 3, seed=1))
    for parameter in model[0].parameters():
        parameter.data[...] = 0
    with pytest.raises(ValueError, match="all that was tried for 0.weight runs into kinks"):
        check_model(model, rng.standard_normal((2, 4)), np.array([0, 2]))
