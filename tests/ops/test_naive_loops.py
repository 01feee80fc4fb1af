"""The NumPy kernels against loops that nobody can misread, and against cases countable by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires.kernels import numpy_kernels as kernels

seeds = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def windows(draw, pool=False):
    """Draw an x (N, C, H, W) of small integers, a kernel size, stride and padding that fit."""
    kernel = draw(pairs)
    padding = tuple([draw(st.integers(0, size // 2 if pool else 2)) for size in kernel])
    H, W = [draw(st.integers(max(1, size - 2 * pad), 6)) for size, pad in zip(kernel, padding, strict=True)]
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 2)), H, W
    rng = np.random.default_rng(draw(seeds))
    return rng, rng.integers(-3, 4, shape).astype(np.float64), kernel, draw(pairs), padding


def places(x_shape, kernel, stride, padding):
    """Yield (i, j, u, v, h, w): at output (i, j), tap (u, v) sees pixel (h, w), which may lie in the padding."""
    I = math.floor((x_shape[2] + 2 * padding[0] - kernel[0]) / stride[0]) + 1
    J = math.floor((x_shape[3] + 2 * padding[1] - kernel[1]) / stride[1]) + 1
    for i in range(I):
        for j in range(J):
            for u in range(kernel[0]):
                for v in range(kernel[1]):
                    yield i, j, u, v, i * stride[0] + u - padding[0], j * stride[1] + v - padding[1]


def output_shape(x_shape, kernel, stride, padding):
    last = list(places(x_shape, kernel, stride, padding))[-1]
    return last[0] + 1, last[1] + 1


def inside(h, w, x_shape):
    return 0 <= h < x_shape[2] and 0 <= w < x_shape[3]


@given(windows())
def test_im2col_and_col2im(drawn):
    rng, x, kernel, stride, padding = drawn
    N, C, H, W = x.shape
    I, J = output_shape(x.shape, kernel, stride, padding)
    expected = np.zeros((N, C, *kernel, I, J))
    cols = rng.integers(-3, 4, (N, C, *kernel, I, J)).astype(np.float64)
    back = np.zeros(x.shape)
    for i, j, u, v, h, w in places(x.shape, kernel, stride, padding):
        if inside(h, w, x.shape):
            expected[:, :, u, v, i, j] = x[:, :, h, w]
            back[:, :, h, w] += cols[:, :, u, v, i, j]
    flat = (N, C * kernel[0] * kernel[1], I * J)
    np.testing.assert_array_equal(kernels.im2col(x, kernel, stride, padding), expected.reshape(flat))
    np.testing.assert_array_equal(kernels.col2im(cols.reshape(flat), x.shape, kernel, stride, padding), back)


@given(windows(), st.integers(1, 3))
def test_convolution(drawn, F):
    rng, x, kernel, stride, padding = drawn
    N, C, H, W = x.shape
    I, J = output_shape(x.shape, kernel, stride, padding)
    weight, bias = rng.integers(-3, 4, (F, C, *kernel)).astype(float), rng.integers(-3, 4, F).astype(float)
    grad_y = rng.integers(-3, 4, (N, F, I, J)).astype(float)
    y, grad_x, grad_weight = np.zeros((N, F, I, J)), np.zeros(x.shape), np.zeros(weight.shape)
    for n in range(N):
        for f in range(F):
            y[n, f] = bias[f]
            for c in range(C):
                for i, j, u, v, h, w in places(x.shape, kernel, stride, padding):
                    if inside(h, w, x.shape):
                        y[n, f, i, j] += weight[f, c, u, v] * x[n, c, h, w]
                        grad_x[n, c, h, w] += weight[f, c, u, v] * grad_y[n, f, i, j]
                        grad_weight[f, c, u, v] += x[n, c, h, w] * grad_y[n, f, i, j]
    np.testing.assert_allclose(kernels.conv2d_forward(x, weight, bias, stride, padding), y, atol=1e-12)
    no_bias = kernels.conv2d_forward(x, weight, None, stride, padding)
    np.testing.assert_allclose(no_bias, y - bias.reshape(1, F, 1, 1), atol=1e-12)
    np.testing.assert_allclose(kernels.conv2d_grad_input(grad_y, weight, x.shape, stride, padding), grad_x, atol=1e-12)
    np.testing.assert_allclose(
        kernels.conv2d_grad_weight(grad_y, x, weight.shape, stride, padding), grad_weight, atol=1e-12
    )


def test_convolution_in_groups_of_images(monkeypatch):
    """Large batches are worked through a few images at a time; the seams must not show."""
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal((5, 2, 4, 6)), rng.standard_normal((3, 2, 3, 2)), rng.standard_normal(3)
    grad_y = rng.standard_normal((5, 3, 2, 7))

    def all_three():
        return (
            kernels.conv2d_forward(x, weight, bias, (2, 1), (1, 1)),
            kernels.conv2d_grad_input(grad_y, weight, x.shape, (2, 1), (1, 1)),
            kernels.conv2d_grad_weight(grad_y, x, weight.shape, (2, 1), (1, 1)),
        )

    whole = all_three()
    for floats in (1, 2 * 2 * 3 * 2 * 2 * 7):  # one image at a time; two, and one left over
        monkeypatch.setattr(kernels, "COLUMN_FLOATS", floats)
        for got, expected in zip(all_three(), whole, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_convolution_by_hand():
    x = np.arange(1.0, 7.0).reshape(1, 1, 2, 3)  # 1 2 3 / 4 5 6
    weight = np.array([[[[1.0, 10.0]]]])  # one row: not flipped, so y = left + 10 · right
    y = kernels.conv2d_forward(x, weight, np.array([100.0]), (1, 1), (0, 0))
    np.testing.assert_array_equal(y, [[[[121, 132], [154, 165]]]])
    grad_y = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    grad_x = kernels.conv2d_grad_input(grad_y, weight, x.shape, (1, 1), (0, 0))
    np.testing.assert_array_equal(grad_x, [[[[1, 12, 20], [3, 34, 40]]]])
    grad_weight = kernels.conv2d_grad_weight(grad_y, x, weight.shape, (1, 1), (0, 0))
    np.testing.assert_array_equal(grad_weight, [[[[1 + 4 + 12 + 20, 2 + 6 + 15 + 24]]]])


def test_im2col_by_hand():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    np.testing.assert_array_equal(
        kernels.im2col(x, (2, 2), (1, 1), (0, 0)),
        [[[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]],
    )
    ones = np.ones((1, 4, 4))
    np.testing.assert_array_equal(
        kernels.col2im(ones, (1, 1, 3, 3), (2, 2), (1, 1), (0, 0)), [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]
    )


@given(windows(pool=True))
def test_max_pool(drawn):
    rng, x, kernel, stride, padding = drawn
    I, J = output_shape(x.shape, kernel, stride, padding)
    grad_y = rng.integers(1, 9, (*x.shape[:2], I, J)).astype(float)
    y, grad_x = np.full(grad_y.shape, -np.inf), np.zeros(x.shape)
    winners = np.zeros((*grad_y.shape, 2), int)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i, j, _u, _v, h, w in places(x.shape, kernel, stride, padding):
                if inside(h, w, x.shape) and x[n, c, h, w] > y[n, c, i, j]:  # small integers: ties go to the first
                    y[n, c, i, j] = x[n, c, h, w]
                    winners[n, c, i, j] = h, w
            for i in range(I):
                for j in range(J):
                    h, w = winners[n, c, i, j]
                    grad_x[n, c, h, w] += grad_y[n, c, i, j]
    got, taps = kernels.max_pool2d_forward(x, kernel, stride, padding)
    np.testing.assert_array_equal(got, y)
    np.testing.assert_array_equal(kernels.max_pool2d_backward(grad_y, taps, x.shape, kernel, stride, padding), grad_x)


@given(windows(pool=True))
def test_avg_pool(drawn):
    rng, x, kernel, stride, padding = drawn
    I, J = output_shape(x.shape, kernel, stride, padding)
    grad_y = rng.standard_normal((*x.shape[:2], I, J))
    y, grad_x = np.zeros(grad_y.shape), np.zeros(x.shape)
    for i, j, _u, _v, h, w in places(x.shape, kernel, stride, padding):
        if inside(h, w, x.shape):
            y[:, :, i, j] += x[:, :, h, w] / (kernel[0] * kernel[1])
            grad_x[:, :, h, w] += grad_y[:, :, i, j] / (kernel[0] * kernel[1])
    np.testing.assert_allclose(kernels.avg_pool2d_forward(x, kernel, stride, padding), y, atol=1e-12)
    np.testing.assert_allclose(
        kernels.avg_pool2d_backward(grad_y, x.shape, kernel, stride, padding), grad_x, atol=1e-12
    )


def test_pools_by_hand():
    x = np.array([[[[1.0, 5.0, 2.0, 0.0], [4.0, 3.0, 2.0, 2.0]]]])
    y, winners = kernels.max_pool2d_forward(x, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(y, [[[[5, 2]]]])
    np.testing.assert_array_equal(winners, [[[[1, 0]]]])  # of the second window's three 2s, the first
    grad_y = np.array([[[[8.0, 4.0]]]])
    grad_x = kernels.max_pool2d_backward(grad_y, winners, x.shape, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(grad_x, [[[[0, 8, 4, 0], [0, 0, 0, 0]]]])
    np.testing.assert_array_equal(kernels.avg_pool2d_forward(x, (2, 2), (2, 2), (0, 0)), [[[[13 / 4, 6 / 4]]]])
    grad_x = kernels.avg_pool2d_backward(grad_y, x.shape, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(grad_x, [[[[2, 2, 1, 1], [2, 2, 1, 1]]]])


def test_padding_never_wins_a_max_pool():
    x = np.full((1, 1, 2, 2), -7.0)
    y, _ = kernels.max_pool2d_forward(x, (2, 2), (1, 1), (1, 1))
    assert (y == -7).all()


def test_nan_wins_a_max_pool():
    x = np.array([[[[1.0, np.nan, 9.0]]]])
    assert np.isnan(kernels.max_pool2d_forward(x, (1, 3), (1, 1), (0, 0))[0]).all()


@given(st.integers(2, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), seeds, st.booleans())
def test_batch_norm(N, C, H, W, seed, rows):
    rng = np.random.default_rng(seed)
    shape = (N, C) if rows else (N, C, H, W)
    x, grad_y = rng.normal(2, 3, shape), rng.standard_normal(shape)
    weight, bias, eps = rng.standard_normal(C), rng.standard_normal(C), 1e-3
    y, mean, var = kernels.batch_norm_forward(x, weight, bias, eps)
    grad_x, grad_weight, grad_bias = kernels.batch_norm_backward(grad_y, x, weight, mean, var, eps)
    given_mean, given_var = rng.standard_normal(C), rng.uniform(0.5, 2, C)
    fixed = kernels.batch_norm_inference(x, weight, bias, given_mean, given_var, eps)
    fixed_grads = kernels.batch_norm_inference_backward(grad_y, x, weight, given_mean, given_var, eps)
    for c in range(C):
        numbers, grads = [float(number) for number in x[:, c].ravel()], [float(g) for g in grad_y[:, c].ravel()]
        M = len(numbers)
        mu = sum(numbers) / M
        sigma2 = sum((number - mu) ** 2 for number in numbers) / M
        std = math.sqrt(sigma2 + eps)
        hats = [(number - mu) / std for number in numbers]
        np.testing.assert_allclose([mean[c], var[c]], [mu, sigma2], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(y[:, c].ravel(), [weight[c] * hat + bias[c] for hat in hats], atol=1e-10)
        np.testing.assert_allclose(grad_bias[c], sum(grads), atol=1e-10)
        np.testing.assert_allclose(grad_weight[c], sum(g * h for g, h in zip(grads, hats, strict=True)), atol=1e-10)
        # dL/dx_k = Σ_i dy_i · dy_i/dx_k, with the Jacobian of x̂ written out
        for k in range(M):
            expected = 0.0
            for i in range(M):
                jacobian = ((i == k) - 1 / M - hats[i] * hats[k] / M) / std
                expected += grads[i] * weight[c] * jacobian
            np.testing.assert_allclose(grad_x[:, c].ravel()[k], expected, atol=1e-9)
        given_std = math.sqrt(given_var[c] + eps)
        given_hats = [(number - given_mean[c]) / given_std for number in numbers]
        np.testing.assert_allclose(fixed[:, c].ravel(), [weight[c] * h + bias[c] for h in given_hats], atol=1e-10)
        np.testing.assert_allclose(fixed_grads[0][:, c], grad_y[:, c] * weight[c] / given_std, atol=1e-10)
        np.testing.assert_allclose(
            fixed_grads[1][c], sum(g * h for g, h in zip(grads, given_hats, strict=True)), atol=1e-10
        )
        np.testing.assert_allclose(fixed_grads[2][c], sum(grads), atol=1e-10)


def test_batch_norm_by_hand():
    x = np.array([[1.0], [3.0]])
    y, mean, var = kernels.batch_norm_forward(x, np.array([2.0]), np.array([5.0]), 0.0)
    assert (mean[0], var[0]) == (2, 1)  # the variance is biased: divided by 2, not by 1
    np.testing.assert_array_equal(y, [[3], [7]])


@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
def test_option_a(N, C, more, H, W, stride):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, C, H, W))
    F, I, J = C + more, math.ceil(H / stride), math.ceil(W / stride)
    y, grad_y = np.zeros((N, F, I, J)), rng.standard_normal((N, F, I, J))
    grad_x = np.zeros(x.shape)
    for c in range(C):
        for i in range(I):
            for j in range(J):
                y[:, c + more // 2, i, j] = x[:, c, i * stride, j * stride]
                grad_x[:, c, i * stride, j * stride] = grad_y[:, c + more // 2, i, j]
    np.testing.assert_array_equal(kernels.option_a_forward(x, F, stride), y)
    np.testing.assert_array_equal(kernels.option_a_backward(grad_y, x.shape, stride), grad_x)


@given(st.integers(1, 5), st.integers(2, 5), st.sampled_from([0.0, 0.1, 1.0]), seeds)
def test_cross_entropy(N, classes, smoothing, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 3, (N, classes)), rng.integers(0, classes, N)
    labels[1:][rng.random(N - 1) < 0.3] = -1  # never all of them
    counted = [n for n in range(N) if labels[n] != -1]
    loss, grad = 0.0, np.zeros(logits.shape)
    for n in counted:
        total = sum(math.exp(logit) for logit in logits[n])
        for k in range(classes):
            q = smoothing / classes + (1 - smoothing) * (labels[n] == k)
            p = math.exp(logits[n, k]) / total
            loss -= q * math.log(p) / len(counted)
            grad[n, k] = 0.7 * (p - q) / len(counted)
    got, probabilities = kernels.cross_entropy_forward(logits, labels, smoothing, -1)
    np.testing.assert_allclose(got, loss, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    backward = kernels.cross_entropy_backward(np.array(0.7), probabilities, labels, smoothing, -1)
    np.testing.assert_allclose(backward, grad, atol=1e-12)


def test_cross_entropy_by_hand():
    logits, labels = np.zeros((2, 4)), np.array([0, 3])
    loss, probabilities = kernels.cross_entropy_forward(logits, labels, 0.0, -100)
    assert loss == pytest.approx(math.log(4))
    grad = kernels.cross_entropy_backward(np.array(1.0), probabilities, labels, 0.0, -100)
    np.testing.assert_allclose(grad, np.array([[-3, 1, 1, 1], [1, 1, 1, -3]]) / 8)


def test_cross_entropy_of_a_class_that_is_ruled_out():
    logits = np.array([[1.0, 0.0, -math.inf]])
    loss, probabilities = kernels.cross_entropy_forward(logits, np.array([1]), 0.0, -100)
    assert loss == pytest.approx(1 + math.log(1 + math.exp(-1))) and probabilities[0, 2] == 0
    loss, _ = kernels.cross_entropy_forward(logits, np.array([2]), 0.0, -100)
    assert loss == math.inf


def test_cross_entropy_of_huge_logits_is_finite():
    logits = np.array([[1e4, 0.0, -1e4]])
    loss, probabilities = kernels.cross_entropy_forward(logits, np.array([1]), 0.0, -100)
    assert loss == pytest.approx(1e4)
    assert np.isfinite(probabilities).all()


def test_relu_by_hand():
    x = np.array([-2.0, -0.0, 0.0, 3.0, np.nan])
    y = kernels.relu_forward(x)
    np.testing.assert_array_equal(y, [0, 0, 0, 3, np.nan])
    grad = kernels.relu_backward(np.full(5, 7.0), y)
    np.testing.assert_array_equal(grad[:4], [0, 0, 0, 7])
