"""The GPU convolutions against their NumPy twins: odd sizes, both dtypes, threads in both orders."""

import numpy as np
import pytest
from agreement import DTYPES, agree, normal, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from minires import kernels

pytestmark = pytest.mark.usefixtures("thread_order")

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


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
def grouped(draw):
    """Draw x, weight and (stride, padding, dilation, groups) whose window fits."""
    groups, CG, FG = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
    H, W = [draw(st.integers(one, one + 5)) for one in least]
    rng, dtype = np.random.default_rng(draw(seeds)), draw(st.sampled_from(DTYPES))
    x = normal(rng, draw(st.integers(1, 2)), groups * CG, H, W, dtype=dtype)
    return rng, x, normal(rng, groups * FG, CG, *kernel, dtype=dtype), (stride, padding, dilation, groups)


@settings(max_examples=10)
@given(grouped())
def test_groups_and_dilation(gpu, cupy_kernels, drawn):
    rng, x, weight, window = drawn
    bias = normal(rng, len(weight), dtype=x.dtype)
    y = agree(gpu, cupy_kernels, "grouped_conv2d_forward", x, weight, bias, *window)
    agree(gpu, cupy_kernels, "grouped_conv2d_forward", x, weight, None, *window)
    grad_y = normal(rng, *y.shape, dtype=x.dtype)
    agree(gpu, cupy_kernels, "grouped_conv2d_grad_input", grad_y, weight, x.shape, *window)
    agree(gpu, cupy_kernels, "grouped_conv2d_grad_weight", grad_y, x, weight.shape, *window)
