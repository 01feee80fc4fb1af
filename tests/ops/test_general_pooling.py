"""Pools with ceil_mode and count_include_pad: lists of pixels that nobody can misread, PyTorch, and the corners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minires import kernels, nn, ops
from minires.engine import Tensor
from minires.gradient_check import gradcheck
from minires.ops.pooling import AvgPool2d, MaxPool2d

seeds = st.integers(0, 2**32 - 1)
KINDS = {
    "max, ceil": lambda x, *window: ops.max_pool2d(x, *window, ceil_mode=True),
    "mean, ceil": lambda x, *window: ops.avg_pool2d(x, *window, True),
    "mean, ceil, without padding": lambda x, *window: ops.avg_pool2d(x, *window, True, False),
    "mean, without padding": lambda x, *window: ops.avg_pool2d(x, *window, False, False),
}


@pytest.fixture(params=["numpy", "numba"])
def module(request):
    with kernels.use(request.param) as module:
        yield module


@st.composite
def pools(draw):
    """Draw a shape and a window, which may be larger than the image."""
    size = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = tuple([draw(st.integers(0, one // 2)) for one in size])
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return shape, (size, stride, padding)


def windows_along(length, size, stride, padding, ceil_mode):
    """List the places that each window sees along one axis, numbered from the image's first pixel."""
    found, start = [], -padding
    while True:
        places = list(range(start, start + size))
        fits = places[-1] < length + padding
        begun_behind = start >= length
        something_left = start - stride + size < length + padding  # the window before has not come to the end
        if not fits and (not ceil_mode or begun_behind or not something_left):
            return found
        found.append(places)
        start += stride


def by_lists(kind, x, grad_y, size, stride, padding):
    """y and dL/dx, window by window, or None where there is no window."""
    ceil_mode = "ceil" in kind
    H, W = x.shape[2:]
    tops, lefts = [windows_along(x.shape[2 + k], size[k], stride[k], padding[k], ceil_mode) for k in range(2)]
    if not tops or not lefts:
        return None
    y, grad_x = np.zeros((*x.shape[:2], len(tops), len(lefts))), np.zeros(x.shape)
    for n, c, i, j in np.ndindex(y.shape):
        pixels = [(h, w) for h in tops[i] for w in lefts[j]]
        padded = [(h, w) for h, w in pixels if h < H + padding[0] and w < W + padding[1]]
        inside = [(h, w) for h, w in pixels if 0 <= h < H and 0 <= w < W]
        if "max" in kind:
            winner = max(inside, key=lambda place: x[n, c, place[0], place[1]])  # the first of equals
            shares = {winner: 1.0}
        else:
            count = len(inside) if "without" in kind else len(padded)
            shares = dict.fromkeys(inside, 1 / count)
        for (h, w), share in shares.items():
            y[n, c, i, j] += share * x[n, c, h, w]
            if grad_y is not None:
                grad_x[n, c, h, w] += share * grad_y[n, c, i, j]
    return y, grad_x


@pytest.mark.parametrize("kind", KINDS)
@given(pools(), seeds)
def test_against_lists_of_pixels(kind, drawn, seed):
    shape, window = drawn
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 3, shape).astype(float)  # with ties
    expected = by_lists(kind, x, None, *window)
    for name in ("numpy", "numba"):
        with kernels.use(name):
            tensor = Tensor(x, requires_grad=True)
            if expected is None:
                with pytest.raises(ValueError, match="window does not fit x"):
                    KINDS[kind](tensor, *window)
                continue
            y = KINDS[kind](tensor, *window)
            grad_y = np.random.default_rng(seed).standard_normal(y.shape)
            y.backward(grad_y)
        right_y, right_grad = by_lists(kind, x, grad_y, *window)
        np.testing.assert_allclose(y.data, right_y, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(tensor.grad, right_grad, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@given(pools(), seeds)
def test_as_pytorch(kind, drawn, seed):
    torch = pytest.importorskip("torch")
    pool = torch.nn.functional
    theirs = {
        "max, ceil": lambda x, *window: pool.max_pool2d(x, *window, ceil_mode=True),
        "mean, ceil": lambda x, *window: pool.avg_pool2d(x, *window, True),
        "mean, ceil, without padding": lambda x, *window: pool.avg_pool2d(x, *window, True, False),
        "mean, without padding": lambda x, *window: pool.avg_pool2d(x, *window, False, False),
    }[kind]
    shape, window = drawn
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 3, shape) + 0.25 * rng.integers(0, 2, shape)
    leaf, tensor = torch.tensor(x, requires_grad=True), Tensor(x, requires_grad=True)
    try:
        expected = theirs(leaf, *window)
    except RuntimeError:
        with pytest.raises(ValueError, match="window does not fit x"):
            KINDS[kind](tensor, *window)
        return
    y = KINDS[kind](tensor, *window)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    grad_y = rng.standard_normal(y.shape)
    y.backward(grad_y)
    expected.backward(torch.tensor(grad_y))
    np.testing.assert_allclose(tensor.grad, leaf.grad.numpy(), rtol=1e-12, atol=1e-12)


@settings(max_examples=5)
@pytest.mark.parametrize("kind", KINDS)
@given(pools(), seeds)
def test_finite_differences(kind, drawn, seed):
    shape, window = drawn
    x = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) / 7.0
    if by_lists(kind, x, None, *window) is not None:
        with kernels.use("numpy"):
            gradcheck(lambda x: KINDS[kind](x, *window), x, seed=seed)


def test_by_hand(module):
    x = np.array([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]])
    assert ops.max_pool2d(Tensor(x), (1, 2), ceil_mode=True).data.tolist() == [[[[2, 4, 5]]]]
    assert ops.avg_pool2d(Tensor(x), (1, 2), ceil_mode=True).data.tolist() == [[[[1.5, 3.5, 5]]]]
    # … 0 1 | 2 3 | 4 5 | 0: a window that began there would see padding alone
    assert ops.max_pool2d(Tensor(x), (1, 2), 2, (0, 1), ceil_mode=True).data.tolist() == [[[[1, 3, 5]]]]
    found = ops.avg_pool2d(Tensor(x), (1, 2), 2, (0, 1), count_include_pad=False).data
    assert found.tolist() == [[[[1, 2.5, 4.5]]]]
    assert ops.max_pool2d(Tensor(x[..., :1]), 3, ceil_mode=True).data.tolist() == [[[[1]]]]  # larger than the image


def test_without_them_the_plain_pools_run():
    x = Tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    assert type(ops.max_pool2d(x, 3, 2, ceil_mode=False).op) is MaxPool2d
    assert type(ops.avg_pool2d(x, 3, 2, 1, False, True).op) is AvgPool2d


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_dtypes(module, dtype):
    x = np.arange(-40, -10).reshape(1, 1, 5, 6).astype(dtype)
    y = ops.max_pool2d(Tensor(x), 2, 3, ceil_mode=True)
    assert y.dtype == dtype and y.data.tolist() == [[[[-33, -30], [-15, -12]]]]
    if dtype != "int64":
        y = ops.avg_pool2d(Tensor(x), 2, 3, 0, True)
        assert y.dtype == dtype and y.shape == (1, 1, 2, 2)


@pytest.mark.parametrize("bad, winner", [(-np.inf, 0), (np.nan, -1)])
def test_neither_padding_nor_what_lies_beyond_wins(module, bad, winner):
    """Not over −∞ nor NaN: of a window's pixels the first, or of NaNs the last, gets the gradient."""
    x = np.full((1, 2, 4, 5), bad, "f")
    for size, stride, padding in [((3, 3), (3, 3), (1, 1)), ((2, 4), (3, 3), (0, 0)), ((5, 2), (4, 3), (2, 1))]:
        tensor = Tensor(x, requires_grad=True)
        y = ops.max_pool2d(tensor, size, stride, padding, ceil_mode=True)
        np.testing.assert_array_equal(y.data, np.full(y.shape, bad))
        grad_y = np.random.default_rng(0).integers(1, 9, y.shape).astype("f")
        y.backward(grad_y)
        tops, lefts = [windows_along(x.shape[2 + k], size[k], stride[k], padding[k], True) for k in range(2)]
        expected = np.zeros(x.shape)
        for i, rows in enumerate(tops):
            for j, columns in enumerate(lefts):
                place = [h for h in rows if 0 <= h < 4][winner], [w for w in columns if 0 <= w < 5][winner]
                expected[:, :, place[0], place[1]] += grad_y[:, :, i, j]
        np.testing.assert_array_equal(tensor.grad, expected)


def test_an_infinite_gradient_stays_in_its_window(module):
    x = Tensor(np.arange(10, dtype="f").reshape(1, 1, 2, 5), requires_grad=True)
    y = ops.max_pool2d(x, 2, ceil_mode=True)
    y.backward(np.array([[[[1, np.inf, np.nan]]]], "f"))
    np.testing.assert_array_equal(x.grad, [[[[0, 0, 0, 0, 0], [0, 1, 0, np.inf, np.nan]]]])
    x.grad = None
    y = ops.avg_pool2d(x, 2, ceil_mode=True)
    y.backward(np.array([[[[4, np.inf, 2]]]], "f"))
    np.testing.assert_array_equal(x.grad, [[[[1, 1, np.inf, np.inf, 1], [1, 1, np.inf, np.inf, 1]]]])


def test_layers(module):
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 7)).astype("f"))
    pairs = [
        (nn.MaxPool2d(3, 2, ceil_mode=True), ops.max_pool2d(x, 3, 2, ceil_mode=True)),
        (nn.AvgPool2d(3, 2, 1, True), ops.avg_pool2d(x, 3, 2, 1, True)),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), ops.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    ]
    for layer, expected in pairs:
        np.testing.assert_array_equal(layer(x).data, expected.data)
