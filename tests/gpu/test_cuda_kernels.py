"""The other GPU kernels against their NumPy twins, and what all of them promise: names, memory in any order, dtypes."""

import inspect
import math

import numpy as np
import pytest
from agreement import DTYPES, agree, close, normal, seeds
from hypothesis import given
from hypothesis import strategies as st

from minires.kernels import numpy_kernels

pytestmark = pytest.mark.usefixtures("thread_order")

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


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
    grad_y = normal(rng, *y.shape)
    agree(gpu, cupy_kernels, "option_a_backward", grad_y, x.shape, stride)


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
    logits = np.array([[1e4, -1e4, 0], [80, 81, -np.inf]], np.float32)
    agree(gpu, cupy_kernels, "cross_entropy_forward", logits, np.array([1, 1]), 0.0, -100)
    for label in (3, -1):
        loss, _ = cupy_kernels.cross_entropy_forward(gpu.asarray(logits), gpu.asarray([label, 0]), 0.0, -100)
        assert math.isnan(loss.item())


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
HELPERS = (
    "channel_axes crop_images first_tap image_groups lowest output_size pad_images padded_zeros select "
    "smoothed_one_hot tap"
).split()


def test_the_same_names_and_signatures_as_the_numpy_kernels(cupy_kernels):
    theirs = {name: one for name, one in public_functions(numpy_kernels).items() if name not in HELPERS}
    ours = public_functions(cupy_kernels)
    assert set(ours) == set(theirs) == set(cupy_kernels.__all__) - {"xp"}
    for name, function in theirs.items():
        assert inspect.signature(ours[name]) == inspect.signature(function), name
