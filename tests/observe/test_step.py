"""The statistics of an array, as a step records them."""

import numpy as np
import pytest

from minires.observe.step import statistics


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_statistics(scale):
    found = statistics(scale * np.array([[3.0, 0.0], [-4.0, 0.0]]))
    assert found.norm == pytest.approx(5 * scale) and found.mean == pytest.approx(-0.25 * scale)
    assert found.abs_max == 4 * scale and found.zeros == 0.5
    assert (found.nans, found.infs, found.finite) == (0, 0, True)


def test_statistics_of_what_is_not_finite():
    found = statistics(np.array([np.nan, np.inf, 0.0, -np.inf], np.float32))
    assert (found.nans, found.infs, found.zeros, found.finite) == (1, 2, 0.25, False)
    assert np.isnan(found.norm)
    found = statistics(np.array([np.inf, 1.0]))
    assert (found.norm, found.infs, found.finite) == (np.inf, 1, False)
    assert statistics(np.zeros((0, 3))).norm == 0 and statistics(np.zeros(3)).norm == 0


def test_tiny_float32_gradients_have_a_norm():
    assert statistics(np.full(4, 1e-30, np.float32)).norm == pytest.approx(2e-30)
