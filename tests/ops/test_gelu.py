"""GELU: every digit of values and slopes, also where Φ is below 1e-300, and what infinities give."""

import mpmath
import numpy as np
import pytest

from minires import ops
from minires.engine import Tensor
from minires.ops.gaussian import normal_cdf_and_pdf

LIMIT = {"float32": 1e-6, "float64": 1e-14}
FAR = {"float32": 13.0, "float64": 37.4}  # there Φ stops being a normal number


def points(dtype):
    """Numbers of all sizes and both signs; also beside the places where one rational function follows another."""
    rng = np.random.default_rng(0)
    sizes = np.concatenate([np.linspace(0, FAR[dtype], 200), rng.uniform(0, 6, 100), np.geomspace(1e-30, 1, 60)])
    seams = np.array([0.46875, 4], dtype) * np.sqrt(np.array(2, dtype))
    sizes = np.concatenate([sizes.astype(dtype), np.nextafter(seams, 0), seams, np.nextafter(seams, 50)])
    return np.concatenate([-sizes, sizes]).astype(dtype)


def exact(x, approximate):
    """x·Φ, and both terms of the slope, whose sum passes through 0; the tanh form's exponent besides."""
    if approximate == "none":
        cdf = mpmath.erfc(-x / mpmath.sqrt(2)) / 2
        return cdf, cdf, x * mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi), 0
    root = mpmath.sqrt(2 / mpmath.pi)
    u = root * (x + mpmath.mpf("0.044715") * x**3)
    s, rest = 1 / (1 + mpmath.exp(-2 * u)), 1 / (1 + mpmath.exp(2 * u))
    return s, s, x * s * rest * 2 * root * (1 + 3 * mpmath.mpf("0.044715") * x * x), abs(2 * u) if x < 0 else 0


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", LIMIT)
def test_values_and_slopes(dtype, approximate):
    x = Tensor(points(dtype), requires_grad=True)
    y = ops.gelu(x, approximate)
    y.backward(np.ones_like(x.data))
    assert y.dtype == x.grad.dtype == dtype
    tiny = float(np.finfo(dtype).tiny)
    with mpmath.workdps(40):
        for number, value, slope in zip(x.data, y.data, x.grad, strict=True):
            share, first, second, exponent = exact(mpmath.mpf(float(number)), approximate)
            if share < 2 * tiny:  # no longer a normal number
                assert abs(value) <= 4 * tiny * max(1, abs(number)) and abs(slope) <= 300 * tiny * abs(number)
                continue
            limit = LIMIT[dtype] * max(1, exponent)  # the tanh form's exponent is rounded
            expected = mpmath.mpf(float(number)) * share
            assert abs(mpmath.mpf(float(value)) - expected) <= limit * abs(expected), number
            off = abs(mpmath.mpf(float(slope)) - (first + second))
            assert off <= limit * (abs(first) + abs(second)), number


def test_the_normal_distribution():
    x = np.array([-37.0, -10.0, -1.0, 0.0, 1.0, 3.0])
    cdf, pdf = normal_cdf_and_pdf(np, x)
    with mpmath.workdps(40):
        np.testing.assert_allclose(cdf, [float(mpmath.ncdf(number)) for number in x], rtol=1e-14)
        np.testing.assert_allclose(pdf, [float(mpmath.npdf(number)) for number in x], rtol=1e-14)


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_far_out_nothing_overflows(dtype, approximate):
    x = Tensor(np.array([-1e30, -300, 0, 300, 1e30], dtype), requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        y = ops.gelu(x, approximate)
        y.backward(np.ones(5, dtype))
    np.testing.assert_array_equal(y.data, np.array([0, 0, 0, 300, 1e30], dtype))
    np.testing.assert_array_equal(x.grad, [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_against_pytorch_and_its_infinities(approximate):
    torch = pytest.importorskip("torch")
    values = np.array([*np.random.default_rng(0).normal(0, 3, 50), -np.inf, -2, -0.0, 0.5, np.inf, np.nan])
    here, there = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = ops.gelu(here, approximate)
        y.backward(np.full(values.shape, 2.0))
    expected = torch.nn.functional.gelu(there, approximate=approximate)
    expected.backward(torch.full(values.shape, 2.0, dtype=torch.float64))
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(here.grad, there.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_tanh_form_is_near_the_exact_one():
    x = Tensor(np.linspace(-10, 10, 2001))
    off = np.abs(ops.gelu(x).data - ops.gelu(x, "tanh").data).max()
    assert 1e-4 < off < 5e-4


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0, 4)])
def test_one_number_and_none(shape):
    x = Tensor(np.full(shape, 1.5, np.float32), requires_grad=True)
    y = ops.gelu(x)
    y.backward(np.ones(shape, np.float32))
    assert y.shape == x.grad.shape == shape and y.dtype == x.grad.dtype == np.float32
