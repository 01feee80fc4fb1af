"""Infinite gradients and NaN at every op that selects: what is left out is left out, whatever arrives there."""

import numpy as np
import pytest

from minires import kernels, ops
from minires.engine import Tensor
from minires.kernels.chain import Layer, Skip

INF, NAN = np.inf, np.nan


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def module(request):
    with kernels.use(request.param) as module:
        yield module


def gradient(op, x, grad_y, dtype="float32"):
    x = Tensor(np.array(x, dtype), requires_grad=True)
    with np.errstate(invalid="ignore"):
        op(x).backward(np.array(grad_y, dtype))
    return x.grad.tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_relu(module, dtype):
    y, grad_y = np.array([0, NAN, 0, 3], dtype), np.array([INF, 1, NAN, 2], dtype)
    grad_x = module.relu_backward(grad_y, y)
    assert grad_x.dtype == dtype and grad_x.tolist() == [0, 1, 0, 2]
    assert gradient(ops.relu, [-1, NAN, 0, 3], [INF, 1, NAN, 2]) == [0, 1, 0, 2]


def test_relu_at_the_end_of_a_chain(module):
    layers = [Layer(np.ones((1, 1, 1, 1), "f"), np.ones(1, "f"), np.zeros(1, "f"), (1, 1), (0, 0), 1e-3)]
    x = np.array([-1, 1, 2, -3], "f").reshape(4, 1, 1, 1)
    y, saved = module.chain_forward(x, layers, Skip.NOTHING)
    grad_y, finite = (np.array(grad, "f").reshape(4, 1, 1, 1) for grad in ([INF, 1, 2, NAN], [0, 1, 2, 0]))
    assert y.reshape(-1).tolist()[0] == y.reshape(-1).tolist()[3] == 0
    grad_x, grads, _ = module.chain_backward(grad_y, saved, layers, Skip.NOTHING, True)
    expected_x, expected, _ = module.chain_backward(finite, saved, layers, Skip.NOTHING, True)
    for found, wanted in zip((grad_x, *grads[0]), (expected_x, *expected[0]), strict=True):
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_max_pool(module):
    x = [[[[1, 2, 5, 4], [0, 3, 6, 6]]]]
    grads = gradient(lambda x: ops.max_pool2d(x, 2), x, [[[[INF, 7]]]])
    assert grads == [[[[0, 0, 0, 0], [0, INF, 7, 0]]]]
    grads = gradient(lambda x: ops.max_pool2d(x, 2, 1), x, [[[[INF, NAN, 7]]]])
    np.testing.assert_array_equal(grads, [[[[0, 0, 0, 0], [0, INF, NAN, 0]]]] + np.array([[[[0] * 4, [0, 0, 7, 0]]]]))


@pytest.mark.parametrize("bad, winner", [(-INF, 0), (NAN, -1)])
@pytest.mark.parametrize(
    "window", [(2, 2, 1), (3, 2, 1), (3, 1, 1), (5, 3, 2), ((1, 3), 1, (0, 1)), ((4, 2), 3, (2, 0))]
)
def test_padding_never_wins(window, bad, winner):
    """Not over −∞ nor NaN: of a window's pixels the first, or of NaNs the last, gets the gradient."""
    kernel_size, stride, padding = window
    H, W = 4, 5
    x = np.full((1, 2, H, W), bad, "f")
    y = ops.max_pool2d(Tensor(x), kernel_size, stride, padding)
    np.testing.assert_array_equal(y.data, np.full(y.shape, bad))
    grad_y = np.random.default_rng(0).integers(1, 9, y.shape)
    (KH, KW), (SH, SW), (P, Q) = [(each, each) if isinstance(each, int) else each for each in window]
    expected = np.zeros(x.shape)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            rows = [h for h in range(i * SH - P, i * SH - P + KH) if 0 <= h < H]
            columns = [w for w in range(j * SW - Q, j * SW - Q + KW) if 0 <= w < W]
            expected[:, :, rows[winner], columns[winner]] += grad_y[:, :, i, j]
    assert gradient(lambda x: ops.max_pool2d(x, *window), x, grad_y) == expected.tolist()


def test_max_pool_of_whole_numbers_with_padding():
    y = ops.max_pool2d(Tensor(np.array([[[[-5, -7], [-9, -8]]]])), 2, 2, 1)
    assert y.data.tolist() == [[[[-5, -7], [-9, -8]]]]


def test_max():
    assert gradient(lambda x: ops.max(x, 1), [[1, 2, 0], [3, 3, 0]], [INF, NAN])[0] == [0, INF, 0]
    np.testing.assert_array_equal(gradient(lambda x: ops.max(x, 1), [[1, 3, 3]], [NAN]), [[0, NAN, NAN]])
    assert gradient(lambda x: ops.max(x), [1, NAN, NAN, 2], 2.0) == [0, 1, 1, 0]


def test_absolute_value_where_and_dropout():
    assert gradient(ops.abs, [-1, 0, 2, NAN], [INF, INF, 1, INF]) == [-INF, 0, 1, 0]
    chosen = np.array([True, False])
    assert gradient(lambda x: ops.where(chosen, x, 0.0), [1, 2], [INF, NAN]) == [INF, 0]
    generator = np.random.default_rng(0)
    x = np.full(50, INF, "f")
    y = ops.dropout(Tensor(x), 0.5, generator)
    assert set(y.data.tolist()) == {0, INF}
    kept = np.isinf(y.data)
    grad_y = np.where(kept, 1, NAN)
    assert gradient(lambda x: ops.dropout(x, 0.5, np.random.default_rng(0)), x, grad_y) == (2.0 * kept).tolist()


@pytest.mark.parametrize(
    "name, theirs",
    [
        ("relu", lambda torch, x: torch.relu(x)),
        ("leaky_relu", lambda torch, x: torch.nn.functional.leaky_relu(x)),
        ("elu", lambda torch, x: torch.nn.functional.elu(x)),
        ("selu", lambda torch, x: torch.selu(x)),
        ("tanh", lambda torch, x: torch.tanh(x)),
        ("sigmoid", lambda torch, x: torch.sigmoid(x)),
    ],
)
def test_infinities_and_nan_as_pytorch_has_them(name, theirs):
    torch = pytest.importorskip("torch")
    values = np.array([-INF, -2, -0.0, 0.5, INF, NAN])
    x, grad_y = np.repeat(values, 6), np.tile(np.array([INF, -INF, NAN, 1, -2, 0]), 6)
    there = torch.tensor(x, requires_grad=True)
    y = theirs(torch, there)
    y.backward(torch.tensor(grad_y))
    here = Tensor(x, requires_grad=True)
    with np.errstate(invalid="ignore"):
        ours = getattr(ops, name)(here)
        ours.backward(grad_y)
    np.testing.assert_allclose(ours.data, y.detach().numpy(), rtol=1e-12)
    # At NaN PyTorch's elu and selu pass dy in short arrays, and NaN in long ones.
    compared = np.full(x.shape, name not in ("elu", "selu")) | ~np.isnan(x)
    np.testing.assert_allclose(here.grad[compared], there.grad.numpy()[compared], rtol=1e-12)
