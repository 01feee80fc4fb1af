"""The compiled convolutions against the NumPy ones in float64: every way, shape, memory order and dtype."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minires import kernels
from minires.kernels import numpy_kernels

numba = pytest.importorskip("numba")
from minires.kernels import numba_kernels  # noqa: E402
from minires.kernels.numba_kernels import convolution  # noqa: E402
from minires.kernels.numba_kernels.machine import compilation, processor, threads  # noqa: E402

HERE = os.path.abspath(__file__)
with_vectors = pytest.mark.skipif(not processor.HAS_SIMD, reason="this processor's convolutions are NumPy's")
WINOGRAD, DIRECT, GRAD_WEIGHT = 6e-6, 2e-6, 1e-5  # max|error| / max|reference|


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def every_second(x):
    """The same numbers, in a larger array with gaps between them."""
    larger = np.zeros((*x.shape[:3], 2 * x.shape[3]), x.dtype)
    larger[..., ::2] = x
    return larger[..., ::2]


ORDERS = {
    "channels last": channels_last,
    "channels first": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "gaps": every_second,
    "read-only": read_only,
}


def arrays(shape, filters, kernel_size, stride, padding, dtype=np.float32, seed=0):
    """Random x, weight, bias and dL/dy of a convolution."""
    generator = np.random.default_rng(seed)
    places = numpy_kernels.output_size(shape, kernel_size, stride, padding)
    sizes = shape, (filters, shape[1], *kernel_size), (filters,), (shape[0], filters, *places)
    return [generator.standard_normal(size).astype(dtype) for size in sizes]


def three_passes(module, x, weight, bias, grad_y, stride, padding):
    return (
        module.conv2d_forward(x, weight, bias, stride, padding),
        module.conv2d_grad_input(grad_y, weight, x.shape, stride, padding),
        module.conv2d_grad_weight(grad_y, x, weight.shape, stride, padding),
    )


def double(*values):
    return [value.astype(np.float64) for value in values]


@st.composite
def convolutions(draw):
    """Shapes of a convolution that fits its input: kernel_size, stride, padding, shape of x, filters."""
    if draw(st.booleans()):  # Winograd's case
        kernel_size, stride = (3, 3), (1, 1)
        C, F = draw(st.integers(8, 40)), draw(st.integers(8, 40))
    else:
        kernel_size = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
        stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        C, F = draw(st.integers(1, 40)), draw(st.integers(1, 70))
    padding = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    H = draw(st.integers(max(1, kernel_size[0] - 2 * padding[0]), 14))
    W = draw(st.integers(max(1, kernel_size[1] - 2 * padding[1]), 14))
    return kernel_size, stride, padding, (draw(st.integers(1, 4)), C, H, W), F


@given(case=convolutions(), order=st.sampled_from(list(ORDERS)), winograd=st.booleans(), seed=st.integers(0, 99))
@example(case=((1, 1), (1, 1), (0, 0), (3, 5, 9, 7), 20), order="channels last", winograd=True, seed=0)
@example(case=((1, 1), (2, 2), (0, 0), (2, 5, 9, 8), 20), order="channels last", winograd=True, seed=0)
@example(case=((2, 2), (3, 3), (0, 1), (2, 5, 9, 8), 33), order="channels first", winograd=True, seed=0)
@example(case=((1, 1), (1, 2), (0, 1), (1, 1, 1, 2), 1), order="channels last", winograd=False, seed=0)
@example(case=((7, 7), (2, 2), (3, 3), (2, 3, 20, 22), 64), order="channels last", winograd=True, seed=0)
@example(case=((3, 3), (1, 1), (1, 1), (40, 16, 8, 12), 32), order="channels last", winograd=True, seed=0)
@example(case=((3, 3), (2, 2), (1, 1), (40, 16, 8, 12), 32), order="channels last", winograd=True, seed=0)
def test_all_passes_agree_with_numpy(case, order, winograd, seed):
    kernel_size, stride, padding, shape, filters = case
    x, weight, bias, grad_y = arrays(shape, filters, kernel_size, stride, padding, seed=seed)
    references = three_passes(numpy_kernels, *double(x, weight, bias, grad_y), stride, padding)
    # Sums of few products may nearly cancel; what they are made of is the measure of their rounding.
    scales = three_passes(numpy_kernels, *(abs(a) for a in double(x, weight, bias, grad_y)), stride, padding)
    x, grad_y = ORDERS[order](x), ORDERS[order](grad_y)
    before = x.copy(), weight.copy(), bias.copy(), grad_y.copy()
    with kernels.use("numba", winograd=winograd) as module:
        results = three_passes(module, x, weight, bias, grad_y, stride, padding)
    for result, reference, scale in zip(results, references, scales, strict=True):
        assert result.dtype == np.float32 and result.shape == reference.shape
        assert np.abs(result - reference).max() <= 2e-6 * scale.max()
    for array, copy in zip((x, weight, bias, grad_y), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@with_vectors
@pytest.mark.parametrize("channels, size", [(16, 32), (64, 16), (256, 8)])
def test_winograd_rounds_about_twice_as_much_as_the_plain_sum(channels, size):
    x, weight, _, _ = arrays((4, channels, size, size), channels, (3, 3), (1, 1), (1, 1))
    exact = numpy_kernels.conv2d_forward(*double(x, weight), None, (1, 1), (1, 1))
    errors = []
    for by_winograd in (True, False):
        with kernels.use("numba", winograd=by_winograd) as module:
            errors.append(np.linalg.norm(module.conv2d_forward(x, weight, None, (1, 1), (1, 1)) - exact))
    assert 1 < errors[0] / errors[1] < 3


NETWORK = [  # N, C, H, F, K, stride: the convolutions of ResNet-20, some of ResNet-18 and ResNet-50, two very lopsided
    (2, 1040, 8, 16, 3, 1),
    (2, 48, 8, 352, 3, 1),
    (16, 3, 32, 16, 3, 1),
    (16, 16, 32, 16, 3, 1),
    (16, 16, 32, 32, 3, 2),
    (16, 32, 16, 32, 3, 1),
    (16, 32, 16, 64, 3, 2),
    (16, 64, 8, 64, 3, 1),
    (2, 3, 224, 64, 7, 2),
    (2, 128, 28, 128, 3, 1),
    (2, 256, 14, 512, 1, 2),
    (2, 512, 7, 512, 3, 1),
    (2, 512, 7, 1024, 1, 1),
    (1, 512, 4, 512, 3, 2),
]


@pytest.mark.parametrize(("N", "C", "H", "F", "K", "stride"), NETWORK)
def test_rounding_on_the_shapes_of_networks(N, C, H, F, K, stride):
    stride, padding = (stride, stride), (K // 2, K // 2)
    x, weight, bias, grad_y = arrays((N, C, H, H), F, (K, K), stride, padding)
    references = three_passes(numpy_kernels, *double(x, weight, bias, grad_y), stride, padding)
    results = three_passes(numba_kernels, channels_last(x), weight, bias, channels_last(grad_y), stride, padding)
    winograd = convolution.winograd_pays(weight.shape, stride, H, H)
    limits = (WINOGRAD, WINOGRAD, WINOGRAD) if winograd else (DIRECT, DIRECT, GRAD_WEIGHT)
    for result, reference, limit in zip(results, references, limits, strict=True):
        assert np.abs(result - reference).max() <= limit * np.abs(reference).max()


@with_vectors
def test_winograds_way_is_taken_where_it_pays_and_can_be_switched_off(monkeypatch):
    def refused(*arguments):
        raise AssertionError("Winograd's way was taken")

    x, weight, bias, grad_y = arrays((2, 16, 9, 8), 16, (3, 3), (1, 1), (1, 1))
    monkeypatch.setattr(convolution.winograd, "winograd_products", refused)
    monkeypatch.setattr(convolution.winograd, "winograd_weight_products", refused)
    passes = [
        lambda module: module.conv2d_forward(x, weight, None, (1, 1), (1, 1)),
        lambda module: module.conv2d_grad_input(grad_y, weight, x.shape, (1, 1), (1, 1)),
        lambda module: module.conv2d_grad_weight(grad_y, x, weight.shape, (1, 1), (1, 1)),
    ]
    for one_pass in passes:
        with pytest.raises(AssertionError, match="Winograd's way was taken"):
            one_pass(numba_kernels)
        with kernels.use("numba", winograd=False) as module:
            one_pass(module)


@pytest.mark.parametrize("kernel_size", [3, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_channels_last_and_gradients_of_weights_are_not(dtype, kernel_size):
    x, weight, bias, grad_y = arrays((2, 16, 9, 8), 24, (kernel_size,) * 2, (1, 1), (1, 1), dtype)
    for order in (np.ascontiguousarray, channels_last):
        y, grad_x, grad_weight = three_passes(numba_kernels, order(x), weight, bias, order(grad_y), (1, 1), (1, 1))
        for activations in (y, grad_x):
            assert activations.dtype == dtype
            assert activations.transpose(0, 2, 3, 1).flags.c_contiguous
        assert grad_weight.dtype == dtype
        assert grad_weight.flags.c_contiguous


def test_float64_is_exact_to_float64():
    values = arrays((2, 16, 9, 8), 24, (3, 3), (1, 1), (1, 1), np.float64)
    for result, reference in zip(
        three_passes(numba_kernels, *values, (1, 1), (1, 1)),
        three_passes(numpy_kernels, *values, (1, 1), (1, 1)),
        strict=True,
    ):
        np.testing.assert_allclose(result, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_processor_without_these_vectors_takes_the_numpy_kernels(monkeypatch, stride):
    values = arrays((2, 16, 9, 8), 24, (3, 3), (stride, stride), (1, 1))
    monkeypatch.setattr(convolution, "HAS_SIMD", False)
    results = three_passes(numba_kernels, *values, (stride, stride), (1, 1))
    for result, reference in zip(results, three_passes(numpy_kernels, *values, (stride, stride), (1, 1)), strict=True):
        np.testing.assert_array_equal(result, reference)


def test_an_empty_batch():
    x, weight, bias, grad_y = arrays((0, 16, 9, 8), 24, (3, 3), (1, 1), (1, 1))
    y, grad_x, grad_weight = three_passes(numba_kernels, x, weight, bias, grad_y, (1, 1), (1, 1))
    assert y.shape == grad_y.shape and grad_x.shape == x.shape
    np.testing.assert_array_equal(grad_weight, np.zeros_like(weight))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("stride", [1, 2])
def test_nan_and_inf_survive(bad, stride):
    stride, padding = (stride, stride), (1, 1)
    x, weight, bias, grad_y = arrays((3, 16, 12, 12), 16, (3, 3), stride, padding)
    x[1, 3, 5, 6] = bad
    grad_y[1, 2, 3, 4] = bad
    with np.errstate(invalid="ignore"):
        references = three_passes(numpy_kernels, *double(x, weight, bias, grad_y), stride, padding)
    results = three_passes(numba_kernels, x, weight, bias, grad_y, stride, padding)
    for result, reference in zip(results, references, strict=True):
        assert not np.isfinite(result[~np.isfinite(reference)]).any()
    for activations in results[:2]:  # other images are not touched
        assert np.isfinite(activations[[0, 2]]).all()


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (1, 1), (7, 2)])
def test_results_are_the_same_to_the_bit_for_any_number_of_threads(kernel_size, stride):
    padding = (kernel_size // 2,) * 2
    values = arrays((33, 32, 17, 15), 48, (kernel_size,) * 2, (stride, stride), padding)
    before, results = threads.get_num_threads(), []
    try:
        for number in (1, 2, 3, 3):
            threads.set_num_threads(number)
            results.append(three_passes(numba_kernels, *values, (stride, stride), padding))
    finally:
        threads.set_num_threads(before)
    for others in results[1:]:
        for result, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(result, other)


def test_large_filters_are_cut_into_parts():
    """Few images and many filters: parts of the filters instead of shares of the images are dealt out."""
    for kernel_size, channels in ((3, 128), (1, 1200)):
        padding = (kernel_size // 2,) * 2
        values = arrays((1, channels, 5, 6), 136, (kernel_size,) * 2, (1, 1), padding)
        references = three_passes(numpy_kernels, *double(*values), (1, 1), padding)
        for result, reference in zip(three_passes(numba_kernels, *values, (1, 1), padding), references, strict=True):
            assert np.abs(result - reference).max() <= WINOGRAD * np.abs(reference).max()


def test_columns_and_back():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5), dtype=np.float32)
    columns = numba_kernels.im2col(channels_last(x), (3, 2), (2, 1), (1, 0))
    np.testing.assert_array_equal(columns, numpy_kernels.im2col(x, (3, 2), (2, 1), (1, 0)))
    back = numba_kernels.col2im(columns, x.shape, (3, 2), (2, 1), (1, 0))
    np.testing.assert_array_equal(back, numpy_kernels.col2im(columns, x.shape, (3, 2), (2, 1), (1, 0)))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_no_input_starts_a_compilation():
    for order in ORDERS.values():
        for kernel_size, stride in ((3, 1), (3, 2), (1, 1), (5, 3)):
            x, weight, bias, grad_y = arrays((2, 9, 7, 8), 17, (kernel_size,) * 2, (stride, stride), (2, 1))
            three_passes(numba_kernels, order(x), order(weight), bias, order(grad_y), (stride, stride), (2, 1))
    for kernel in compilation.all_kernels:
        assert len(kernel.compiled.signatures) <= len(kernel.signatures)
        if kernel.name.startswith(("direct", "winograd", "pack")):
            assert list(kernel.signatures) == ["float32"]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="this is the process without the compiler")
def test_the_same_without_the_compiler():
    done = subprocess.run(
        [sys.executable, HERE],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == ["agrees"] * 6


AVX2 = "+avx,+avx2,+bmi,+bmi2,+cmov,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3"


@pytest.mark.slow
@pytest.mark.skipif(
    processor.vectors() != "512 bits", reason="the tests here already ran with AVX2's registers, or none"
)
def test_the_same_with_the_registers_of_avx2(tmp_path):
    narrower = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2, "MINIRES_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, HERE], env={**os.environ, **narrower}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == ["agrees"] * 6


def check_tiny_shapes():
    """What the two processes above run: every way of computing, on shapes that Python's loops manage."""
    for kernel_size, stride, padding, shape, filters in (
        ((3, 3), (1, 1), (1, 1), (1, 8, 5, 6), 9),
        ((3, 3), (1, 1), (0, 3), (2, 17, 4, 3), 16),
        ((3, 3), (2, 2), (1, 1), (1, 3, 5, 4), 6),
        ((1, 1), (1, 1), (0, 0), (2, 4, 3, 4), 33),
        ((1, 1), (3, 2), (0, 0), (1, 4, 5, 4), 5),
        ((2, 5), (1, 2), (1, 2), (1, 2, 4, 6), 3),
    ):
        values = arrays(shape, filters, kernel_size, stride, padding)
        references = three_passes(numpy_kernels, *double(*values), stride, padding)
        for result, reference in zip(three_passes(numba_kernels, *values, stride, padding), references, strict=True):
            assert np.abs(result - reference).max() <= WINOGRAD * np.abs(reference).max()
        print("agrees")


if __name__ == "__main__":
    check_tiny_shapes()
