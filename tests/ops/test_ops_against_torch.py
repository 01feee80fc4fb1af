"""Forward and backward against PyTorch's, on drawn configurations, in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires import ops
from minires.engine import Tensor

torch = pytest.importorskip("torch")
F = torch.nn.functional

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
images = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(3, 7), st.integers(3, 7))
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 2), st.integers(0, 2))


def compare(ours, theirs, *arrays, seed=0):
    """Check that both functions give the same result and, for a random output gradient, the same input gradients."""
    tensors = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    y = ours(*tensors)
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*leaves)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    grad_y = np.asarray(np.random.default_rng(seed).standard_normal(y.shape))
    y.backward(grad_y)
    expected.backward(torch.tensor(grad_y))
    for tensor, leaf in zip(tensors, leaves, strict=True):
        np.testing.assert_allclose(tensor.grad, leaf.grad.numpy(), rtol=1e-9, atol=1e-11)


@st.composite
def broadcasting(draw):
    shape = draw(shapes)
    a = tuple([draw(st.sampled_from([size, size, 1])) for size in shape])
    b = tuple([draw(st.sampled_from([size, 1])) for size in shape])[draw(st.integers(0, len(shape))) :]
    return (a, b) if draw(st.booleans()) else (b, a)


@given(broadcasting(), seeds)
def test_arithmetic(drawn, seed):
    rng = np.random.default_rng(seed)
    a, b = [rng.uniform(0.3, 2, shape) * rng.choice([-1, 1], shape) for shape in drawn]
    condition = rng.random(np.broadcast_shapes(*drawn)) > 0.5
    compare(ops.add, torch.add, a, b)
    compare(ops.subtract, torch.subtract, a, b)
    compare(ops.multiply, torch.multiply, a, b)
    compare(ops.divide, torch.divide, a, b)
    compare(ops.power, torch.pow, np.abs(a), b)
    compare(lambda a: a**2, lambda a: a**2, a)
    compare(lambda a, b: ops.where(condition, a, b), lambda a, b: torch.where(torch.tensor(condition), a, b), a, b)


POINTWISE = [
    (ops.negative, torch.neg),
    (ops.exp, torch.exp),
    (ops.abs, torch.abs),
    (ops.tanh, torch.tanh),
    (ops.sigmoid, torch.sigmoid),
    (ops.relu, torch.relu),
    (ops.leaky_relu, F.leaky_relu),
    (lambda x: ops.leaky_relu(x, 0.3), lambda x: F.leaky_relu(x, 0.3)),
    (ops.elu, F.elu),
    (lambda x: ops.elu(x, 0.4), lambda x: F.elu(x, 0.4)),
    (ops.selu, F.selu),
    (ops.gelu, F.gelu),
    (lambda x: ops.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh")),
    (lambda x: ops.log(ops.exp(x)), lambda x: torch.log(torch.exp(x))),
    (lambda x: ops.sqrt(ops.exp(x)), lambda x: torch.sqrt(torch.exp(x))),
]


@pytest.mark.parametrize(("ours", "theirs"), POINTWISE)
def test_pointwise(ours, theirs):
    x = np.concatenate(
        [np.random.default_rng(0).normal(0, 3, 50), [0.0, -0.0, 30.0, -30.0]]
    )  # 0: the kink's convention
    compare(ours, theirs, x)


@given(shapes, st.data(), st.booleans(), seeds)
def test_reductions(shape, data, keepdims, seed):
    x = np.random.default_rng(seed).integers(-2, 3, shape).astype(float)  # small integers: ties of the maximum
    axes = tuple(data.draw(st.permutations(range(len(shape))))[: data.draw(st.integers(1, len(shape)))])
    compare(lambda x: ops.sum(x, axes, keepdims), lambda x: torch.sum(x, axes, keepdims), x)
    compare(lambda x: ops.mean(x, axes, keepdims), lambda x: torch.mean(x, axes, keepdims), x)
    compare(lambda x: ops.max(x, axes, keepdims), lambda x: torch.amax(x, axes, keepdims), x)
    compare(lambda x: ops.var(x, axes, keepdims), lambda x: torch.var(x, axes, correction=0, keepdim=keepdims), x)
    compare(lambda x: ops.var(x), lambda x: torch.var(x, correction=0), x)
    compare(lambda x: ops.sum(x), torch.sum, x)
    compare(lambda x: ops.mean(x, axis=-1), lambda x: torch.mean(x, -1), x)


@given(shapes, st.data(), seeds)
def test_shapes(shape, data, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    axes = data.draw(st.permutations(range(len(shape))))
    compare(lambda x: ops.transpose(x, *axes), lambda x: x.permute(*axes), x)
    compare(lambda x: ops.reshape(x, -1, shape[0]), lambda x: x.reshape(-1, shape[0]), x)
    start = data.draw(st.integers(0, len(shape) - 1))
    compare(lambda x: ops.flatten(x, start), lambda x: torch.flatten(x, start), x)
    widths = [(data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in shape]
    torch_widths = [width for pair in reversed(widths) for width in pair]
    compare(lambda x: ops.pad(x, widths), lambda x: F.pad(x, torch_widths), x)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    compare(lambda a, b: ops.concatenate((a, b, a), axis), lambda a, b: torch.cat((a, b, a), axis), x, 2 * x)
    rows = rng.integers(0, shape[0], 4)
    mask = rng.random(shape) > 0.4
    for index in (0, -1, slice(None, None, 2), rows, (Ellipsis, None, 0), mask):
        torch_index = torch.tensor(index) if isinstance(index, np.ndarray) else index
        compare(lambda x, i=index: x[i], lambda x, i=torch_index: x[i], x)


@given(shapes, st.data(), seeds)
def test_softmax(shape, data, seed):
    x = np.random.default_rng(seed).normal(0, 5, shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    compare(lambda x: ops.softmax(x, axis), lambda x: F.softmax(x, axis), x)
    compare(lambda x: ops.log_softmax(x, axis), lambda x: F.log_softmax(x, axis), x)


@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), seeds)
def test_matrix_products(data, N, C, K, seed):
    rng = np.random.default_rng(seed)
    a_shape = data.draw(st.sampled_from([(C,), (N, C), (2, N, C), (3, 1, N, C)]))
    b_shape = data.draw(st.sampled_from([(C,), (C, K), (2, C, K), (1, C, K)]))
    compare(ops.matmul, torch.matmul, rng.standard_normal(a_shape), rng.standard_normal(b_shape))
    arrays = rng.standard_normal((N, C)), rng.standard_normal((K, C)), rng.standard_normal(K)
    compare(ops.linear, F.linear, *arrays)
    compare(ops.linear, F.linear, *arrays[:2])
    compare(ops.linear, F.linear, rng.standard_normal((2, N, C)), *arrays[1:])
    compare(ops.linear, F.linear, rng.standard_normal(C), *arrays[1:])


@given(images, st.integers(1, 4), pairs, pairs, paddings, st.booleans(), seeds)
def test_conv2d(shape, out_channels, kernel, stride, padding, has_bias, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape), rng.standard_normal((out_channels, shape[1], *kernel))]
    if has_bias:
        arrays.append(rng.standard_normal(out_channels))
    compare(
        lambda x, weight, bias=None: ops.conv2d(x, weight, bias, stride, padding),
        lambda x, weight, bias=None: F.conv2d(x, weight, bias, stride, padding),
        *arrays,
        seed=seed,
    )


def test_conv2d_of_a_real_size():
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((4, 8, 17, 14)), rng.standard_normal((16, 8, 3, 3)), rng.standard_normal(16)
    compare(lambda *tensors: ops.conv2d(*tensors, stride=2, padding=1), lambda *args: F.conv2d(*args, 2, 1), *arrays)


@given(st.integers(2, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.booleans(), seeds)
def test_batch_norm(N, C, H, W, rows, seed):
    rng = np.random.default_rng(seed)
    arrays = rng.normal(1, 2, (N, C) if rows else (N, C, H, W)), rng.standard_normal(C), rng.standard_normal(C)
    mean, var = rng.standard_normal(C), rng.uniform(0.5, 2, C)
    running = torch.tensor(mean), torch.tensor(var)
    compare(
        lambda x, weight, bias: ops.batch_norm(x, weight, bias, eps=1e-3)[0],
        lambda x, weight, bias: F.batch_norm(x, None, None, weight, bias, training=True, eps=1e-3),
        *arrays,
    )
    compare(
        lambda x, weight, bias: ops.batch_norm(x, weight, bias, mean, var, eps=1e-3)[0],
        lambda x, weight, bias: F.batch_norm(x, *running, weight, bias, training=False, eps=1e-3),
        *arrays,
    )


@given(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4), st.integers(1, 4), seeds)
def test_norms_of_single_images(N, groups, size, W, seed):
    rng = np.random.default_rng(seed)
    C = groups * size
    x, weight, bias = rng.normal(1, 2, (N, C, 3, W)), rng.standard_normal((C,)), rng.standard_normal((C,))
    compare(
        lambda x, weight, bias: ops.group_norm(x, groups, weight, bias, 1e-3),
        lambda x, weight, bias: F.group_norm(x, groups, weight, bias, 1e-3),
        *(x, weight, bias),
    )
    weight, bias = rng.standard_normal((2, 3, W))
    compare(
        lambda x, weight, bias: ops.layer_norm(x, (3, W), weight, bias, 1e-3),
        lambda x, weight, bias: F.layer_norm(x, (3, W), weight, bias, 1e-3),
        *(x, weight, bias),
    )


@given(images, pairs, st.one_of(st.none(), pairs), st.data(), seeds)
def test_pools(shape, kernel, stride, data, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    tied = rng.integers(-1, 2, shape).astype(float)
    padding = tuple([data.draw(st.integers(0, size // 2)) for size in kernel])
    for array in (x, tied):
        compare(
            lambda x: ops.max_pool2d(x, kernel, stride, padding),
            lambda x: F.max_pool2d(x, kernel, stride, padding),
            array,
        )
    compare(lambda x: ops.avg_pool2d(x, kernel, stride, padding), lambda x: F.avg_pool2d(x, kernel, stride, padding), x)
    compare(ops.global_avg_pool2d, lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), x)
    compare(lambda x: ops.adaptive_avg_pool2d(x, kernel), lambda x: F.adaptive_avg_pool2d(x, kernel), x)


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0, 1), st.sampled_from([-100, 255]), seeds)
def test_cross_entropy(N, classes, smoothing, ignore_index, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 4, (N, classes)), rng.integers(0, classes, N)
    labels[1:][rng.random(N - 1) < 0.3] = ignore_index
    compare(
        lambda logits: ops.cross_entropy(logits, labels, smoothing, ignore_index),
        lambda logits: F.cross_entropy(
            logits, torch.tensor(labels), label_smoothing=smoothing, ignore_index=ignore_index
        ),
        logits,
    )


@given(shapes, seeds)
def test_mse_loss(shape, seed):
    rng = np.random.default_rng(seed)
    compare(ops.mse_loss, F.mse_loss, rng.standard_normal(shape), rng.standard_normal(shape))


def test_option_a_is_padded_subsampling():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    compare(lambda x: ops.option_a(x, 8, 2), lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3)), x)
