"""The diagnosis of a function without formulas: what fits the slopes by differences is named, and nothing else is."""

import re

import numpy as np
import pytest

from minires import ops
from minires.engine import Op
from minires.gradient_check import GradientError, gradcheck
from minires.gradient_check.diagnosis import NO_NAME

rng = np.random.default_rng(0)
x = rng.standard_normal((3, 4, 5))
somewhere = rng.random(x.shape) > 0.3


class Cubed(Op):
    """An op of the reader's own, whose backward makes a mistake of what is right."""

    def __init__(self, mistake):
        self.mistake = mistake

    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, grad_y):
        return (self.mistake(grad_y * 3 * self.x**2, grad_y, self.x),)


MISTAKES = [
    (lambda right, g, x: 0 * right, "it is 0 everywhere: nothing comes back"),
    (lambda right, g, x: -right, "the sign is wrong"),
    (lambda right, g, x: 2 * right, "this is twice what it should be: counted twice"),
    (lambda right, g, x: -right / 2, "this is half of what it should be and of the wrong sign"),
    (lambda right, g, x: 0.7 * right, "this is 0.7 times what it should be"),
    (lambda right, g, x: np.swapaxes(right, 1, 2).reshape(x.shape), "it is transposed: axes 1 and 2 are exchanged"),
    (lambda right, g, x: right[:, ::-1], "it is flipped along axis 1"),
    (lambda right, g, x: right[:, ::-1, ::-1], "it is flipped along axes 1 and 2"),
    (lambda right, g, x: np.roll(right, 1, axis=2), "it is turned round by 1 along axis 2"),
    (lambda right, g, x: right / g, "what arrives is not used: this is the gradient for ones"),
    (lambda right, g, x: right * g, "what arrives is squared"),
    (lambda right, g, x: right * (np.arange(3) == 0)[:, None, None], "only the first image of the batch counts"),
    (lambda right, g, x: right / x, "a factor is missing: the argument"),
    (lambda right, g, x: right * x**3, "there is a factor too many: the output"),
    (lambda right, g, x: right / (1 - x**3), "a factor is missing: 1 minus the output"),
    (lambda right, g, x: np.where(x > 1, np.nan, right), r"\d+ of 60 numbers are not finite"),
    (lambda right, g, x: np.sin(1e3 * x), f"{NO_NAME}$"),
    (lambda right, g, x: np.where(somewhere, right, 0), rf"{NO_NAME}; {np.sum(~somewhere)} of 60 numbers are wrong"),
]  # fmt: skip


def diagnosis_of(function, *arrays):
    with pytest.raises(GradientError) as caught:
        gradcheck(function, *arrays)
    (wrong,) = [argument for argument in caught.value.report.arguments if argument.wrong]
    assert all(line in str(caught.value) for line in wrong.diagnosis.splitlines())
    return wrong.diagnosis


@pytest.mark.parametrize(("mistake", "says"), MISTAKES, ids=[says for _, says in MISTAKES])
def test_a_mistake_in_an_op_of_ones_own_is_named(mistake, says):
    text = diagnosis_of(lambda x: Cubed(mistake)(x), x)
    assert re.match(says, text), text


def test_the_wrong_places_are_drawn():
    text = diagnosis_of(lambda x: Cubed(lambda right, g, x: np.where(somewhere, right, 0))(x), x)
    drawn = [line.split() for line in text.splitlines() if set(line.split()) <= {"X", "."}]
    assert sum(row.count("X") for row in drawn) == np.sum(~somewhere)


def test_a_gradient_that_should_be_zero():
    class Constant(Op):
        def forward(self, x):
            self.x = x
            return np.ones_like(x)

        def backward(self, grad_y):
            return (grad_y * self.x,)

    assert "should be 0" in diagnosis_of(lambda x: Constant()(x), x)


def test_a_mistake_of_these_sizes_alone_is_said_to_be_one(monkeypatch):
    right = ops.arithmetic.Exp.backward

    def doubled_for_one(self, grad_y):
        return (2 * right(self, grad_y)[0],) if len(grad_y) == 1 else right(self, grad_y)

    monkeypatch.setattr(ops.arithmetic.Exp, "backward", doubled_for_one)
    assert "right on other arrays" in diagnosis_of(ops.exp, x[:1, :, 0])
