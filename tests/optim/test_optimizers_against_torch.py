"""Optimizers and clipping, step by step against PyTorch's."""

import numpy as np
import pytest

from minires import optim
from minires.engine import Tensor

torch = pytest.importorskip("torch")

TOLERANCE = {np.float64: 1e-12, np.float32: 2e-6}
SHAPES = [(3, 2, 3, 3), (5,), (4, 3), ()]
STEPS = 7

METHODS = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd-decay": ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    "sgd-momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd-recipe": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    "sgd-nesterov": ("SGD", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05, "nesterov": True}),
    "adam": ("Adam", {}),
    "adam-options": ("Adam", {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3}),
    "adam-decay": ("Adam", {"lr": 0.02, "weight_decay": 0.1}),
    "adamw": ("AdamW", {"lr": 0.02}),
    "adamw-decay": ("AdamW", {"lr": 0.02, "betas": (0.8, 0.99), "weight_decay": 0.3}),
}


def twins(dtype):
    """The same parameters for both libraries, and a function that gives both the same new random gradients."""
    generator = np.random.default_rng(5)
    ours = [Tensor(np.asarray(generator.normal(size=shape), dtype), requires_grad=True) for shape in SHAPES]
    theirs = [torch.tensor(param.data.copy(), requires_grad=True) for param in ours]

    def new_grads(leave_out=()):
        for i, shape in enumerate(SHAPES):
            grad = np.asarray(generator.normal(size=shape), dtype)
            ours[i].grad = None if i in leave_out else grad
            theirs[i].grad = None if i in leave_out else torch.tensor(grad)

    return ours, theirs, new_grads


def assert_equal(ours, theirs, dtype):
    for param, expected in zip(ours, theirs, strict=True):
        assert param.data.dtype == dtype
        np.testing.assert_allclose(
            param.data, expected.detach().numpy(), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", METHODS)
def test_every_step_is_torchs(method, dtype):
    name, options = METHODS[method]
    ours, theirs, new_grads = twins(dtype)
    optimizer = getattr(optim, name)(ours, **options)
    expected = getattr(torch.optim, name)(theirs, **({"lr": 1e-3} | options))
    arrays = [param.data for param in ours]
    for _ in range(STEPS):
        new_grads()
        optimizer.step()
        expected.step()
        assert_equal(ours, theirs, dtype)
    assert all(param.data is array for param, array in zip(ours, arrays, strict=True))  # written in place


@pytest.mark.parametrize("method", ["sgd-nesterov", "adam-decay"])
def test_parameters_without_a_gradient_are_skipped_with_their_state(method):
    name, options = METHODS[method]
    ours, theirs, new_grads = twins(np.float64)
    optimizer, expected = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for leave_out in [(0, 2), (), (1,), (0, 1, 2, 3), ()]:
        new_grads(leave_out)
        optimizer.step()
        expected.step()
        assert_equal(ours, theirs, np.float64)


@pytest.mark.parametrize("method", ["sgd-recipe", "adam", "adamw"])
def test_groups_have_their_own_options(method):
    name, options = METHODS[method]
    ours, theirs, new_grads = twins(np.float64)

    def groups(params):
        return [{"params": params[:2]}, {"params": params[2:], "lr": 0.3, "weight_decay": 0.0}]

    optimizer = getattr(optim, name)(groups(ours), **options)
    expected = getattr(torch.optim, name)(groups(theirs), **options)
    for _ in range(STEPS):
        new_grads()
        optimizer.step()
        expected.step()
    assert_equal(ours, theirs, np.float64)


@pytest.mark.parametrize("max_norm", [0.5, 1.0, 1000.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_clipping_is_torchs(max_norm, dtype):
    ours, theirs, new_grads = twins(dtype)
    new_grads(leave_out=(1,))
    norm = optim.clip_grad_norm(ours, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert norm == pytest.approx(float(expected), rel=TOLERANCE[dtype])
    assert ours[1].grad is None
    for param, twin in zip(ours, theirs, strict=True):
        if twin.grad is not None:
            assert param.grad.dtype == dtype
            np.testing.assert_allclose(param.grad, twin.grad.numpy(), rtol=TOLERANCE[dtype])
