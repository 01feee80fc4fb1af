"""The norm of arrays: in float64, of any size that a number can have."""

import numpy as np
import pytest

from minires.kernels.norms import norm


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_squares_neither_vanish_nor_overflow(scale):
    assert norm(scale * np.array([[3.0, 0.0], [-4.0, 0.0]])) == pytest.approx(5 * scale, rel=1e-14)
    assert norm(np.array([2 * scale]), np.array([[-3 * scale, 6 * scale]])) == pytest.approx(7 * scale, rel=1e-14)


def test_float32_is_summed_in_float64():
    assert norm(np.full(4, 1e-30, np.float32)) == pytest.approx(2e-30)
    assert norm(np.full(4, 2e38, np.float32)) == pytest.approx(4e38)
    array = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    assert norm(array) == pytest.approx(np.linalg.norm(array.astype(np.float64)), rel=1e-14)


@pytest.mark.parametrize("values", [[np.nan, 1.0], [1.0, np.nan], [np.nan, np.inf], [np.inf, np.nan]])
def test_nan_is_told(values):
    assert np.isnan(norm(np.array(values))) and np.isnan(norm(*[np.array([value]) for value in values]))


def test_infinity_is_told():
    assert norm(np.array([1.0, -np.inf])) == norm(np.array([1e300]), np.array([np.inf])) == np.inf


def test_nothing_has_no_norm():
    assert norm() == norm(np.zeros((0, 3))) == norm(np.zeros(3, np.float32)) == 0.0


def test_a_number_is_an_array_without_axes():
    assert norm(np.array(-2.0)) == 2.0
