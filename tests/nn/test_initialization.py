"""How parameters start: the schemes' distributions, and that a start hangs on the seed and the name alone."""

import math

import numpy as np
import pytest

from minires import nn


def big_conv(init):
    return nn.Conv2d(32, 96, 5, init=init, seed=0)  # 76 800 weights, fan_in 800, fan_out 2400


@pytest.mark.parametrize(
    "init, std, bound",
    [
        ("pytorch", math.sqrt(1 / (3 * 800)), math.sqrt(1 / 800)),
        ("lecun", math.sqrt(1 / 800), None),
        ("xavier", math.sqrt(2 / (800 + 2400)), math.sqrt(6 / (800 + 2400))),
        ("he", math.sqrt(2 / 2400), None),
        ("he_fan_in", math.sqrt(2 / 800), None),
    ],
)
def test_statistics_of_a_convolution(init, std, bound):
    layer = big_conv(init)
    weight = layer.weight.data.astype(np.float64)
    assert layer.weight.dtype == np.float32
    assert abs(weight.mean()) < 4 * std / math.sqrt(weight.size)
    assert weight.std() == pytest.approx(std, rel=0.015)
    if bound is None:
        assert np.mean(np.abs(weight) > 2 * std) == pytest.approx(0.0455, abs=0.004)  # a normal distribution's tails
    else:
        assert 0.999 * bound < np.abs(weight).max() <= bound * (1 + 1e-6)
    if init == "pytorch":
        bias = layer.bias.data
        assert 0.9 / math.sqrt(800) < np.abs(bias).max() <= 1 / math.sqrt(800) * (1 + 1e-6)
    else:
        np.testing.assert_array_equal(layer.bias.data, 0)


@pytest.mark.parametrize(
    "init, variance",
    [
        ("pytorch", 1 / (3 * 200)),
        ("lecun", 1 / 200),
        ("xavier", 2 / (200 + 600)),
        ("he", 2 / 600),
        ("he_fan_in", 2 / 200),
    ],
)
def test_groups_are_drawn_as_convolutions_of_their_own(init, variance):
    """Four groups of 8 channels and 24 filters, 5×5: 200 inputs reach an output, 600 outputs an input."""
    layer = nn.Conv2d(32, 96, 5, groups=4, init=init, seed=0)
    weight = layer.weight.data.astype(np.float64)
    assert weight.shape == (96, 8, 5, 5) and weight.var() == pytest.approx(variance, rel=0.04)
    assert len(np.unique(layer.weight.data)) > 0.95 * weight.size  # no group repeats another
    if init == "pytorch":
        assert 0.9 / math.sqrt(200) < np.abs(layer.bias.data).max() <= 1 / math.sqrt(200) * (1 + 1e-6)
    one = nn.Conv2d(32, 96, 5, init=init, seed=0)
    assert not np.any(one.weight.data[:, :8] == layer.weight.data)


@pytest.mark.parametrize(
    "init, std",
    [("pytorch", 1 / math.sqrt(900)), ("lecun", 1 / math.sqrt(300)), ("xavier", 1 / math.sqrt(200)),
     ("he", math.sqrt(2 / 300)), ("he_fan_in", math.sqrt(2 / 300))],
)  # fmt: skip
def test_statistics_of_a_linear_layer(init, std):
    assert nn.Linear(300, 100, init=init, seed=0).weight.data.std() == pytest.approx(std, rel=0.02)


def test_norm_layers_start_at_one_and_zero():
    norm = nn.BatchNorm2d(4)
    norm.weight.data[...] = norm.bias.data[...] = 7
    nn.initialize(norm, "pytorch", seed=0)
    np.testing.assert_array_equal(norm.weight.data, 1)
    np.testing.assert_array_equal(norm.bias.data, 0)


def test_a_start_depends_on_seed_and_name_alone():
    small = nn.Sequential(nn.Conv2d(2, 3, 3), seed=5)
    large = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), seed=5)
    np.testing.assert_array_equal(small[0].weight.data, large[0].weight.data)
    np.testing.assert_array_equal(small[0].bias.data, large[0].bias.data)
    other = nn.Sequential(nn.Conv2d(2, 3, 3), seed=6)
    assert not np.any(small[0].weight.data == other[0].weight.data)
    twins = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), seed=5)
    assert not np.any(twins[0].weight.data == twins[1].weight.data)


def test_the_key_is_the_dotted_name():
    layer = nn.Sequential(nn.Linear(3, 2), seed=5)[0]
    generator = np.random.default_rng(np.random.SeedSequence(5, spawn_key=tuple(b"0.weight")))
    bound = 1 / math.sqrt(3)
    np.testing.assert_array_equal(layer.weight.data, generator.uniform(-bound, bound, (2, 3)).astype(np.float32))


def test_float32_is_the_rounded_float64():
    single = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(4, 5))
    double = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(4, 5)).to("float64")
    for init in nn.SCHEMES:
        nn.initialize(single, init, seed=1)
        nn.initialize(double, init, seed=1)
        for a, b in zip(single.parameters(), double.parameters(), strict=True):
            assert a.dtype == np.float32 and b.dtype == np.float64
            np.testing.assert_array_equal(a.data, b.data.astype(np.float32))


def test_without_a_seed_every_draw_is_fresh():
    first, second = nn.Linear(3, 4), nn.Linear(3, 4)
    assert not np.any(first.weight.data == second.weight.data)


def test_layers_draw_like_the_model_and_can_be_left_at_zero():
    np.testing.assert_array_equal(nn.Linear(3, 4, init=None).weight.data, 0)
    alone = nn.Linear(3, 4, init="he", seed=2)
    again = nn.Linear(3, 4, init=None)
    nn.initialize(again, "he", seed=2)
    np.testing.assert_array_equal(alone.weight.data, again.weight.data)


def test_other_parameters_are_left_alone():
    class Odd(nn.Module):
        def __init__(self):
            self.temperature = nn.Parameter(np.full(1, 3.0, np.float32))
            self.bias = nn.Parameter(np.full(2, 3.0, np.float32))

    odd = Odd()
    nn.initialize(odd, "he", seed=0)
    assert odd.temperature.data[0] == 3 and np.all(odd.bias.data == 0)


def test_bad_options_change_nothing():
    layer = nn.Linear(3, 4, seed=0)
    before = layer.state_dict()
    with pytest.raises(ValueError, match="initialize: unknown init 'kaiming'; known: pytorch, lecun, xavier, he"):
        nn.initialize(layer, "kaiming")
    with pytest.raises(ValueError, match="initialize: seed must be None or a whole number from 0 up, got -1"):
        nn.initialize(layer, "he", seed=-1)
    with pytest.raises(TypeError, match="float"):
        nn.initialize(layer, "he", seed=0.5)
    for init in ("zero_gamma", "skipinit", "skipinit_sqrt", "fixup"):
        with pytest.raises(ValueError, match=f"unknown init '{init}'; .*; for residual networks: models.initialize"):
            nn.initialize(layer, init)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
