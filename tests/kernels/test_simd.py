"""The vector type and the register tile against NumPy; the same tests without the compiler, in their own process."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

numba = pytest.importorskip("numba")
from minires.kernels.numba_kernels.machine import processor  # noqa: E402
from minires.kernels.numba_kernels.machine.simd import (  # noqa: E402
    LANES,
    add_outer,
    gather,
    load,
    load_rows,
    positive,
    prefetch,
    prefetch_to_write,
    splat,
    store,
    store_rows,
    zero_rows,
)
from minires.kernels.numba_kernels.machine.tile import ROWS, TALL_ROWS, product  # noqa: E402

HERE = os.path.abspath(__file__)


def numbers(size, seed=0):
    return np.random.default_rng(seed).standard_normal(size, dtype=np.float32)


@numba.njit
def each_operation(x, y, number, out):
    store(out, 0, load(x, 3))
    store(out, 16, load(x, 0) * load(y, 1) + load(x, 7))
    store(out, 32, splat(number))
    store(out, 48, gather(x, 2, 3))
    store(out, 64, load(x, 0) + load(y, 1))
    store(out, 80, load(x, 0) - load(y, 1))
    store(out, 96, load(x, 0) * load(y, 1))
    store(out, 112, positive(load(x, 0), load(y, 1)))
    prefetch(x, 1_000_000)  # no one waits for it, and where nothing is nothing happens
    prefetch_to_write(out, 3)


def test_operations_on_vectors():
    x, y, out = numbers(64), numbers(64, 1), np.zeros(8 * LANES, np.float32)
    x[4] = np.nan
    each_operation(x, y, np.float32(0.1), out)
    loaded, fused, same, gathered, added, subtracted, multiplied, behind_relu = out.reshape(8, LANES)
    np.testing.assert_array_equal(loaded, x[3:19])
    np.testing.assert_array_equal(same, np.full(16, np.float32(0.1)))
    np.testing.assert_array_equal(gathered, x[2:50:3])
    np.testing.assert_array_equal(added, x[:16] + y[1:17])
    np.testing.assert_array_equal(subtracted, x[:16] - y[1:17])
    np.testing.assert_array_equal(multiplied, x[:16] * y[1:17])
    np.testing.assert_array_equal(behind_relu, np.where(x[:16] <= 0, 0, y[1:17]))  # a NaN lets the gradient through
    np.testing.assert_allclose(fused, x[:16].astype(np.float64) * y[1:17] + x[7:23], rtol=1e-6, atol=1e-7)


@numba.njit
def three_rows(a, x, start, out):
    acc = load_rows(start, 1, 17, 3)
    acc = add_outer(acc, a, 2, 5, load(x, 0))
    store_rows(out, 4, 20, acc)
    store_rows(out, 4 + 60, 16, zero_rows(2))


def test_rows_of_vectors():
    a, x, start, out = numbers(20), numbers(16, 1), numbers(60, 2), np.full(100, 7, np.float32)
    three_rows(a, x, start, out)
    for row in range(3):
        expected = start[1 + 17 * row :][:16] + a[2 + 5 * row] * x
        np.testing.assert_allclose(out[4 + 20 * row :][:16], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(out[64:96], 0)
    untouched = np.r_[0:4, 20:24, 40:44, 60:64, 96:100]
    np.testing.assert_array_equal(out[untouched], 7)


@numba.njit
def whole_product(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, rows, columns, R, K, accumulate):
    product(y, y0, y_row, a, a0, a_row, a_r, a_k, b, b0, rows, columns, R, K, accumulate)


@given(
    rows=st.integers(1, 2 * TALL_ROWS + ROWS + 3),
    panels=st.integers(1, 5),
    R=st.integers(1, 3),
    K=st.integers(1, 9),
    transposed=st.booleans(),
    accumulate=st.booleans(),
)
def test_the_tile_multiplies_any_number_of_rows_and_panels(rows, panels, R, K, transposed, accumulate):
    a, b = numbers((R, rows, K)), numbers((panels, R, K, LANES), 1)
    stored, a_row, a_k = (np.swapaxes(a, 1, 2), 1, rows) if transposed else (a, K, 1)
    before = numbers((rows, panels * LANES + 3), 2)
    y = np.concatenate([before.reshape(-1), [9, 9]]).astype(np.float32)
    whole_product(
        y, 2, panels * LANES + 3, np.ascontiguousarray(stored).reshape(-1), 0, a_row, rows * K, a_k,
        b.reshape(-1), 0, rows, panels * LANES, R, K, accumulate,
    )  # fmt: skip
    expected = before.astype(np.float64)
    block = np.einsum("rik,prkc->ipc", a.astype(np.float64), b).reshape(rows, panels * LANES)
    expected[:, 2:-1] = block + (before[:, 2:-1] if accumulate else 0)
    np.testing.assert_allclose(y[:-2].reshape(before.shape), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(y[-2:], 9)


def test_the_processor_is_what_numba_compiles_for(monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+avx2,-fma,+avx")
    assert processor.processor_has("avx2")
    assert not processor.processor_has("fma")
    assert not processor.processor_has("avx512f")
    monkeypatch.setattr(numba.config, "CPU_FEATURES", None)
    assert processor.processor_has("avx2") == processor.HAS_SIMD or not processor.HAS_SIMD


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="this is the process without the compiler")
def test_the_same_without_the_compiler():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "4 passed, 1 skipped" in done.stdout
