"""Every GPU kernel against its NumPy twin: odd sizes, both dtypes, threads in both orders, memory in any order."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minires import kernels
from minires.kernels import numpy_kernels

pytestmark = pytest.mark.usefixtures("thread_order")

TOLERANCE = {"float32": 3e-6, "float64": 1e-13}  # of the largest number
DTYPES = list(TOLERANCE)
seeds = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def on_gpu(gpu, value):
    """Move arrays to the GPU, also those in lists and tuples; leave the rest."""
    if isinstance(value, list | tuple):
        return type(value)([on_gpu(gpu, one) for one in value])
    return gpu.asarray(value) if isinstance(value, np.ndarray) else value


def close(got, expected, tolerance):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    size = np.abs(expected).max(initial=0, where=np.isfinite(expected)) or 1
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * size)


def listed(value):
    """List what a kernel returned, out of all tuples and lists."""
    return [one for each in value for one in listed(each)] if isinstance(value, list | tuple) else [value]


def agree(gpu, cupy_kernels, name, *arguments, looser=1):
    """Call both kernels with the same numbers and compare all that they return; return the NumPy kernel's."""
    expected = getattr(numpy_kernels, name)(*arguments)
    got = getattr(cupy_kernels, name)(*[on_gpu(gpu, argument) for argument in arguments])
    first = next(argument for argument in arguments if isinstance(argument, np.ndarray))
    for one, other in zip(listed(got), listed(expected), strict=True):
        if other is None:
            assert one is None
            continue
        assert isinstance(one, gpu.ndarray)
        close(one.get(), np.asarray(other), looser * TOLERANCE[first.dtype.name])
    return expected


def normal(rng, *shape, dtype="float32"):
    return rng.standard_normal(shape).astype(dtype)


@st.composite
def convolutions(draw):
    """Draw x, weight, stride and padding whose window fits."""
    kernel, stride = draw(pairs), draw(pairs)
    padding = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    H, W = [draw(st.integers(max(1, size - 2 * pad), 9)) for size, pad in zip(kernel, padding, strict=True)]
    N, C, F = draw(st.integers(1, 3)), draw(st.integers(1, 19)), draw(st.sampled_from([1, 2, 16, 17, 33, 65]))
    rng = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(DTYPES))
    return rng, normal(rng, N, C, H, W, dtype=dtype), normal(rng, F, C, *kernel, dtype=dtype), stride, padding


@given(convolutions())
def test_convolution(gpu, cupy_kernels, drawn):
    rng, x, weight, stride, padding = drawn
    bias = normal(rng, len(weight), dtype=x.dtype)
    y = agree(gpu, cupy_kernels, "conv2d_forward", x, weight, bias, stride, padding)
    agree(gpu, cupy_kernels, "conv2d_forward", x, weight, None, stride, padding)
    grad_y = normal(rng, *y.shape, dtype=x.dtype)
    agree(gpu, cupy_kernels, "conv2d_grad_input", grad_y, weight, x.shape, stride, padding)
    agree(gpu, cupy_kernels, "conv2d_grad_weight", grad_y, x, weight.shape, stride, padding)


# ResNets' own: the stem, a 3×3, one with stride, option B's 1×1, the 7×7 stem; then one with nothing square.
LAYERS = [
    ((2, 3, 13, 11), (16, 3, 3, 3), (1, 1), (1, 1)),
    ((3, 16, 10, 9), (16, 16, 3, 3), (1, 1), (1, 1)),
    ((2, 32, 9, 9), (64, 32, 3, 3), (2, 2), (1, 1)),
    ((2, 64, 7, 5), (128, 64, 1, 1), (2, 2), (0, 0)),
    ((1, 3, 21, 18), (64, 3, 7, 7), (2, 2), (3, 3)),
    ((2, 5, 12, 17), (7, 5, 2, 4), (3, 2), (0, 5)),
]


@pytest.mark.parametrize("x_shape, weight_shape, stride, padding", LAYERS, ids=lambda value: str(value))
@pytest.mark.parametrize("tf32", [False, True], ids=["plain", "tf32"])
def test_layers_of_residual_networks(gpu, cupy_kernels, x_shape, weight_shape, stride, padding, tf32):
    rng = np.random.default_rng(0)
    x, weight = normal(rng, *x_shape), normal(rng, *weight_shape)
    looser = 300 if tf32 else 1
    kernels.use_tf32(tf32)
    try:
        y = agree(gpu, cupy_kernels, "conv2d_forward", x, weight, None, stride, padding, looser=looser)
        grad_y = normal(rng, *y.shape)
        sizes = stride, padding
        agree(gpu, cupy_kernels, "conv2d_grad_input", grad_y, weight, x_shape, *sizes, looser=looser)
        agree(gpu, cupy_kernels, "conv2d_grad_weight", grad_y, x, weight_shape, *sizes, looser=looser)
    finally:
        kernels.use_tf32(False)


def test_tf32_rounds_what_it_multiplies_and_nothing_else(gpu, cupy_kernels):
    """1 + 2⁻¹² is 1 in TF32; sums stay in float32; other dtypes do not change."""
    one = np.full((1, 1, 1, 1), 1 + 2**-12, np.float32)
    many, ones = np.full((1, 8, 3, 3), 1 + 2**-10, np.float32), np.ones((1, 8, 3, 3), np.float32)
    plain = cupy_kernels.conv2d_forward(gpu.asarray(one), gpu.asarray(one), None, (1, 1), (0, 0)).item()
    kernels.use_tf32(True)
    try:
        rounded = cupy_kernels.conv2d_forward(gpu.asarray(one), gpu.asarray(one), None, (1, 1), (0, 0)).item()
        summed = cupy_kernels.conv2d_forward(gpu.asarray(many), gpu.asarray(ones), None, (1, 1), (0, 0)).item()
        double = gpu.asarray(one.astype(np.float64))
        unrounded = cupy_kernels.conv2d_forward(double, double, None, (1, 1), (0, 0)).item()
    finally:
        kernels.use_tf32(False)
    assert plain == pytest.approx((1 + 2**-12) ** 2, rel=1e-7) and rounded == 1
    assert summed == 72 * (1 + 2**-10)
    assert unrounded == (1 + 2**-12) ** 2


def test_the_weight_gradient_in_many_parts(gpu, cupy_kernels):
    rng = np.random.default_rng(0)
    x, grad_y = normal(rng, 7, 2, 17, 19, dtype="float64"), normal(rng, 7, 3, 17, 19, dtype="float64")
    agree(gpu, cupy_kernels, "conv2d_grad_weight", grad_y, x, (3, 2, 3, 3), (1, 1), (1, 1))


def test_tiles_fit_the_rows_and_fill_the_gpu(cupy_kernels):
    convolution = cupy_kernels.convolution
    assert convolution.tile(16, 10**6) == (16, 256) and convolution.tile(32, 10**6) == (32, 128)
    assert convolution.tile(64, 128 * 512) == (64, 128) and convolution.tile(64, 128 * 511) == (64, 64)
    assert convolution.tile(2048, 128 * 16) == (64, 128)


@given(convolutions())
def test_columns(gpu, cupy_kernels, drawn):
    _, x, weight, stride, padding = drawn
    window = weight.shape[2:], stride, padding
    cols = agree(gpu, cupy_kernels, "im2col", x, *window)
    agree(gpu, cupy_kernels, "col2im", cols, x.shape, *window)


@st.composite
def pools(draw):
    kernel, stride = draw(pairs), draw(pairs)
    padding = draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2))
    shape = [draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(3, 12)), draw(st.integers(3, 12))]
    rng = np.random.default_rng(draw(seeds))
    x = rng.integers(-2, 3, shape).astype(draw(st.sampled_from(DTYPES)))  # with many ties
    return rng, x, (kernel, stride, padding)


@given(pools())
def test_pooling(gpu, cupy_kernels, drawn):
    rng, x, window = drawn
    y, winners = agree(gpu, cupy_kernels, "max_pool2d_forward", x, *window)
    grad_y = normal(rng, *y.shape, dtype=x.dtype)
    agree(gpu, cupy_kernels, "max_pool2d_backward", grad_y, winners, x.shape, *window)
    agree(gpu, cupy_kernels, "avg_pool2d_forward", x, *window)
    agree(gpu, cupy_kernels, "avg_pool2d_backward", grad_y, x.shape, *window)


def test_nan_and_inf_survive(gpu, cupy_kernels):
    x = np.array([[[[1, np.nan, 2], [np.inf, -np.inf, 0], [-1, -2, -np.inf]]]], np.float32)
    agree(gpu, cupy_kernels, "max_pool2d_forward", x, (2, 2), (1, 1), (0, 0))
    agree(gpu, cupy_kernels, "max_pool2d_forward", x, (3, 3), (1, 1), (1, 1))
    agree(gpu, cupy_kernels, "relu_forward", x)
    y = cupy_kernels.conv2d_forward(gpu.asarray(x), gpu.asarray(np.ones_like(x)), None, (1, 1), (1, 1)).get()
    assert np.isnan(y[0, 0, 1, 1])


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
    agree(gpu, cupy_kernels, "batch_norm_inference_backward", grad_y, x, weight, given, var, 1e-3, looser=3)


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


@given(st.sampled_from([(1,), (5, 7), (3, 300), (2, 3, 4, 5), (0, 3)]), st.sampled_from(DTYPES), seeds)
def test_relu(gpu, cupy_kernels, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    y = agree(gpu, cupy_kernels, "relu_forward", rng.integers(-2, 3, shape).astype(dtype))
    agree(gpu, cupy_kernels, "relu_backward", normal(rng, *shape, dtype=dtype), y)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3),
       seeds)  # fmt: skip
def test_option_a(gpu, cupy_kernels, N, C, more, H, W, stride, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, N, C, H, W)
    y = agree(gpu, cupy_kernels, "option_a_forward", x, C + more, stride)
    grad_y, grad_x = normal(rng, *y.shape), normal(rng, *x.shape)
    agree(gpu, cupy_kernels, "option_a_backward", grad_y, x.shape, stride)
    added = gpu.asarray(grad_x)
    cupy_kernels.add_option_a_backward(added, gpu.asarray(grad_y), stride)
    numpy_kernels.add_option_a_backward(grad_x, grad_y, stride)
    close(added.get(), grad_x, 0)


@given(st.integers(1, 9), st.sampled_from([1, 2, 10, 255, 256, 257, 1000]), st.sampled_from([0.0, 0.1, 1.0]),
       st.sampled_from(["uint8", "int32", "int64"]), st.sampled_from(DTYPES), seeds)  # fmt: skip
def test_cross_entropy(gpu, cupy_kernels, N, classes, smoothing, label_dtype, dtype, seed):
    rng = np.random.default_rng(seed)
    logits = (10 * normal(rng, N, classes)).astype(dtype)
    labels = rng.integers(0, min(classes, 256), N).astype(label_dtype)
    ignored = int(labels[0]) if N > 1 and (labels != labels[0]).any() else -100
    _, p = agree(gpu, cupy_kernels, "cross_entropy_forward", logits, labels, smoothing, ignored)
    grad_loss = np.asarray(normal(rng)[()], dtype)
    agree(gpu, cupy_kernels, "cross_entropy_backward", grad_loss, p, labels, smoothing, ignored)


def test_cross_entropy_of_large_logits_and_of_labels_that_are_no_class(gpu, cupy_kernels):
    logits = np.array([[1e4, -1e4, 0], [80, 81, 82]], np.float32)
    agree(gpu, cupy_kernels, "cross_entropy_forward", logits, np.array([1, 2]), 0.0, -100)
    for label in (3, -1):
        loss, _ = cupy_kernels.cross_entropy_forward(gpu.asarray(logits), gpu.asarray([label, 0]), 0.0, -100)
        assert math.isnan(loss.item())


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


def test_memory_in_any_order(gpu, cupy_kernels):
    rng = np.random.default_rng(0)
    x, weight = normal(rng, 2, 3, 6, 5), normal(rng, 4, 3, 3, 3)
    turned = gpu.asarray(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    flipped = gpu.asarray(np.ascontiguousarray(weight[::-1]))[::-1]
    y = cupy_kernels.conv2d_forward(turned, flipped, None, (1, 1), (1, 1)).get()
    close(y, numpy_kernels.conv2d_forward(x, weight, None, (1, 1), (1, 1)), 3e-6)
    close(cupy_kernels.relu_forward(turned).get(), np.maximum(x, 0), 0)
    spread = gpu.broadcast_to(gpu.asarray(np.float32(2)), y.shape)
    expected = numpy_kernels.conv2d_grad_input(np.full_like(y, 2), weight, x.shape, (1, 1), (1, 1))
    close(cupy_kernels.conv2d_grad_input(spread, flipped, x.shape, (1, 1), (1, 1)).get(), expected, 3e-6)


def test_empty_batches(gpu, cupy_kernels):
    none, weight = np.zeros((0, 3, 5, 5), np.float32), np.ones((4, 3, 3, 3), np.float32)
    y = agree(gpu, cupy_kernels, "conv2d_forward", none, weight, None, (1, 1), (1, 1))
    agree(gpu, cupy_kernels, "conv2d_grad_input", y, weight, none.shape, (1, 1), (1, 1))
    agree(gpu, cupy_kernels, "conv2d_grad_weight", y, none, weight.shape, (1, 1), (1, 1))
    agree(gpu, cupy_kernels, "max_pool2d_forward", none, (2, 2), (2, 2), (0, 0))


def test_other_dtypes_are_refused(gpu, cupy_kernels):
    half = gpu.asarray(np.ones((1, 1, 2, 2), np.float16))
    with pytest.raises(TypeError, match="the GPU kernels compute in float32 and float64, not in float16; convert"):
        cupy_kernels.relu_forward(half)


def public_functions(module):
    return {name: function for name, function in inspect.getmembers(module, inspect.isfunction)
            if function.__module__.startswith("minires.kernels")}  # fmt: skip


# Of the NumPy kernels: how they work, not what ops call.
HELPERS = "channel_axes crop_images image_groups output_size pad_images padded_zeros smoothed_one_hot tap".split()


def test_the_same_names_and_signatures_as_the_numpy_kernels(cupy_kernels):
    theirs = {name: one for name, one in public_functions(numpy_kernels).items() if name not in HELPERS}
    ours = public_functions(cupy_kernels)
    assert set(ours) == set(theirs) == set(cupy_kernels.__all__) - {"xp"}
    for name, function in theirs.items():
        assert inspect.signature(ours[name]) == inspect.signature(function), name
