"""The GPU batch norms against their NumPy twins, and what is fused with them."""

import numpy as np
import pytest
from agreement import DTYPES, TOLERANCE, agree, close, normal, seeds
from hypothesis import assume, given
from hypothesis import strategies as st

from minires.kernels import numpy_kernels

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


@given(st.sampled_from([(300, 2), (2, 3, 4, 5), (4, 3, 9, 60)]), st.sampled_from(DTYPES), seeds)
def test_batch_norm_fused_with_what_follows(gpu, cupy_kernels, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    x, grad_y = [normal(rng, *shape, dtype=dtype) for _ in range(2)]
    weight, bias = [normal(rng, shape[1], dtype=dtype) for _ in range(2)]
    y, mean, var = agree(gpu, cupy_kernels, "batch_norm_relu_forward", x, weight, bias, 1e-3, looser=2)
    statistics = weight, mean, var, 1e-3
    # relu may leave a channel a sum that is nearly all cancellation
    agree(gpu, cupy_kernels, "batch_norm_relu_backward", grad_y, y, x, *statistics, looser=20)
    agree(gpu, cupy_kernels, "batch_norm_relu_inference", x, weight, bias, mean, var, 1e-3, looser=2)


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
def test_convolution_fused_with_what_follows(gpu, cupy_kernels, layer, with_shortcut, dtype, seed):
    filters_shape, *window = layer
    rng = np.random.default_rng(seed)
    x, filters = normal(rng, 3, 3, 9, 8, dtype=dtype), normal(rng, *filters_shape, dtype=dtype)
    weight, bias, given_mean = [normal(rng, filters_shape[0], dtype=dtype) for _ in range(3)]
    y_shape = numpy_kernels.conv2d_forward(x, filters, None, *window).shape
    shortcut = normal(rng, *y_shape, dtype=dtype) if with_shortcut else None
    grad_y, residual = normal(rng, *y_shape, dtype=dtype), normal(rng, *x.shape, dtype=dtype)

    name, given = "conv2d_batch_norm_relu", (x, filters, weight, bias)
    y, z, mean, var = agree(gpu, cupy_kernels, f"{name}_forward", *given, shortcut, *window, 1e-3, looser=4)
    agree(gpu, cupy_kernels, f"{name}_inference", *given, given_mean, var, shortcut, *window, 1e-3, looser=4)
    saved = grad_y, y, z, *given, mean, var, *window, 1e-3
    for with_x, added in ((True, None), (True, residual), (False, residual)):
        agree(gpu, cupy_kernels, f"{name}_backward", *saved, with_x, with_shortcut, added, looser=20)


# x, and filters and stride of each layer: identity, option A, and an odd number of zero channels behind a bottleneck.
BLOCKS = [
    ((3, 4, 7, 6), [((4, 4, 3, 3), 1), ((4, 4, 3, 3), 1)]),
    ((3, 4, 9, 7), [((8, 4, 3, 3), 2), ((8, 8, 3, 3), 1)]),
    ((3, 4, 5, 8), [((2, 4, 1, 1), 1), ((2, 2, 3, 3), 2), ((9, 2, 1, 1), 1)]),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("x_shape, chain", BLOCKS, ids=["identity", "option A", "bottleneck"])
def test_residual_blocks(gpu, cupy_kernels, x_shape, chain, dtype):
    rng = np.random.default_rng(0)
    x = normal(rng, *x_shape, dtype=dtype)
    shapes, strides = [shape for shape, _ in chain], tuple([stride for _, stride in chain])
    layers = [tuple([normal(rng, *one, dtype=dtype) for one in (shape, shape[:1], shape[:1])]) for shape in shapes]
    eps = (1e-3,) * len(layers)
    y, saved = agree(gpu, cupy_kernels, "residual_block_forward", x, layers, strides, eps, looser=10)
    grad_y = normal(rng, *y.shape, dtype=dtype)
    for with_x in (True, False):
        agree(gpu, cupy_kernels, "residual_block_backward", grad_y, saved, layers, strides, eps, with_x, looser=50)


def test_launches_of_a_residual_block(gpu, cupy_kernels):
    """Two for each norm each way, whatever it takes along; with option A one for it each way."""
    rng = np.random.default_rng(0)
    x_shape, chain = BLOCKS[1]
    layers = [tuple([gpu.asarray(normal(rng, *one)) for one in (shape, shape[:1], shape[:1])]) for shape, _ in chain]
    launches, options = cupy_kernels.launching.launches, ((2, 1), (1e-3, 1e-3))
    before = launches.copy()
    y, saved = cupy_kernels.residual_block_forward(gpu.asarray(normal(rng, *x_shape)), layers, *options)
    names = "batch_norm_statistics batch_norm_normalize option_a_forward conv2d_forward_16x256".split()
    assert launches - before == dict(zip(names, (2, 2, 1, 2), strict=True))
    before = launches.copy()
    cupy_kernels.residual_block_backward(y, saved, layers, *options, True)
    names = "batch_norm_gradient_sums batch_norm_gradients option_a_backward conv2d_grad_input_16x256".split()
    counted = launches - before
    assert [counted.pop(name) for name in names] == [2, 2, 1, 2]
    assert counted == {"conv2d_grad_weight_16x64": 2}
