"""Results that can be read off, conventions where a choice was made, and numbers at the edge of the floats."""

import numpy as np
import pytest

from minires import kernels, ops
from minires.engine import Tensor


def gradient(fn, x, grad_y=None):
    leaf = Tensor(np.asarray(x, np.float64), requires_grad=True)
    y = fn(leaf)
    y.backward(np.ones(y.shape) if grad_y is None else np.asarray(grad_y, np.float64))
    return leaf.grad


def test_conventions_at_kinks():
    assert gradient(ops.relu, [0.0]) == [0]
    assert gradient(ops.abs, [0.0]) == [0]
    assert gradient(lambda x: ops.leaky_relu(x, 0.1), [0.0]) == [0.1]
    np.testing.assert_array_equal(gradient(ops.max, [2.0, 5, 5, 1]), [0, 0.5, 0.5, 0])
    np.testing.assert_array_equal(
        gradient(lambda x: ops.max_pool2d(x, 2), [[[[5.0, 5], [5, 5]]]]), [[[[1, 0], [0, 0]]]]
    )


def test_powers_at_zero():
    np.testing.assert_array_equal(gradient(lambda x: x**2, [0.0, 3]), [0, 6])
    np.testing.assert_array_equal(gradient(lambda x: x**1, [0.0]), [1])
    np.testing.assert_array_equal(gradient(lambda x: x**0, [0.0, 2]), [0, 0])
    np.testing.assert_array_equal(gradient(lambda x: x**3, [-2.0]), [12])
    np.testing.assert_array_equal(gradient(lambda b: ops.power(np.array([0.0]), b), [2.0]), [0])


def test_nothing_overflows():
    with np.errstate(all="raise"):
        big = np.array([-1e4, -50.0, 0.0, 50.0, 1e4])
        np.testing.assert_allclose(ops.sigmoid(Tensor(big)).data[[0, 2, 4]], [0, 0.5, 1])
        np.testing.assert_allclose(ops.elu(Tensor(big)).data, [-1, -1, 0, 50, 1e4])
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(ops.softmax(Tensor(big)).data, [0, 0, 0, 0, 1])
        assert ops.log_softmax(Tensor(big)).data[0] == -2e4
        assert gradient(ops.softmax, big, [1.0, 2, 3, 4, 5]) is not None


def test_elu_keeps_its_digits_near_zero():
    assert ops.elu(Tensor(np.array([-1e-12]))).data[0] == pytest.approx(-1e-12, rel=1e-6)


def test_softmax_sums_to_one():
    y = ops.softmax(Tensor(np.random.default_rng(0).normal(0, 5, (3, 4, 2))), axis=1)
    np.testing.assert_allclose(y.data.sum(axis=1), 1)


def test_pad_and_transpose_as_numpy():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ops.pad(Tensor(x), ((1, 0), (0, 2))).data, np.pad(x, ((1, 0), (0, 2))))
    np.testing.assert_array_equal(Tensor(x).transpose().data, x.T)
    np.testing.assert_array_equal(Tensor(x).transpose(-1, 0).data, x.T)
    np.testing.assert_array_equal(ops.transpose(Tensor(x), (1, 0)).data, x.T)
    np.testing.assert_array_equal(Tensor(x).reshape((3, -1)).data, x.reshape(3, 2))
    assert ops.flatten(Tensor(np.ones((2, 3, 4, 5)))).shape == (2, 60)
    assert ops.flatten(Tensor(np.ones((2, 3, 4, 5))), 2).shape == (2, 3, 20)


def test_arrays_and_lists_are_constants_on_either_side():
    x, array = np.arange(6.0).reshape(2, 3), np.ones((3, 2))
    for y in (Tensor(x) @ array, ops.matmul(x, Tensor(array)), x @ Tensor(array), ops.matmul(x, array)):
        np.testing.assert_array_equal(y.data, x @ array)
    np.testing.assert_array_equal((array - Tensor(x.T)).data, array - x.T)
    np.testing.assert_array_equal((Tensor(x.T) / array).data, x.T / array)
    assert (Tensor([1.0, 2.0]) + [1.0, 2.0]).dtype == np.float32
    np.testing.assert_array_equal(gradient(lambda x: array @ x, np.ones((2, 1))), [[3], [3]])


def test_repeated_indices_add_up():
    np.testing.assert_array_equal(gradient(lambda x: x[np.array([0, 0, 2])], [1.0, 2, 3], [1, 10, 100]), [11, 0, 100])


def test_adaptive_windows_cover_the_image():
    x = np.arange(1.0, 6.0).reshape(1, 1, 1, 5)
    y = ops.adaptive_avg_pool2d(Tensor(x), (1, 3))  # 0…2, 1…4, 3…5
    np.testing.assert_allclose(y.data.ravel(), [1.5, 3.0, 4.5])
    full = ops.adaptive_avg_pool2d(Tensor(np.ones((2, 3, 4, 6))), 1)
    assert full.shape == (2, 3, 1, 1)


def test_option_a_by_hand():
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    y = ops.option_a(Tensor(x), 4, 2).data
    np.testing.assert_array_equal(y[0, 1], [[1, 3], [7, 9]])  # one zero channel in front, two behind
    assert not y[0, [0, 2, 3]].any()


def test_both_sides_of_a_residual_add_get_the_very_gradient():
    a, b = Tensor(np.ones((2, 3)), requires_grad=True), Tensor(np.ones((2, 3)), requires_grad=True)
    grad_y = np.random.default_rng(0).standard_normal((2, 3))
    ops.residual_add(a, b).backward(grad_y)
    np.testing.assert_array_equal(a.grad, grad_y)
    np.testing.assert_array_equal(b.grad, grad_y)


def test_dropout_keeps_the_mean_and_its_generator_decides():
    x = Tensor(np.ones((200, 200)))
    y = ops.dropout(x, 0.25, np.random.default_rng(3)).data
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(y, ops.dropout(x, 0.25, np.random.default_rng(3)).data)
    assert (y != ops.dropout(x, 0.25, np.random.default_rng(4)).data).any()
    generator = np.random.default_rng(3)
    ops.dropout(x, 0.25, generator)
    assert (y != ops.dropout(x, 0.25, generator).data).any()
    np.testing.assert_array_equal(ops.dropout(x, 0.0, generator).data, x.data)


def test_batch_norm_gives_back_its_statistics():
    x = np.random.default_rng(0).normal(3, 2, (4, 2, 3, 5))
    y, mean, var = ops.batch_norm(Tensor(x), Tensor(np.ones(2)), Tensor(np.zeros(2)))
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(var, x.var(axis=(0, 2, 3)))
    np.testing.assert_allclose(y.data.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.data.std(axis=(0, 2, 3)), 1, atol=1e-5)
    again, given_mean, given_var = ops.batch_norm(Tensor(x), Tensor(np.ones(2)), Tensor(np.zeros(2)), mean, var)
    np.testing.assert_allclose(again.data, y.data)
    assert given_mean is mean and given_var is var


def test_the_first_layer_does_not_compute_the_gradient_of_the_image(monkeypatch):
    def refuse(*args):
        raise AssertionError("the gradient of the image was computed")

    with kernels.use("numpy") as module:
        monkeypatch.setattr(module, "conv2d_grad_input", refuse)
        weight = Tensor(np.ones((2, 3, 3, 3)), requires_grad=True)
        ops.conv2d(Tensor(np.ones((1, 3, 4, 5))), weight).sum().backward()
        assert weight.grad.shape == weight.shape
        with pytest.raises(AssertionError, match="was computed"):
            ops.conv2d(Tensor(np.ones((1, 3, 4, 5)), requires_grad=True), weight).sum().backward()
