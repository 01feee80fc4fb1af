"""Test bodies written for the CPU, run on a GPU: a test module is loaded afresh, and what it compares with is replaced.

    globals().update(on_gpu("ops/test_naive_loops.py", kernels=KernelsOnGpu()))

takes over its tests. `place.gpu` is the module that stands for CuPy, set by the fixture that each such file has.
"""

import importlib.util
import types
from pathlib import Path

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.kernels import kernels_for

TESTS = Path(__file__).parents[1]

place = types.SimpleNamespace(gpu=None)


def load(file):
    """Load a test module afresh."""
    spec = importlib.util.spec_from_file_location(f"on_gpu_{Path(file).stem}", TESTS / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_gpu(file, without=(), **replaced):
    """Load a test module with some of its names replaced; return its tests by name, `without` some."""
    module = load(file)
    for name, value in replaced.items():
        assert hasattr(module, name), f"{file} has no {name} to replace"
        setattr(module, name, value)
    tests = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    assert set(without) <= set(tests), f"{file} has no {set(without) - set(tests)} to leave out"
    return {name: test for name, test in tests.items() if name not in without}


def moved(value):
    """Copy NumPy arrays to the GPU, in lists and tuples too; leave the rest."""
    if isinstance(value, np.ndarray):
        return place.gpu.asarray(value)
    return type(value)([moved(one) for one in value]) if type(value) in (list, tuple) else value


def returned(value):
    """Copy arrays of the GPU back."""
    if isinstance(value, place.gpu.ndarray):
        return value.get()
    return type(value)([returned(one) for one in value]) if type(value) in (list, tuple) else value


class KernelsOnGpu:
    """The GPU kernels for NumPy arrays: they go there, and the results come back."""

    def __getattr__(self, name):
        def call(*arguments):
            there = moved(arguments)
            result = returned(getattr(kernels_for(place.gpu.asarray([1.0])), name)(*there))
            for before, after in zip(arguments, there, strict=True):
                copy_back(before, after)
            return result

        return call


def copy_back(before, after):
    """Show in the caller's arrays what a kernel wrote in place."""
    if isinstance(before, list):
        for one, other in zip(before, after, strict=True):
            copy_back(one, other)
    elif isinstance(before, np.ndarray):
        before[...] = after.get()


class OpsOnGpu:
    """The ops, for tensors on the GPU and constants (labels, conditions, statistics) that the test made on the CPU."""

    CONSTANTS = ("where", "cross_entropy", "mse_loss", "batch_norm")

    def __getattr__(self, name):
        if name not in self.CONSTANTS:
            return getattr(ops, name)

        def call(*arguments, **options):
            if any(isinstance(argument, Tensor) and argument.device == "cpu" for argument in arguments):
                return getattr(ops, name)(*arguments, **options)
            there = {option: moved(value) for option, value in options.items()}
            return getattr(ops, name)(*moved(arguments), **there)

        return call


def run(fn, arrays, grad_y, there):
    """Return what fn gives for the arrays, on the GPU or not, and the gradients of its inputs, as NumPy arrays."""
    tensors = [Tensor(moved(array) if there else array, requires_grad=True) for array in arrays]
    y = fn(*tensors)
    y = y[0] if isinstance(y, tuple) else y
    assert (y.device != "cpu") == there
    grad_y = np.asarray(grad_y(y.shape), y.dtype)
    y.backward(moved(grad_y) if there else grad_y)
    assert all(tensor.grad is None or type(tensor.grad) is type(tensor.data) for tensor in tensors)
    grads = [None if tensor.grad is None else (tensor.grad.get() if there else tensor.grad) for tensor in tensors]
    return y.numpy(), grads


def same_as_on_the_cpu(fn, *arrays, seed=0, **_):
    """In place of `gradcheck`: result and gradients, for a random output gradient, are those of the NumPy kernels."""
    arrays = [np.asarray(array, np.float64) for array in arrays]

    def grad_y(shape):
        return np.random.default_rng(seed).standard_normal(shape)

    y, grads = run(fn, arrays, grad_y, there=True)
    expected, expected_grads = run(fn, arrays, grad_y, there=False)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
    for grad, other in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(grad, other, rtol=1e-9, atol=1e-11)


def same_as_torch(ours, theirs, *arrays, seed=0):
    """`compare` of the tests against PyTorch, with our side on the GPU."""
    import torch

    arrays = [np.asarray(array) for array in arrays]
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*leaves)
    grad_y = np.asarray(np.random.default_rng(seed).standard_normal(tuple(expected.shape)))
    y, grads = run(ours, arrays, lambda shape: grad_y, there=True)
    expected.backward(torch.tensor(grad_y))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    for grad, leaf in zip(grads, leaves, strict=True):
        np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-9, atol=1e-11)


class NumpyOnGpu:
    """`np` for a test's body: makes its arrays on the GPU, and brings back what it compares."""

    MAKES = ("array", "asarray", "ones", "zeros", "full", "arange", "ones_like", "zeros_like", "full_like", "empty")

    def __getattr__(self, name):
        if name == "testing":
            return Comparisons()
        return getattr(place.gpu, name) if name in self.MAKES else getattr(np, name)


class Comparisons:
    """`np.testing`, for arrays from anywhere."""

    def __getattr__(self, name):
        def compare(*arguments, **options):
            return getattr(np.testing, name)(*returned(arguments), **options)

        return compare


def tensor_on_gpu(data, requires_grad=False):
    """`Tensor` for a test's body: on the GPU, whatever it is made of."""
    made = Tensor(data.get() if isinstance(data, place.gpu.ndarray) else data, requires_grad)
    return made.to("cuda")
