"""Every Numba kernel but convolution against its NumPy twin: shapes, memory orders, dtypes, NaN, all options."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires.kernels import numpy_kernels

pytest.importorskip("numba")
from minires.kernels import numba_kernels  # noqa: E402
from minires.kernels.numba_kernels.machine import compilation  # noqa: E402

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
dtypes = st.sampled_from(["float32", "float64"])
orders = st.sampled_from(["C", "channels-last", "F", "strided", "read-only"])
seeds = st.integers(0, 2**32 - 1)


def in_order(x, order):
    """The same numbers in another memory order."""
    if order == "channels-last" and x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if order == "F":
        return np.asfortranarray(x)
    if order == "strided":
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if order == "read-only":
        x = x.copy()
        x.flags.writeable = False
    return x


@st.composite
def images(draw, smallest=1):
    """A shape, a dtype, a memory order and a generator of numbers."""
    N, C, H, W = draw(st.tuples(*[st.integers(smallest, most) for most in (4, 20, 9, 7)]))
    return (N, C, H, W), draw(dtypes), draw(orders), np.random.default_rng(draw(seeds))


def agree(found, expected, dtype, factor=1.0, scale=1e-3):
    """scale: of what the numbers are made of, where they are smaller themselves."""
    assert found.shape == expected.shape and found.dtype == expected.dtype == np.dtype(dtype)
    scale = max(float(np.abs(expected).max(initial=0)), scale)
    np.testing.assert_allclose(found, expected, rtol=0, atol=factor * TOLERANCE[dtype] * scale)


def test_names_and_signatures_are_those_of_the_numpy_kernels():
    def public(module):
        functions = inspect.getmembers(module, inspect.isfunction)
        return {name: inspect.signature(function) for name, function in functions}

    ours, theirs = public(numba_kernels), public(numpy_kernels)
    helpers = {"output_size", "tap", "pad_images", "crop_images", "padded_zeros", "image_groups", "channel_axes"}
    helpers |= {"smoothed_one_hot", "first_tap", "lowest", "select"}
    assert set(theirs) - set(ours) == helpers
    for name in set(theirs) - helpers:
        assert list(ours[name].parameters) == list(theirs[name].parameters), name
    assert numba_kernels.xp is np


@given(images())
def test_batch_norm(image):
    shape, dtype, order, rng = image
    if shape[0] * shape[2] * shape[3] < 2:
        shape = (2, *shape[1:])
    shape = shape if rng.random() < 0.8 else (shape[0] + 1, shape[1])
    C = shape[1]
    x = in_order((3 + 2 * rng.standard_normal(shape)).astype(dtype), order)
    weight, bias = rng.uniform(0.5, 2, C).astype(dtype), rng.standard_normal(C).astype(dtype)
    grad_y = in_order(rng.standard_normal(shape).astype(dtype), order)

    wide = [array.astype("float64") for array in (x, weight, bias)]
    reference = numpy_kernels.batch_norm_forward(*wide, 1e-3)
    y, mean, var = numba_kernels.batch_norm_forward(x, weight, bias, 1e-3)
    for found, expected in zip((y, mean, var), reference, strict=True):
        agree(found, expected.astype(dtype), dtype, 10)

    wide = [array.astype("float64") for array in (grad_y, x, weight, mean, var)]
    reference = numpy_kernels.batch_norm_backward(*wide, 1e-3)
    grads = numba_kernels.batch_norm_backward(grad_y, x, weight, mean, var, 1e-3)
    scale = 1 + max(float(np.abs(expected).max()) for expected in reference)
    for found, expected in zip(grads, reference, strict=True):
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_allclose(found, expected, rtol=0, atol=30 * TOLERANCE[dtype] * scale)

    arguments = x, weight, bias, mean, var, 1e-3
    found, expected = numba_kernels.batch_norm_inference(*arguments), numpy_kernels.batch_norm_inference(*arguments)
    agree(found, expected, dtype, 10)


def test_batch_norm_keeps_the_digits_of_a_small_variance_around_a_large_mean():
    rng = np.random.default_rng(0)
    x = (1000 + rng.standard_normal((64, 3, 8, 8))).astype(np.float32)
    _, mean, var = numba_kernels.batch_norm_forward(x, np.ones(3, "f"), np.zeros(3, "f"), 1e-5)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3), dtype="float64"), rtol=1e-6)
    np.testing.assert_allclose(var, x.var(axis=(0, 2, 3), dtype="float64"), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_survive(bad):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    x[1, 2, 3, 4] = bad
    with np.errstate(invalid="ignore"):
        y, _, var = numba_kernels.batch_norm_forward(x, np.ones(3, "f"), np.zeros(3, "f"), 1e-5)
        assert np.isnan(var).tolist() == [False, False, True]
        assert np.isnan(y[1, 2, 3, 4]) and not np.isnan(y[:, :2]).any()
    np.testing.assert_array_equal(numba_kernels.relu_forward(x), numpy_kernels.relu_forward(x))
    window = (2, 2), (1, 2), (1, 0)
    for found, expected in zip(
        numba_kernels.max_pool2d_forward(x, *window), numpy_kernels.max_pool2d_forward(x, *window), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@given(images())
def test_relu(image):
    shape, dtype, order, rng = image
    shape = shape[: rng.integers(0, 5)]
    x = np.asarray(np.round(2 * rng.standard_normal(shape)).astype(dtype))
    x = in_order(x, order) if x.ndim else x
    grad_y = rng.standard_normal(shape).astype(dtype) if shape else np.array(1.5, dtype)
    y = numba_kernels.relu_forward(x)
    np.testing.assert_array_equal(y, numpy_kernels.relu_forward(x))
    np.testing.assert_array_equal(numba_kernels.relu_backward(grad_y, y), numpy_kernels.relu_backward(grad_y, y))


@given(images(smallest=3), st.tuples(*[st.integers(1, 3)] * 4), st.tuples(*[st.integers(0, 1)] * 2))
def test_pooling(image, window, padding):
    shape, dtype, order, rng = image
    kernel_size, stride = window[:2], window[2:]
    padding = tuple(min(one, size // 2) for one, size in zip(padding, kernel_size, strict=True))
    x = in_order(np.round(2 * rng.standard_normal(shape)).astype(dtype), order)  # with ties
    sizes = kernel_size, stride, padding

    y, winners = numba_kernels.max_pool2d_forward(x, *sizes)
    expected, expected_winners = numpy_kernels.max_pool2d_forward(x, *sizes)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winners, expected_winners)
    grad_y = in_order(rng.standard_normal(y.shape).astype(dtype), order)
    arguments = grad_y, winners, shape, *sizes
    agree(numba_kernels.max_pool2d_backward(*arguments), numpy_kernels.max_pool2d_backward(*arguments), dtype)

    agree(numba_kernels.avg_pool2d_forward(x, *sizes), numpy_kernels.avg_pool2d_forward(x, *sizes), dtype)
    arguments = grad_y, shape, *sizes
    agree(numba_kernels.avg_pool2d_backward(*arguments), numpy_kernels.avg_pool2d_backward(*arguments), dtype)


@given(images(), st.integers(0, 9), st.integers(1, 3))
def test_option_a(image, more, stride):
    shape, dtype, order, rng = image
    x = in_order(rng.standard_normal(shape).astype(dtype), order)
    y = numba_kernels.option_a_forward(x, shape[1] + more, stride)
    np.testing.assert_array_equal(y, numpy_kernels.option_a_forward(x, shape[1] + more, stride))
    grad_y = in_order(rng.standard_normal(y.shape).astype(dtype), order)
    arguments = grad_y, shape, stride
    np.testing.assert_array_equal(
        numba_kernels.option_a_backward(*arguments), numpy_kernels.option_a_backward(*arguments)
    )


@given(st.integers(1, 9), st.integers(1, 7), dtypes, seeds, st.sampled_from([0.0, 0.1, 1.0]))
def test_cross_entropy(N, classes, dtype, seed, label_smoothing):
    rng = np.random.default_rng(seed)
    logits = (30 * rng.standard_normal((N, classes))).astype(dtype)
    labels = rng.integers(0, classes, N).astype(rng.choice(["int64", "int32", "uint8"]))
    ignored = 0 if labels.dtype == "uint8" or (labels == 0).all() else -100
    labels[1:] = np.where(rng.random(N - 1) < 0.3, ignored, labels[1:].astype("int64")).astype(labels.dtype)
    if (labels == ignored).all():
        ignored = 255 if labels.dtype == "uint8" else -100
    options = labels, label_smoothing, ignored
    found = numba_kernels.cross_entropy_forward(logits, *options)
    expected = numpy_kernels.cross_entropy_forward(logits.astype(np.float64), *options)  # whose log is exact
    assert found[0].dtype == np.dtype(dtype) and np.ndim(found[0]) == 0
    agree(np.asarray(found[0]), np.asarray(expected[0], dtype), dtype, 5)
    agree(found[1], expected[1].astype(dtype), dtype, 5)
    grad_loss = np.asarray(rng.standard_normal(), dtype)
    arguments = grad_loss, found[1], *options
    found, expected = (k.cross_entropy_backward(*arguments) for k in (numba_kernels, numpy_kernels))
    agree(found, expected, dtype, 5, scale=abs(float(grad_loss)) / N)  # p − q may be 0


@pytest.mark.parametrize("smoothing, loss", [(0.0, np.log(1 + np.e)), (0.1, np.inf)])
def test_cross_entropy_of_a_class_that_is_ruled_out(smoothing, loss):
    logits = np.array([[1, 0, -np.inf]], np.float32)
    for module in (numba_kernels, numpy_kernels):
        found, p = module.cross_entropy_forward(logits, np.array([1]), smoothing, -100)
        assert found == pytest.approx(loss) and p[0, 2] == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_optimizers(dtype, order, weight_decay):
    shapes = [(3, 4, 3, 3), (5,), (300, 200)]

    def arrays(seed):
        rng = np.random.default_rng(seed)
        return [in_order(rng.standard_normal(shape).astype(dtype), order) for shape in shapes]

    def run(kernels):
        params, buffers, means, squares = arrays(0), arrays(1), arrays(2), [abs(array) for array in arrays(3)]
        kernels.sgd_step(params, arrays(4), buffers, 0.1, 0.9, weight_decay, False)
        kernels.sgd_step(params, arrays(5), buffers, 0.1, 0.9, weight_decay, True)
        for step, decoupled in ((1, False), (2, True)):
            options = step, 0.01, 0.9, 0.99, 1e-8, weight_decay, decoupled
            kernels.adam_step(params, arrays(6 + step), means, squares, *options)
        return [*params, *buffers, *means, *squares]

    for found, expected in zip(run(numba_kernels), run(numpy_kernels), strict=True):
        agree(found, expected, dtype, 5)


def test_other_dtypes_take_the_numpy_kernels():
    x = np.arange(-8, 8).reshape(1, 2, 2, 4)
    assert numba_kernels.relu_forward(x).dtype == x.dtype
    half = x.astype(np.float16)
    np.testing.assert_array_equal(numba_kernels.relu_forward(half), numpy_kernels.relu_forward(half))
    y, _ = numba_kernels.max_pool2d_forward(half, (2, 2), (2, 2), (0, 0))
    assert y.dtype == np.float16


def test_empty_batches_pass():
    x = np.empty((0, 3, 4, 4), np.float32)
    one = np.ones(3, np.float32)
    assert numba_kernels.relu_forward(x).shape == x.shape
    assert numba_kernels.batch_norm_inference(x, one, one, one, one, 1e-5).shape == x.shape
    assert numba_kernels.option_a_forward(x, 6, 2).shape == (0, 6, 2, 2)


def test_no_input_starts_a_compilation():
    """Runs last in this file: whatever came before, each kernel has at most its two versions."""
    for kernel in compilation.all_kernels:
        versions = getattr(kernel.compiled, "signatures", [])
        assert len(versions) <= len(kernel.signatures) == len(set(kernel.signatures.values())), kernel.name
    rectify = next(kernel for kernel in compilation.all_kernels if kernel.name == "rectify")
    with pytest.raises(TypeError, match="rectify: no kernel for int64; it has float32, float64"):
        rectify(np.zeros(3, np.int64), np.zeros(3, np.int64))
    if not hasattr(rectify.compiled, "signatures"):
        return  # without JIT
    rectify.compile("float32")
    before = len(rectify.compiled.signatures)
    with pytest.raises(TypeError, match="No matching definition"):
        rectify(np.zeros(3, np.float32), np.zeros(3, np.float64))
    assert len(rectify.compiled.signatures) == before
