"""The GPU optimizers against their NumPy twins."""

import numpy as np
import pytest
from agreement import close, normal, on_gpu

from minires.kernels import numpy_kernels

pytestmark = pytest.mark.usefixtures("thread_order")


SIZES = [(1,), (), (4096,), (4097,), (3, 5, 7), (0,), (64, 64, 3, 3), (10,)]


def optimizer_arrays(rng, lists, dtypes=("float32",)):
    """For each list, arrays of SIZES; gradients of any memory order, squares not negative."""
    chosen = [(shape, dtypes[place % len(dtypes)]) for place, shape in enumerate(SIZES)]
    return [[np.asarray(np.abs(normal(rng, *shape)), dtype) for shape, dtype in chosen] for _ in range(lists)]


def updated_alike(gpu, cupy_kernels, name, lists, numbers):
    on_device = [on_gpu(gpu, arrays) for arrays in lists]
    getattr(cupy_kernels, name)(*on_device, *numbers)
    getattr(numpy_kernels, name)(*lists, *numbers)
    for got, expected in zip(on_device, lists, strict=True):
        for one, other in zip(got, expected, strict=True):
            close(one.get(), other, 1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum, decay", [(0.9, 1e-2), (0.9, 0.0), (0.0, 1e-2)])
def test_sgd(gpu, cupy_kernels, momentum, decay, nesterov):
    lists = optimizer_arrays(np.random.default_rng(0), 3)
    updated_alike(gpu, cupy_kernels, "sgd_step", lists, (0.1, momentum, decay, nesterov))


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("step, decay", [(1, 0.0), (7, 1e-2)])
def test_adam(gpu, cupy_kernels, step, decay, decoupled):
    lists = optimizer_arrays(np.random.default_rng(0), 4, ("float32", "float64"))
    updated_alike(gpu, cupy_kernels, "adam_step", lists, (step, 1e-2, 0.9, 0.999, 1e-8, decay, decoupled))


def test_optimizers_take_gradients_in_any_order_and_refuse_parameters_that_are_not_contiguous(gpu, cupy_kernels):
    w, grad, v = (
        np.ones((3, 4), np.float32),
        np.arange(12, dtype=np.float32).reshape(4, 3),
        np.zeros((3, 4), np.float32),
    )
    on_device = [gpu.asarray(w)], [gpu.asarray(grad).T], [gpu.asarray(v)]
    cupy_kernels.sgd_step(*on_device, 0.1, 0.9, 0.0, False)
    np.testing.assert_allclose(on_device[0][0].get(), 1 - np.float32(0.1) * grad.T, rtol=1e-6)
    transposed = gpu.asarray(grad).T
    with pytest.raises(ValueError, match=r"sgd_step: parameters and state must be contiguous, got \(3, 4\)"):
        cupy_kernels.sgd_step([transposed], *on_device[1:], 0.1, 0.9, 0.0, False)
