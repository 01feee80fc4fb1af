"""The diagnosis: each kind of mistake is recognised, and a right gradient or an unknown mistake gets no name."""

import re

import numpy as np
import pytest

from minires.gradient_check.diagnosis import diagnose

rng = np.random.default_rng(0)
right = rng.standard_normal((3, 4, 5))
x = rng.standard_normal((3, 4, 5))
y = rng.standard_normal((3, 4, 5))
per_channel = rng.standard_normal((1, 4, 1))
one_row = np.where(np.arange(3).reshape(3, 1, 1) == 1, 0.0, right)

MISTAKES = [
    (0 * right, "backward's gradient is zero"),
    (-right, "the sign is wrong: backward gives −1 times"),
    (2 * right, "backward gives 2 times the gradient: a factor 1/2 is missing, or it was added twice"),
    (
        -right / 3,
        r"backward gives −1/3 of the gradient: a factor 3 is missing \(3 is the size of the argument's axis 0\)",
    ),
    (20 * right, r"a factor 1/20 is missing \(20 is the size of the argument's axes 1 and 2\)"),
    (0.7 * right, "backward gives 0.7 times the gradient: a constant factor is wrong"),
    (right.swapaxes(1, 2).reshape(3, 4, 5), "transposed: axes 1 and 2 are swapped"),
    (right[:, ::-1], "flipped along axis 1"),
    (right[:, ::-1, ::-1], "flipped along axes 1 and 2"),
    (np.roll(right, 1, axis=2), "shifted by [+]1 along axis 2"),
    (np.roll(right, -2, axis=2), "shifted by -2 along axis 2"),
    (rng.permutation(right.ravel()).reshape(3, 4, 5), "the right numbers in the wrong places"),
    (right + per_channel, "over axes 0 and 2 backward is off by a constant"),
    (
        right + per_channel * (x - x.mean(axis=(0, 2), keepdims=True)),
        "over axes 0 and 2 .* multiple of x minus its mean",
    ),
    (right + per_channel * y, "over axes 0 and 2 .* multiple of the output"),
    (right * per_channel, "right up to a factor that depends on axis 1 alone"),
    (one_row, "depends on axis 0 alone|40 of 60 elements are right; at the others backward gives 0"),
    (np.where(rng.random(right.shape) > 0.3, right, 0), "of 60 elements are right; at the others backward gives 0"),
    (np.where(rng.random(right.shape) > 0.3, right, right / 2), "at the others backward gives too little"),
    (
        np.where(rng.random(right.shape) > 0.3, right, -right),
        "of 60 elements are right; at the others the sign is wrong",
    ),
    (right / x, "a factor is missing: the argument"),
    (right * y, "there is a factor too many: the output"),
    (right / (1 - y), "a factor is missing: 1 minus the output"),
    (np.where(x > 1.5, np.nan, right), "not finite at"),
]


@pytest.mark.parametrize(("wrong", "says"), MISTAKES, ids=[says for _, says in MISTAKES])
def test_mistake_is_named(wrong, says):
    noise = 1e-9 * rng.standard_normal(right.shape)  # as finite differences have
    text = diagnose(wrong, right + noise, x, y)
    assert re.search(says, text), text


def test_what_fits_nothing_gets_no_name():
    assert diagnose(rng.standard_normal((3, 4, 5)), right, x, y) == ""


def test_a_right_gradient_gets_no_name():
    assert diagnose(right, right + 1e-9, x, y) == ""


def test_a_gradient_that_should_be_zero():
    assert "should be zero" in diagnose(right, 0 * right, x, y)
