"""The table of gradient ratios at initialization, against figures from an independent NumPy program."""

import numpy as np
import pytest

from minires.lab import mlp_twin

# ‖dL/dx‖ / ‖dL/dh_last‖ at 10, 20, 50 and 100 linear layers, and var(h_last) / var(x) at 100.
EXPECTED = {
    "plain_pytorch": (1.3e-4, 1.8e-8, 4.9e-20, 1.8e-39, 2e-78),
    "plain_lecun": (3.1e-2, 1.1e-3, 4.1e-8, 1.3e-15, 1e-30),
    "plain_he": (0.98, 1.10, 1.38, 1.48, 1.4),
    "plain_norm": (4.2, 28.5, 7.8e3, 1.0e8, 0.39),
    "residual": (5.3, 34, 1.7e4, 8.7e8, 4e18),
    "residual_norm": (3.7, 8.1, 24, 60, 20),
    "misplaced_norm": (5.6, 12, 39, 91, 40),
    "always_projected": (3.4, 14, 1.1e3, 1.2e6, 0.76),
    "pre_activation_norm": (4.1, 7.3, 18, 36, 50),
    "pre_activation": (5.5, 32, 6.2e3, 3.4e7, 7e14),
    "skip_init": (1.6, 1.6, 1.6, 1.7, 2.7),
}
TIGHT = ("plain_norm", "residual_norm", "misplaced_norm", "always_projected", "pre_activation_norm", "skip_init")


@pytest.fixture(scope="module")
def table():
    """log10 of both ratios over 10 seeds, by row and number of layers."""
    return {(record["row"], record["layers"]): record for record in mlp_twin.measure_all(seeds=range(10))}


def gradient_logs(table, layers):
    return {row: table[row, layers]["log10_gradient_ratio"] for row in mlp_twin.ROWS}


@pytest.mark.parametrize("row", EXPECTED)
def test_gradient_ratio(table, row):
    for layers, expected in zip(mlp_twin.DEPTHS, EXPECTED[row], strict=False):
        tolerance = 0.3 if row in TIGHT else 0.4 if layers <= 50 else 0.6
        assert table[row, layers]["log10_gradient_ratio"] == pytest.approx(np.log10(expected), abs=tolerance), layers


@pytest.mark.parametrize("row", EXPECTED)
def test_variance_growth(table, row):
    # The variance moves with the square of what the gradient norm moves with, hence twice the tolerance.
    tolerance = 0.6 if row in TIGHT else 1.2
    assert table[row, 100]["log10_variance_ratio"] == pytest.approx(np.log10(EXPECTED[row][-1]), abs=tolerance)


def test_covers_every_row():
    assert list(EXPECTED) == list(mlp_twin.ROWS)


def test_order_of_the_rows_at_100_layers(table):
    logs = gradient_logs(table, 100)
    order = ["plain_pytorch", "plain_lecun", "skip_init", "pre_activation_norm", "residual_norm", "misplaced_norm",
             "always_projected", "pre_activation", "plain_norm", "residual"]
    assert sorted(order, key=logs.get) == order
    # Plain He and SkipInit are both near 1, in either order.
    assert logs["plain_lecun"] < logs["plain_he"] < logs["pre_activation_norm"]


def test_verdicts(table):
    """Vanishing comes from the initialization, explosion from batch norm or unscaled branches, and skips flatten."""
    shallow, deep = gradient_logs(table, 10), gradient_logs(table, 100)
    for row in ("plain_pytorch", "plain_lecun"):
        assert deep[row] < shallow[row] < 0
    for row in ("plain_norm", "residual", "always_projected", "pre_activation"):
        assert deep[row] > shallow[row] + 3 and shallow[row] > 0
    for row in ("residual_norm", "misplaced_norm", "pre_activation_norm"):
        assert 0 < deep[row] < 2.3
    for row in ("plain_he", "skip_init"):
        assert abs(deep[row]) < 1
    # With batch norm a plain layer multiplies the gradient by about sqrt(pi / (pi - 1)) (Yang et al. 2019).
    assert 10 ** ((deep["plain_norm"] - shallow["plain_norm"]) / 90) == pytest.approx(1.211, abs=0.02)


def test_same_seed_same_figures():
    assert mlp_twin.measure("residual_norm", 10, seed=3) == mlp_twin.measure("residual_norm", 10, seed=3)
    assert mlp_twin.measure("residual_norm", 10, seed=3) != mlp_twin.measure("residual_norm", 10, seed=4)


def test_bad_input():
    with pytest.raises(ValueError, match="unknown row 'dense'; known: plain_pytorch"):
        mlp_twin.measure("dense", 10)
    with pytest.raises(ValueError, match="2 linear layers in a block, 9 layers cannot"):
        mlp_twin.measure("residual", 9)
