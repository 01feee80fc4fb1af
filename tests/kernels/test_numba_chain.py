"""Chains of convolution, batch norm and relu with a shortcut: Numba's kernels against NumPy's in float64."""

import dataclasses
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
from minires.kernels.chain import Layer, Prepared, Skip

numba = pytest.importorskip("numba")
from minires.kernels import numba_kernels  # noqa: E402
from minires.kernels.numba_kernels import chain  # noqa: E402
from minires.kernels.numba_kernels.machine import threads  # noqa: E402
from minires.kernels.numba_kernels.machine.processor import HAS_SIMD  # noqa: E402

with_vectors = pytest.mark.skipif(not HAS_SIMD, reason="this processor's convolutions are NumPy's")

HERE = Path(__file__)
EPS = 1e-5
TOLERANCE = 3e-5  # max|error| / max|reference|: Winograd's rounding, once or twice


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


ORDERS = {"channels last": channels_last, "channels first": np.ascontiguousarray, "Fortran": np.asfortranarray}


def wide(value, dtype=np.float64):
    """The same in float64: an array, and all arrays of a layer, of what was saved of it, or of a list of them."""
    if isinstance(value, np.ndarray):
        return value.astype(dtype)
    if isinstance(value, Layer):
        return Layer(*[wide(one, dtype) for one in value])
    if isinstance(value, list):
        return [wide(one, dtype) for one in value]
    if dataclasses.is_dataclass(value):
        return type(value)(*[wide(getattr(value, field.name), dtype) for field in dataclasses.fields(value)])
    return value


def layer(generator, C, F, K=3, stride=1, padding=None, eps=EPS):
    filters = generator.standard_normal((F, C, K, K)) / np.sqrt(C * K * K)
    values = filters, generator.uniform(0.5, 2, F), generator.standard_normal(F)
    padding = K // 2 if padding is None else padding
    return Layer(*[value.astype(np.float32) for value in values], (stride, stride), (padding, padding), eps)


def constant(layers):
    """The same with filters that cannot be written to, so that kernels keep what they make of them."""
    layers = [one._replace(filters=one.filters.copy()) for one in layers]
    for one in layers:
        one.filters.flags.writeable = False
    return [one._replace(prepared=Prepared(one.filters)) for one in layers]


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
    x = ORDERS[order](generator.standard_normal(shape).astype(np.float32))
    layers = [layer(generator, shape[1], F, K, stride, padding)]
    y_shape = (shape[0], F, *numpy_kernels.output_size(shape, (K, K), *layers[0][3:5]))
    shortcut, grad_y = (ORDERS[order](generator.standard_normal(y_shape).astype(np.float32)) for _ in range(2))
    shortcut = shortcut if with_shortcut else Skip.NOTHING

    y, [kept] = numba_kernels.chain_forward(x, layers, shortcut)
    expected, [expected_kept] = numpy_kernels.chain_forward(wide(x), wide(layers), wide(shortcut))
    found = y, kept.z, kept.mean, kept.var
    agree(found, (expected, expected_kept.z, expected_kept.mean, expected_kept.var))

    # from the same y and z: an element next to relu's kink may fall to either side
    before = [value.copy() for value in (grad_y, x, *found)]
    given_wide = wide(grad_y), wide([kept]), wide(layers), wide(shortcut), with_x
    agree_on_gradients(
        numba_kernels.chain_backward(grad_y, [kept], layers, shortcut, with_x),
        numpy_kernels.chain_backward(*given_wide),
    )
    for one, copy in zip((grad_y, x, *found), before, strict=True):
        np.testing.assert_array_equal(one, copy)

    folded = [layers[0]._replace(weight=None)]
    inferred, nothing = numba_kernels.chain_forward(x, folded, shortcut)
    kept = constant(folded)
    for _ in range(2):  # made, and found
        np.testing.assert_array_equal(numba_kernels.chain_forward(x, kept, shortcut)[0], inferred)
    assert all(len(one.prepared.forms) == int(HAS_SIMD) for one in kept)
    agree([inferred], [numpy_kernels.chain_forward(wide(x), wide(folded), wide(shortcut))[0]])
    assert nothing == []


def agree_on_gradients(found, expected, tolerance=TOLERANCE):
    """dL/dx, those of the layers, dL/dshortcut."""
    agree([found[0], found[2]], [expected[0], expected[2]], tolerance)
    for one, other in zip(found[1], expected[1], strict=True):
        agree(one, other, tolerance)


CHAINS = {
    "the usual block": ((12, 16, 9, 13), [(16, 16), (16, 16)], Skip.IDENTITY),
    "32 channels": ((20, 32, 16, 16), [(32, 32), (32, 32)], Skip.IDENTITY),
    "channels not by the sixteen": ((3, 20, 8, 8), [(20, 20), (20, 20)], Skip.IDENTITY),
    "channels that are too many for one pass": ((2, 96, 8, 8), [(96, 96), (96, 96)], Skip.IDENTITY),
    "paddings that even out": ((3, 16, 8, 8), [(16, 16, 3, 1, 0), (16, 16, 3, 1, 2)], Skip.IDENTITY),
    "two layers without a shortcut": ((3, 16, 8, 8), [(16, 16), (16, 16)], Skip.NOTHING),
    "one layer and its input": ((3, 16, 8, 8), [(16, 16)], Skip.IDENTITY),
    "option A": ((3, 16, 9, 8), [(16, 32, 3, 2), (32, 32)], Skip.OPTION_A),
    "option A, 12 channels": ((3, 12, 9, 8), [(12, 20, 3, 2), (20, 20)], Skip.OPTION_A),
    "bottleneck": ((2, 64, 8, 7), [(64, 16, 1), (16, 16, 3), (16, 64, 1)], Skip.IDENTITY),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("with_x", [True, False])
def test_a_chain_agrees_with_its_layers_one_by_one(name, with_x):
    shape, sizes, skip = CHAINS[name]
    generator = np.random.default_rng(0)
    x = channels_last(generator.standard_normal(shape).astype(np.float32))
    layers = [layer(generator, *size)._replace(eps=EPS * (i + 1)) for i, size in enumerate(sizes)]

    y, saved = numba_kernels.chain_forward(x, layers, skip)
    expected, one_by_one = x, []
    for i in range(len(layers)):
        last = i == len(layers) - 1
        shortcut = Skip.NOTHING
        if last and skip is not Skip.NOTHING:
            shortcut = x if skip is Skip.IDENTITY else numpy_kernels.option_a_forward(x, y.shape[1], 2)
        expected, [kept] = numba_kernels.chain_forward(expected, layers[i : i + 1], shortcut)
        one_by_one.append(kept)
    agree([y], [expected])
    for kept, wanted in zip(saved, one_by_one, strict=True):
        agree([kept.z, kept.mean, kept.var], [wanted.z, wanted.mean, wanted.var])

    grad_y = channels_last(generator.standard_normal(y.shape).astype(np.float32))
    before = grad_y.copy()
    found = numba_kernels.chain_backward(grad_y, saved, layers, skip, with_x)
    agree_on_gradients(
        found, numpy_kernels.chain_backward(wide(grad_y), wide(one_by_one), wide(layers), skip, with_x), 1e-4
    )
    np.testing.assert_array_equal(grad_y, before)


@with_vectors
@pytest.mark.parametrize("sizes", [[(16, 16), (16, 16)], [(16, 32, 3, 2), (32, 32)], [(16, 32, 1), (32, 32)]])
@pytest.mark.parametrize("shape", [(3, 16, 9, 14), (40, 16, 16, 16)])
def test_a_block_takes_the_sums_that_the_block_before_begins_with(sizes, shape):
    """Of dL/dx while it is in the cache: the same bits, whether it does or not."""
    generator = np.random.default_rng(1)
    F, skip = sizes[-1][1], Skip.IDENTITY if sizes[0] == (16, 16) else Skip.NOTHING
    layers = [layer(generator, *size) for size in sizes]
    behind = [layer(generator, F, F), layer(generator, F, F)]
    x = channels_last(generator.standard_normal(shape).astype(np.float32))
    y, saved = numba_kernels.chain_forward(x, layers, skip)
    z, saved_behind = numba_kernels.chain_forward(y, behind, Skip.IDENTITY)
    grad_z = channels_last(generator.standard_normal(z.shape).astype(np.float32))
    given = grad_z.copy(), saved_behind, behind, Skip.IDENTITY, True

    grad_y, grads_behind, _ = numba_kernels.chain_backward(*given)
    apart = numba_kernels.chain_backward(grad_y, saved, layers, skip, True)
    masked, same_behind, _ = numba_kernels.chain_backward(*given, saved[-1])
    taken = saved[-1].grad_and_sums
    assert taken[0] is masked and grad_y is not masked
    np.testing.assert_array_equal(masked, np.where(y > 0, grad_y, 0))
    together = numba_kernels.chain_backward(masked, saved, layers, skip, True)
    assert saved[-1].grad_and_sums is None
    for one, other in zip([*grads_behind, *apart[1]], [*same_behind, *together[1]], strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(apart[0], together[0])

    _, _, _ = numba_kernels.chain_backward(*given, saved[-1])  # taken of a gradient that is not the one that comes
    other = numba_kernels.chain_backward(2 * grad_y, saved, layers, skip, True)
    np.testing.assert_allclose(other[0], 2 * apart[0], rtol=1e-4, atol=1e-4 * np.abs(apart[0]).max())


@with_vectors
def test_the_usual_block_does_not_store_the_activation_between_its_layers():
    shape, sizes, skip = CHAINS["the usual block"]
    generator = np.random.default_rng(0)
    x, layers = generator.standard_normal(shape).astype(np.float32), [layer(generator, *size) for size in sizes]
    _, saved = numba_kernels.chain_forward(x, layers, skip)
    assert saved[0].y is None and saved[1].x is None
    with kernels.use("numba", winograd=False) as module:  # backward goes the way that forward went
        _, saved = module.chain_forward(x, layers, skip)
    assert saved[0].y is not None
    grad_x, _, _ = numba_kernels.chain_backward(x, saved, layers, skip, True)
    assert np.isfinite(grad_x).all()


def test_statistics_in_the_cache_keep_the_digits_of_a_small_variance_around_a_large_mean():
    generator = np.random.default_rng(0)
    x = channels_last((300 + generator.standard_normal((16, 16, 12, 10))).astype(np.float32))
    one = layer(generator, 16, 32, padding=0)
    _, [kept] = numba_kernels.chain_forward(x, [one._replace(filters=abs(one.filters))], Skip.NOTHING)
    z, mean, var = kept.z, kept.mean, kept.var
    assert (mean > 100 * np.sqrt(var)).all()
    np.testing.assert_allclose(mean, z.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(var, z.var(axis=(0, 2, 3), dtype=np.float64), rtol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_survive(bad):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 16, 8, 8)).astype(np.float32)
    x[1, 2, 3, 4] = bad
    one = layer(generator, 16, 16)
    one.filters[:8, 2] = 0  # Inf · 0 is NaN too
    with np.errstate(invalid="ignore"):
        y, [kept] = numba_kernels.chain_forward(x, [one], Skip.NOTHING)
        inferred, _ = numba_kernels.chain_forward(x, [one._replace(weight=None)], Skip.NOTHING)
    assert np.isnan(kept.var).all() and np.isnan(y[1, :, 3, 4]).all()
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
    x, layers = generator.standard_normal((2, 16, 6, 6)), [layer(generator, 16, 16)] * 2
    for dtype in (np.float16, np.float64):
        given = wide(x, dtype), wide(layers, dtype), Skip.IDENTITY
        y, saved = numba_kernels.chain_forward(*given)
        expected, expected_saved = numpy_kernels.chain_forward(*given)
        found = numba_kernels.chain_backward(y, saved, *given[1:], True)
        wanted = numpy_kernels.chain_backward(y, expected_saved, *given[1:], True)
        for one, other in zip((y, found[0], *found[1][0]), (expected, wanted[0], *wanted[1][0]), strict=True):
            assert one.dtype == dtype
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


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
    CHAINS["tiny"] = (2, 16, 5, 6), [(16, 16), (16, 16)], Skip.IDENTITY
    test_a_chain_agrees_with_its_layers_one_by_one("tiny", True)
    test_no_thread_begins_a_phase_before_the_last_is_done()
    assert chain.together(np.empty((2, 16, 5, 6), np.float32), layer(np.random.default_rng(0), 16, 16)) == HAS_SIMD
    print("agrees")


if __name__ == "__main__":
    check_tiny_shapes()
