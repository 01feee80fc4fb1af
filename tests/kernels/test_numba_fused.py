"""The fused kernels of Numba, convolution with batch norm, residual add and relu, against NumPy's in float64."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minires import kernels
from minires.kernels import numpy_kernels
from minires.kernels.blocks import block_backward, block_forward

numba = pytest.importorskip("numba")
from minires.kernels import numba_kernels  # noqa: E402
from minires.kernels.numba_kernels import fused  # noqa: E402
from minires.kernels.numba_kernels.machine import threads  # noqa: E402

HERE = Path(__file__)
EPS = 1e-5
TOLERANCE = 3e-5  # max|error| / max|reference|: Winograd's rounding, once or twice


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


ORDERS = {"channels last": channels_last, "channels first": np.ascontiguousarray, "Fortran": np.asfortranarray}


def wide(values):
    """The same values in float64; what is no array stays as it is."""
    return [value.astype(np.float64) if isinstance(value, np.ndarray) else value for value in values]


def layer(generator, C, F, K=3):
    filters = generator.standard_normal((F, C, K, K)) / np.sqrt(C * K * K)
    values = filters, generator.uniform(0.5, 2, F), generator.standard_normal(F)
    return tuple(value.astype(np.float32) for value in values)


def agree(found, expected, tolerance=TOLERANCE):
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == np.float32 and one.shape == other.shape
            assert np.abs(one - other).max() <= tolerance * max(np.abs(other).max(), 1e-3)


@st.composite
def layers(draw):
    """Kernel size, stride, padding, shape of x, filters, a shortcut or none, whether dL/dx is wanted, memory order."""
    K, stride, padding = draw(st.sampled_from([(3, 1, 1), (3, 1, 1), (3, 1, 0), (3, 2, 1), (1, 1, 0), (5, 2, 2)]))
    C, F = draw(st.sampled_from([3, 8, 16, 20, 32])), draw(st.sampled_from([9, 16, 32, 48]))
    N, H, W = draw(st.integers(2, 5)), draw(st.integers(4, 13)), draw(st.integers(4, 13))
    with_shortcut, with_x, order = draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from([*ORDERS]))
    return K, stride, padding, (N, C, H, W), F, with_shortcut, with_x, order


@given(case=layers(), seed=st.integers(0, 99))
@example(case=(3, 1, 1, (40, 16, 32, 32), 16, True, True, "channels last"), seed=0)
@example(case=(3, 1, 1, (9, 64, 8, 8), 64, False, True, "channels last"), seed=0)
@example(case=(3, 1, 1, (2, 16, 7, 13), 32, True, False, "channels first"), seed=0)
@example(case=(7, 2, 3, (2, 3, 20, 22), 64, False, False, "channels last"), seed=0)
def test_a_layer_agrees_with_numpy(case, seed):
    K, stride, padding, shape, F, with_shortcut, with_x, order = case
    generator = np.random.default_rng(seed)
    window = (stride, stride), (padding, padding)
    x = ORDERS[order](generator.standard_normal(shape).astype(np.float32))
    params = layer(generator, shape[1], F, K)
    y_shape = (shape[0], F, *numpy_kernels.output_size(shape, (K, K), *window))
    shortcut, grad_y = (ORDERS[order](generator.standard_normal(y_shape).astype(np.float32)) for _ in range(2))
    shortcut = shortcut if with_shortcut else None

    given_forward = x, *params, shortcut, *window, EPS
    y, z, mean, var = numba_kernels.conv2d_batch_norm_relu_forward(*given_forward)
    agree((y, z, mean, var), numpy_kernels.conv2d_batch_norm_relu_forward(*wide(given_forward)))

    # from the same y and z: an element next to relu's kink may fall to either side
    residual = generator.standard_normal(shape).astype(np.float32) if with_x and with_shortcut else None
    given_backward = grad_y, y, z, x, *params, mean, var, *window, EPS, with_x, with_shortcut
    expected = numpy_kernels.conv2d_batch_norm_relu_backward(*wide((*given_backward, residual)))
    given_up = None if residual is None else channels_last(residual) if seed % 2 else residual.copy()
    before = [value.copy() for value in given_backward if isinstance(value, np.ndarray)]
    agree(numba_kernels.conv2d_batch_norm_relu_backward(*given_backward, given_up), expected)
    after = [value for value in given_backward if isinstance(value, np.ndarray)]
    for one, copy in zip(after, before, strict=True):
        np.testing.assert_array_equal(one, copy)

    given_inference = x, *params, mean, var, shortcut, *window, EPS
    found = numba_kernels.conv2d_batch_norm_relu_inference(*given_inference)
    agree([found], [numpy_kernels.conv2d_batch_norm_relu_inference(*wide(given_inference))])


BLOCKS = {
    "the usual block": ((12, 16, 9, 13), [(16, 16, 3), (16, 16, 3)], (1, 1)),
    "32 channels": ((20, 32, 16, 16), [(32, 32, 3), (32, 32, 3)], (1, 1)),
    "channels not by the sixteen": ((3, 20, 8, 8), [(20, 20, 3), (20, 20, 3)], (1, 1)),
    "channels that are too many for one pass": ((2, 96, 8, 8), [(96, 96, 3), (96, 96, 3)], (1, 1)),
    "option A": ((3, 16, 9, 8), [(16, 32, 3), (32, 32, 3)], (2, 1)),
    "bottleneck": ((2, 64, 8, 7), [(64, 16, 1), (16, 16, 3), (16, 64, 1)], (1, 1, 1)),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("with_x", [True, False])
def test_a_block_agrees_with_its_layers_one_by_one(name, with_x):
    shape, sizes, strides = BLOCKS[name]
    generator = np.random.default_rng(0)
    x = channels_last(generator.standard_normal(shape).astype(np.float32))
    params = [layer(generator, *size) for size in sizes]
    eps = tuple(EPS * (i + 1) for i in range(len(params)))

    y, saved = numba_kernels.residual_block_forward(x, params, strides, eps)
    forward = numba_kernels.conv2d_batch_norm_relu_forward, numba_kernels.option_a_forward
    expected, expected_saved = block_forward(*forward, x, params, strides, eps)
    agree([y], [expected])
    for (_, z, _, *statistics), (_, expected_z, _, *expected_statistics) in zip(saved, expected_saved, strict=True):
        agree([z, *statistics], [expected_z, *expected_statistics])

    grad_y = channels_last(generator.standard_normal(y.shape).astype(np.float32))
    before = grad_y.copy()
    grad_x, grads = numba_kernels.residual_block_backward(grad_y, saved, params, strides, eps, with_x)
    backward = numba_kernels.conv2d_batch_norm_relu_backward, numba_kernels.add_option_a_backward
    expected, expected_grads = block_backward(*backward, grad_y, expected_saved, params, strides, eps, with_x)
    agree([grad_x], [expected])
    for found, wanted in zip(grads, expected_grads, strict=True):
        agree(found, wanted)
    np.testing.assert_array_equal(grad_y, before)


def test_the_usual_block_does_not_store_the_activation_between_its_layers():
    shape, sizes, strides = BLOCKS["the usual block"]
    generator = np.random.default_rng(0)
    x, params = generator.standard_normal(shape).astype(np.float32), [layer(generator, *size) for size in sizes]
    _, saved = numba_kernels.residual_block_forward(x, params, strides, (EPS, EPS))
    assert saved[0][0] is None and saved[1][2] is None
    with kernels.use("numba", winograd=False) as module:  # backward goes the way that forward went
        _, saved = module.residual_block_forward(x, params, strides, (EPS, EPS))
    assert saved[0][0] is not None
    grad_x, _ = numba_kernels.residual_block_backward(x, saved, params, strides, (EPS, EPS), True)
    assert np.isfinite(grad_x).all()


def test_statistics_in_the_cache_keep_the_digits_of_a_small_variance_around_a_large_mean():
    generator = np.random.default_rng(0)
    x = channels_last((300 + generator.standard_normal((16, 16, 12, 10))).astype(np.float32))
    filters, weight, bias = layer(generator, 16, 32)
    filters = abs(filters)
    given_forward = x, filters, weight, bias, None, (1, 1), (0, 0), EPS
    _, z, mean, var = numba_kernels.conv2d_batch_norm_relu_forward(*given_forward)
    assert (mean > 100 * np.sqrt(var)).all()
    np.testing.assert_allclose(mean, z.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(var, z.var(axis=(0, 2, 3), dtype=np.float64), rtol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_survive(bad):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 16, 8, 8)).astype(np.float32)
    x[1, 2, 3, 4] = bad
    filters, weight, bias = layer(generator, 16, 16)
    filters[:8, 2] = 0  # Inf · 0 is NaN too
    with np.errstate(invalid="ignore"):
        y, _, _, var = numba_kernels.conv2d_batch_norm_relu_forward(x, filters, weight, bias, None, (1, 1), (1, 1), EPS)
        given_statistics = np.zeros(16, np.float32), np.ones(16, np.float32)
        inferred = numba_kernels.conv2d_batch_norm_relu_inference(
            x, filters, weight, bias, *given_statistics, None, (1, 1), (1, 1), EPS
        )
    assert np.isnan(var).all() and np.isnan(y[1, :, 3, 4]).all()
    assert np.isnan(inferred[1, :, 3, 4]).any() and np.isfinite(inferred[0]).all()


@numba.njit
def two_phases(numbers, total, chunks, counter):
    """Each chunk writes its number; then every chunk adds up all of them."""
    first, second = threads.phase(counter, 0), threads.phase(counter, 1)
    chunk = threads.claim(first)
    while chunk < chunks:
        numbers[chunk] = chunk + 1
        threads.complete(first)
        chunk = threads.claim(first)
    threads.wait(first, chunks)
    chunk = threads.claim(second)
    while chunk < chunks:
        for i in range(chunks):
            total[chunk] += numbers[i]
        chunk = threads.claim(second)


def test_no_thread_begins_a_phase_before_the_last_is_done():
    before = threads.get_num_threads()
    threads.set_num_threads(4)
    try:
        for _ in range(20 if numba.config.DISABLE_JIT else 300):
            numbers, total = np.zeros(40, np.int64), np.zeros(40, np.int64)
            threads.run(two_phases, (numbers, total, 40), small=False)
            np.testing.assert_array_equal(total, 40 * 41 // 2)
    finally:
        threads.set_num_threads(before)


def test_what_is_not_float32_takes_the_other_kernels():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 16, 6, 6))
    params = wide(layer(generator, 16, 16))
    for dtype, module in ((np.float16, numpy_kernels), (np.float64, numpy_kernels)):
        values = [value.astype(dtype) for value in (x, *params)]
        found = numba_kernels.conv2d_batch_norm_relu_forward(*values, None, (1, 1), (1, 1), EPS)
        expected = module.conv2d_batch_norm_relu_forward(*values, None, (1, 1), (1, 1), EPS)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == dtype
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="this is the process without the compiler")
def test_the_same_without_the_compiler():
    """As ordinary Python, on shapes that its loops manage."""
    done = subprocess.run(
        [sys.executable, str(HERE)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "MINIRES_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == ["agrees"] * 4


def check_tiny_shapes():
    for K, stride, padding, shape, F, with_shortcut in (
        (3, 1, 1, (2, 16, 5, 6), 16, True),
        (3, 1, 1, (1, 8, 6, 5), 16, False),
        (3, 2, 1, (2, 3, 5, 4), 9, True),
    ):
        case = K, stride, padding, shape, F, with_shortcut, True, "channels last"
        test_a_layer_agrees_with_numpy.hypothesis.inner_test(case, 0)
        print("agrees")
    BLOCKS["tiny"] = (2, 16, 5, 6), [(16, 16, 3), (16, 16, 3)], (1, 1)
    test_a_block_agrees_with_its_layers_one_by_one("tiny", True)
    test_no_thread_begins_a_phase_before_the_last_is_done()
    assert fused.together(np.empty((2, 16, 5, 6), np.float32), np.empty((16, 16, 3, 3), np.float32))
    print("agrees")


if __name__ == "__main__":
    check_tiny_shapes()
