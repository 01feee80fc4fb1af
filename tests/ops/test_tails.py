"""Activations far out: values and slopes against exact ones, to the last digits, wherever those are normal numbers."""

import mpmath
import numpy as np
import pytest

from minires import ops
from minires.engine import Tensor
from minires.ops.activation import SELU_ALPHA, SELU_SCALE

LIMIT = {"float32": 1e-6, "float64": 1e-14}


def exact(x):
    return mpmath.mpf(float(x))


def elu(alpha, scale=1.0):
    def value(x):
        return scale * (x if x > 0 else alpha * mpmath.expm1(x))

    def slope(x):
        return mpmath.mpf(scale) * (1 if x > 0 else alpha * mpmath.exp(x))

    return lambda x: ops.elu(x, alpha), value, slope


def constant(dtype, number):
    """The number as the op has it: rounded to its dtype."""
    return float(np.dtype(dtype).type(number))


def activations(dtype):
    sigmoid = lambda x: 1 / (1 + mpmath.exp(-x))  # noqa: E731
    leak = constant(dtype, 0.01)
    return {
        "sigmoid": (ops.sigmoid, sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
        "tanh": (ops.tanh, mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
        "elu": elu(1.0),
        "elu, alpha 300": elu(300.0),
        "elu, alpha 0.7": elu(0.7),
        "selu": (ops.selu, *elu(SELU_ALPHA, SELU_SCALE)[1:]),
        "leaky_relu": (ops.leaky_relu, lambda x: x if x > 0 else leak * x, lambda x: mpmath.mpf(1 if x > 0 else leak)),
        "relu": (ops.relu, lambda x: max(x, mpmath.mpf(0)), lambda x: mpmath.mpf(x > 0)),
    }


def points(dtype):
    """Numbers of all sizes, to where results stop being normal numbers, of both signs, and 0."""
    far = 89 if dtype == "float32" else 712
    rng = np.random.default_rng(0)
    sizes = np.concatenate([np.linspace(0, far, 150), rng.uniform(0, 20, 100), np.geomspace(1e-30, 1, 60)])
    return np.concatenate([-sizes, sizes]).astype(dtype)


def assert_digits(found, expected, dtype):
    tiny = float(np.finfo(dtype).tiny)
    for place, (one, other) in enumerate(zip(found.ravel(), expected, strict=True)):
        if abs(other) < tiny:
            assert abs(exact(one)) <= tiny * (1 + LIMIT[dtype]), place
        else:
            assert abs(exact(one) - other) <= LIMIT[dtype] * abs(other), (place, float(one), float(other))


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("name", activations("float64"))
def test_values_and_slopes(name, dtype):
    op, value, slope = activations(dtype)[name]
    x = Tensor(points(dtype), requires_grad=True)
    with mpmath.workdps(40):
        y = op(x)
        y.backward(np.ones_like(x.data))
        assert_digits(y.data, [value(exact(number)) for number in x.data], dtype)
        assert_digits(x.grad, [slope(exact(number)) for number in x.data], dtype)


def rows(dtype):
    """Logits far apart and close together, with ties for the largest, around 0 and around a large number."""
    rng = np.random.default_rng(0)
    far = 85 if dtype == "float32" else 700
    drawn = [
        rng.uniform(-far / 2, far / 2, 5),
        rng.normal(0, 3, 5),
        [0, -far, -1, 0, -30],
        [20, 0, 0, 0, 1],
        [7, 7, 7, 7, 7],
    ]
    return np.array([*drawn, 100 + rng.uniform(-far / 2, far / 2, 5), 1000 + rng.normal(0, 9, 5)]).astype(dtype)


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_every_entry_of_its_jacobian(name, dtype):
    logits = rows(dtype)
    with mpmath.workdps(400):
        for row in logits:
            z = [exact(number) for number in row]
            total = mpmath.fsum([mpmath.exp(each) for each in z])
            p = [mpmath.exp(each) / total for each in z]
            others = [mpmath.fsum([p[j] for j in range(5) if j != k]) for k in range(5)]
            log_p = [each - mpmath.log(total) for each in z]
            x = Tensor(row[None], requires_grad=True)
            y = getattr(ops, name)(x)
            assert_digits(y.data, p if name == "softmax" else log_p, dtype)
            for k in range(5):  # the gradient of output k alone
                x.grad = None
                getattr(ops, name)(x).backward(np.eye(5, dtype=dtype)[k : k + 1])
                if name == "softmax":
                    expected = [p[k] * others[k] if j == k else -p[k] * p[j] for j in range(5)]
                else:
                    expected = [others[k] if j == k else -p[j] for j in range(5)]
                assert_digits(x.grad, expected, dtype)


def test_softmax_of_logits_that_rule_classes_out():
    row = np.array([[1.0, -np.inf, 3.0], [-np.inf, -np.inf, 0.0]])
    with np.errstate(all="raise", under="ignore"):
        p, log_p = ops.softmax(Tensor(row)).data, ops.log_softmax(Tensor(row)).data
    odds = np.exp(2)
    np.testing.assert_allclose(p, [[1 / (1 + odds), 0, odds / (1 + odds)], [0, 0, 1]], rtol=1e-14)
    assert np.isneginf(log_p).tolist() == [[False, True, False], [True, True, False]]
