"""The GPU batch norms against their NumPy twins, and what is fused with them."""

import numpy as np
import pytest
from agreement import DTYPES, TOLERANCE, agree, close, normal, on_gpu, seeds
from hypothesis import assume, given
from hypothesis import strategies as st

from minires.kernels import numpy_kernels
from minires.kernels.chain import Layer, Skip

pytestmark = pytest.mark.usefixtures("thread_order")


@given(st.sampled_from([(3, 2), (300, 2), (2, 3, 4, 5), (5, 2, 1, 1), (4, 3, 9, 60), (2, 1, 16, 16), (1, 2, 2, 1)]),
       st.sampled_from(DTYPES), seeds)  # fmt: skip
def test_batch_norm(gpu, cupy_kernels, shape, dtype, seed):
    assume(shape != (1, 2, 2, 1) or dtype == "float64")  # the gradient of two numbers is nearly all cancellation
    rng = np.random.default_rng(seed)
    x, grad_y = normal(rng, *shape, dtype=dtype), normal(rng, *shape, dtype=dtype)
    weight, bias, given = [normal(rng, shape[1], dtype=dtype) for _ in range(3)]
    _, mean, var = agree(gpu, cupy_kernels, "batch_norm_forward", x, weight, bias, 1e-3, looser=2)
    agree(gpu, cupy_kernels, "batch_norm_backward", grad_y, x, weight, mean, var, 1e-3, looser=7)
    agree(gpu, cupy_kernels, "batch_norm_inference", x, weight, bias, given, var, 1e-3)
    agree(gpu, cupy_kernels, "batch_norm_inference_backward", grad_y, x, weight, given, var, 1e-3, looser=7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("C", [1, 300])
def test_running_statistics(gpu, cupy_kernels, C, dtype):
    running = [normal(np.random.default_rng(0), C, dtype=dtype) for _ in range(2)]
    batch = [normal(np.random.default_rng(1), C, dtype=dtype) for _ in range(2)]
    on_device = [gpu.asarray(array) for array in running]
    cupy_kernels.batch_norm_track(*on_device, *[gpu.asarray(array) for array in batch], 5, 0.1)
    numpy_kernels.batch_norm_track(*running, *batch, 5, 0.1)
    for got, expected in zip(on_device, running, strict=True):
        close(got.get(), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("shape", [(128, 3, 9, 8), (2, 2, 70, 50)], ids=str)
def test_batch_norm_in_several_parts_far_from_zero(gpu, cupy_kernels, shape):
    """Σx² − (Σx)²/M would lose every digit of this variance in float32."""
    rng = np.random.default_rng(0)
    x = 1000 + normal(rng, *shape)
    one, zero = np.ones(shape[1], np.float32), np.zeros(shape[1], np.float32)
    _, mean, var = cupy_kernels.batch_norm_forward(gpu.asarray(x), gpu.asarray(one), gpu.asarray(zero), 1e-5)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean.get(), exact.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(var.get(), exact.var(axis=(0, 2, 3)), rtol=1e-4)


# Filters, stride and padding: a 3×3, one with stride, option B's 1×1, one with nothing square.
FUSED = [((5, 3, 3, 3), (1, 1), (1, 1)), ((17, 3, 3, 3), (2, 2), (1, 1)), ((4, 3, 1, 1), (2, 2), (0, 0)),
         ((2, 3, 2, 4), (3, 2), (0, 5))]  # fmt: skip


@given(st.sampled_from(FUSED), st.booleans(), st.sampled_from(DTYPES), seeds)
def test_a_layer_of_a_chain(gpu, cupy_kernels, one, with_shortcut, dtype, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, 3, 3, 9, 8, dtype=dtype)
    layer = layer_of(rng, *one, dtype=dtype)
    y_shape = numpy_kernels.conv2d_forward(x, layer.filters, None, *one[1:]).shape
    shortcut = normal(rng, *y_shape, dtype=dtype) if with_shortcut else Skip.NOTHING
    grad_y = normal(rng, *y_shape, dtype=dtype)
    _, saved = agree(gpu, cupy_kernels, "chain_forward", x, [layer], shortcut, looser=4)
    agree(gpu, cupy_kernels, "chain_forward", x, [layer._replace(weight=None)], shortcut, looser=4)
    for with_x in (True, False):
        agree(gpu, cupy_kernels, "chain_backward", grad_y, saved, [layer], shortcut, with_x, looser=20)


def layer_of(rng, shape, stride, padding, dtype=np.float32):
    filters, weight, bias = [normal(rng, *one, dtype=dtype) for one in (shape, shape[:1], shape[:1])]
    return Layer(filters, weight, bias, stride, padding, 1e-3)


# x, and filters, stride and padding of each layer: an odd number of zero channels behind a bottleneck.
BLOCKS = {
    "identity": ((3, 4, 7, 6), [((4, 4, 3, 3), (1, 1), (1, 1)), ((4, 4, 3, 3), (1, 1), (1, 1))], Skip.IDENTITY),
    "option A": ((3, 4, 9, 7), [((8, 4, 3, 3), (2, 2), (1, 1)), ((8, 8, 3, 3), (1, 1), (1, 1))], Skip.OPTION_A),
    "bottleneck": (
        (3, 4, 5, 8),
        [((2, 4, 1, 1), (1, 1), (0, 0)), ((2, 2, 3, 3), (2, 2), (1, 1)), ((9, 2, 1, 1), (1, 1), (0, 0))],
        Skip.OPTION_A,
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BLOCKS)
def test_chains(gpu, cupy_kernels, name, dtype):
    x_shape, chain, skip = BLOCKS[name]
    rng = np.random.default_rng(0)
    x, layers = normal(rng, *x_shape, dtype=dtype), [layer_of(rng, *one, dtype=dtype) for one in chain]
    y, saved = agree(gpu, cupy_kernels, "chain_forward", x, layers, skip, looser=10)
    grad_y = normal(rng, *y.shape, dtype=dtype)
    for with_x in (True, False):
        agree(gpu, cupy_kernels, "chain_backward", grad_y, saved, layers, skip, with_x, looser=50)


def test_launches_of_a_chain(gpu, cupy_kernels):
    """Two for each norm each way, whatever it takes along; with option A one for it each way."""
    rng = np.random.default_rng(0)
    x_shape, chain, skip = BLOCKS["option A"]
    layers = on_gpu(gpu, [layer_of(rng, *one) for one in chain])
    launches = cupy_kernels.launching.launches
    before = launches.copy()
    y, saved = cupy_kernels.chain_forward(gpu.asarray(normal(rng, *x_shape)), layers, skip)
    names = "batch_norm_statistics batch_norm_normalize option_a_forward conv2d_forward_16x256".split()
    assert launches - before == dict(zip(names, (2, 2, 1, 2), strict=True))
    before = launches.copy()
    cupy_kernels.chain_backward(y, saved, layers, skip, True)
    names = "batch_norm_gradient_sums batch_norm_gradients option_a_backward conv2d_grad_input_16x256".split()
    counted = launches - before
    assert [counted.pop(name) for name in names] == [2, 2, 1, 2]
    assert counted == {"conv2d_grad_weight_16x64": 2}
