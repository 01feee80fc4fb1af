"""Convolution with groups and dilation: loops that nobody can misread, PyTorch, and what is promised beside numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minires import kernels, nn, ops
from minires.engine import Tensor
from minires.gradient_check import gradcheck
from minires.kernels import numpy_kernels
from minires.ops.convolution import Conv2d
from minires.ops.grouped_convolution import GroupedConv2d

seeds = st.integers(0, 2**32 - 1)
ORDERS = ["C", "F", "channels-last", "reversed"]
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 2), st.integers(0, 2))


@pytest.fixture(params=["numpy", "numba"])
def module(request):
    with kernels.use(request.param) as module:
        yield module


@st.composite
def convolutions(draw):
    """Draw x, weight, bias and (stride, padding, dilation, groups) that go together."""
    groups, CG, FG = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel, stride, padding, dilation = draw(pairs), draw(pairs), draw(paddings), draw(pairs)
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
    H, W = [draw(st.integers(one, one + 4)) for one in least]
    rng = np.random.default_rng(draw(seeds))
    shapes = (draw(st.integers(1, 2)), groups * CG, H, W), (groups * FG, CG, *kernel), (groups * FG,)
    return [rng.integers(-3, 4, shape).astype(float) for shape in shapes], (stride, padding, dilation, groups)


def by_loops(x, weight, bias, grad_y, stride, padding, dilation, groups):
    """y, or for grad_y the three gradients: one product after the other."""
    (N, C, H, W), (F, CG, KH, KW) = x.shape, weight.shape
    I = (H + 2 * padding[0] - dilation[0] * (KH - 1) - 1) // stride[0] + 1
    J = (W + 2 * padding[1] - dilation[1] * (KW - 1) - 1) // stride[1] + 1
    y = np.zeros((N, F, I, J)) + bias.reshape(1, F, 1, 1)
    grad_y = np.zeros(y.shape) if grad_y is None else grad_y
    grad_x, grad_weight = np.zeros(x.shape), np.zeros(weight.shape)
    for n, f, i, j in np.ndindex(y.shape):
        first_channel = f // (F // groups) * (C // groups)
        for c, u, v in np.ndindex(CG, KH, KW):
            h, w = i * stride[0] + u * dilation[0] - padding[0], j * stride[1] + v * dilation[1] - padding[1]
            if 0 <= h < H and 0 <= w < W:
                y[n, f, i, j] += weight[f, c, u, v] * x[n, first_channel + c, h, w]
                grad_x[n, first_channel + c, h, w] += weight[f, c, u, v] * grad_y[n, f, i, j]
                grad_weight[f, c, u, v] += x[n, first_channel + c, h, w] * grad_y[n, f, i, j]
    return y, grad_x, grad_weight, grad_y.sum(axis=(0, 2, 3))


@given(convolutions())
def test_the_numpy_kernels_against_loops(drawn):
    (x, weight, bias), window = drawn
    y, *_ = by_loops(x, weight, bias, None, *window)
    np.testing.assert_array_equal(numpy_kernels.grouped_conv2d_forward(x, weight, bias, *window), y)
    grad_y = np.random.default_rng(0).integers(-3, 4, y.shape).astype(float)
    _, grad_x, grad_weight, _ = by_loops(x, weight, bias, grad_y, *window)
    found = numpy_kernels.grouped_conv2d_grad_input(grad_y, weight, x.shape, *window)
    np.testing.assert_array_equal(found, grad_x)
    found = numpy_kernels.grouped_conv2d_grad_weight(grad_y, x, weight.shape, *window)
    np.testing.assert_array_equal(found, grad_weight)


@settings(max_examples=15)
@given(convolutions(), st.sampled_from(["float32", "float64"]), st.sampled_from(ORDERS))
def test_the_op_against_loops_in_every_memory_order(drawn, dtype, order):
    """Small whole numbers: all sums are exact in float32 too."""
    arrays, window = drawn
    arrays = [array.astype(dtype) for array in arrays]
    expected_y, *_ = by_loops(*arrays, None, *window)
    grad_y = np.random.default_rng(1).integers(-3, 4, expected_y.shape).astype(dtype)
    expected = by_loops(*arrays, grad_y, *window)
    for name in ("numpy", "numba"):
        with kernels.use(name):
            tensors = [Tensor(in_order(array, order), requires_grad=True) for array in arrays]
            y = ops.conv2d(*tensors, *window)
            y.backward(in_order(grad_y, order))
        for found, wanted in zip([y.data, *[tensor.grad for tensor in tensors]], expected, strict=True):
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, wanted)


def in_order(x, order):
    if order == "F":
        return np.asfortranarray(x)
    if order == "channels-last" and x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if order == "reversed":
        backwards = (slice(None, None, -1),) * x.ndim
        return np.array(x[backwards])[backwards]
    return x.copy()


@given(convolutions(), seeds)
def test_as_pytorch(drawn, seed):
    torch = pytest.importorskip("torch")
    arrays, (stride, padding, dilation, groups) = drawn
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(array.shape) for array in arrays]
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = ops.conv2d(*tensors, stride=stride, padding=padding, dilation=dilation, groups=groups)
    theirs = torch.nn.functional.conv2d(*leaves, stride, padding, dilation, groups)
    np.testing.assert_allclose(y.data, theirs.detach().numpy(), rtol=1e-10, atol=1e-11)
    grad_y = rng.standard_normal(y.shape)
    y.backward(grad_y)
    theirs.backward(torch.tensor(grad_y))
    for tensor, leaf in zip(tensors, leaves, strict=True):
        np.testing.assert_allclose(tensor.grad, leaf.grad.numpy(), rtol=1e-9, atol=1e-10)


@settings(max_examples=8)
@given(convolutions(), seeds)
def test_finite_differences(drawn, seed):
    arrays, window = drawn
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(array.shape) for array in arrays]
    with kernels.use("numpy"):
        gradcheck(lambda x, weight, bias: ops.conv2d(x, weight, bias, *window), *arrays, seed=seed)


def test_groups_are_convolutions_side_by_side(module):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 8, 6, 5)), rng.standard_normal((12, 2, 3, 3))
    y = ops.conv2d(Tensor(x), Tensor(weight), None, 2, 1, groups=4).data
    for g in range(4):
        part = ops.conv2d(Tensor(x[:, 2 * g : 2 * g + 2]), Tensor(weight[3 * g : 3 * g + 3]), None, 2, 1).data
        np.testing.assert_allclose(y[:, 3 * g : 3 * g + 3], part, rtol=1e-12, atol=1e-12)


def test_dilation_by_hand(module):
    x = np.arange(1.0, 8.0).reshape(1, 1, 1, 7)
    weight = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 1, 3)
    y = ops.conv2d(Tensor(x), Tensor(weight), dilation=(1, 2)).data
    np.testing.assert_array_equal(y.ravel(), [531, 642, 753])


def test_one_group_without_dilation_is_the_plain_convolution():
    """However the ones are given; a reader who steps through it meets nothing else."""
    x, weight = Tensor(np.ones((1, 2, 4, 5))), Tensor(np.ones((3, 2, 3, 3)), requires_grad=True)
    for dilation in (1, (1, 1), [1, 1], np.array([1, 1]), np.int64(1)):
        for groups in (1, np.int64(1)):
            assert type(ops.conv2d(x, weight, dilation=dilation, groups=groups).op) is Conv2d
    for options in ({"dilation": 2, "padding": 1}, {"dilation": (1, 2)}, {"dilation": np.array([2, 1]), "padding": 1}):
        assert type(ops.conv2d(x, weight, **options).op) is GroupedConv2d
    assert type(nn.Conv2d(2, 3, 3, dilation=(1, 1), seed=0).to("float64")(x).op) is Conv2d


def test_the_first_layer_does_not_compute_the_gradient_of_the_image(monkeypatch):
    def refuse(*args):
        raise AssertionError("the gradient of the image was computed")

    with kernels.use("numpy") as module:
        monkeypatch.setattr(module, "grouped_conv2d_grad_input", refuse)
        weight = Tensor(np.ones((4, 1, 3, 3)), requires_grad=True)
        ops.conv2d(Tensor(np.ones((1, 2, 4, 5))), weight, groups=2).sum().backward()
        assert weight.grad.shape == weight.shape


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_windows_and_its_group(module, bad):
    """Between the taps of a filter with dilation nothing is seen, so an infinity there does no harm."""
    rng = np.random.default_rng(0)
    x, weight = rng.uniform(1, 2, (1, 4, 7, 7)), rng.uniform(1, 2, (4, 2, 3, 3))
    x[0, 1, 3, 3] = bad
    y = ops.conv2d(Tensor(x), Tensor(weight), padding=2, dilation=2, groups=2).data
    seen = np.zeros((7, 7), bool)
    seen[1::2, 1::2] = True  # 3 ± 2 and 3 itself
    np.testing.assert_array_equal(~np.isfinite(y[0, :2]), [seen, seen])
    assert np.isfinite(y[0, 2:]).all()


def test_an_infinite_weight_shows_in_every_output_also_over_the_padding(module):
    weight = np.ones((2, 1, 3, 3), "f")
    weight[1, 0, 0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        y = ops.conv2d(Tensor(np.ones((1, 2, 3, 3), "f")), Tensor(weight), padding=1, groups=2).data
    assert np.isfinite(y[:, 0]).all() and not np.isfinite(y[:, 1]).any()


def test_a_large_batch_keeps_its_digits(module):
    """The sum of a weight's gradient runs over 100,000 pixels, in float32."""
    rng = np.random.default_rng(0)
    x, grad_y = rng.uniform(0, 1, (2, 8, 2, 112, 112)).astype("f")
    window = (1, 1), (0, 0), (1, 1), 2
    found = module.grouped_conv2d_grad_weight(grad_y, x, (2, 1, 1, 1), *window)
    expected = (x.astype(float) * grad_y).sum(axis=(0, 2, 3)).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
