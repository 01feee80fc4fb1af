"""Every op against finite differences on drawn shapes (the fixed, telling shapes are the gradient checker's cases)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minires import kernels, ops
from minires.gradient_check import gradcheck

FEW = settings(max_examples=10)  # each example is hundreds of forward passes
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
images = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(3, 5), st.integers(3, 5))


@pytest.fixture(autouse=True, scope="module")
def numpy_in_use():
    with kernels.use("numpy"):
        yield


def away_from_zero(rng, shape):
    return rng.uniform(0.3, 2, shape) * rng.choice([-1, 1], shape)


UNARY = [ops.negative, ops.exp, ops.log, ops.sqrt, ops.abs, ops.tanh, ops.sigmoid, ops.relu, ops.leaky_relu, ops.elu]


@pytest.mark.parametrize("function", [*UNARY, ops.selu], ids=lambda function: function.__name__)
@FEW
@given(shapes, seeds)
def test_elementwise(function, shape, seed):
    x = away_from_zero(np.random.default_rng(seed), shape)
    gradcheck(function, np.abs(x) if function in (ops.log, ops.sqrt) else x, seed=seed)


@st.composite
def broadcasting(draw):
    """Draw two shapes that broadcast: some axes of either are 1, or missing in front."""
    shape = draw(shapes)
    a = tuple([1 if draw(st.booleans()) and draw(st.booleans()) else size for size in shape])
    b = tuple([1 if draw(st.booleans()) else size for size in shape])[draw(st.integers(0, len(shape))) :]
    return (a, b) if draw(st.booleans()) else (b, a)


@pytest.mark.parametrize(
    "function", [ops.add, ops.subtract, ops.multiply, ops.divide, ops.power], ids=lambda function: function.__name__
)
@FEW
@given(broadcasting(), seeds)
def test_arithmetic_broadcasts(function, drawn, seed):
    rng = np.random.default_rng(seed)
    a, b = away_from_zero(rng, drawn[0]), away_from_zero(rng, drawn[1])
    gradcheck(function, np.abs(a) if function is ops.power else a, b, seed=seed)


@FEW
@given(broadcasting(), seeds)
def test_where_broadcasts(drawn, seed):
    rng = np.random.default_rng(seed)
    condition = rng.random(np.broadcast_shapes(*drawn)) > 0.5
    gradcheck(lambda a, b: ops.where(condition, a, b), rng.standard_normal(drawn[0]), rng.standard_normal(drawn[1]))


@pytest.mark.parametrize("function", [ops.sum, ops.mean, ops.max, ops.var], ids=lambda function: function.__name__)
@FEW
@given(shapes, st.data(), st.booleans(), seeds)
def test_reductions(function, shape, data, keepdims, seed):
    axes = data.draw(st.sets(st.integers(-len(shape), len(shape) - 1)).map(tuple))
    axes = tuple({axis % len(shape): axis for axis in axes}.values())
    axis = data.draw(st.sampled_from([None, axes, *axes]))
    x = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) / 3.0  # no ties
    gradcheck(lambda x: function(x, axis, keepdims), x, seed=seed)


@FEW
@given(shapes, st.data(), seeds)
def test_shape_ops(shape, data, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    axes = data.draw(st.permutations(range(len(shape))))
    gradcheck(lambda x: ops.transpose(x, *axes), x)
    gradcheck(lambda x: ops.reshape(x, -1, shape[-1]), x)
    gradcheck(lambda x: ops.flatten(x, len(shape) // 2), x)
    widths = [(data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in shape]
    gradcheck(lambda x: ops.pad(x, widths), x)
    rows = rng.integers(-shape[0], shape[0], data.draw(st.integers(1, 5)))
    gradcheck(lambda x: x[rows], x)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    other = list(shape)
    other[axis] = data.draw(st.integers(1, 3))
    gradcheck(lambda a, b: ops.concatenate((a, b, a), axis), x, rng.standard_normal(other))


@FEW
@given(shapes, st.data(), seeds)
def test_softmax(shape, data, seed):
    x = np.random.default_rng(seed).standard_normal(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    gradcheck(lambda x: ops.softmax(x, axis), x, seed=seed)
    gradcheck(lambda x: ops.log_softmax(x, axis), x, seed=seed)


@FEW
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from(["", "a", "b", "both"]), seeds)
def test_matrix_products(N, C, F, batch, seed):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(((2, 1) if batch in ("a", "both") else ()) + (N, C))
    b = rng.standard_normal(((3,) if batch in ("b", "both") else ()) + (C, F))
    gradcheck(ops.matmul, a, b)
    gradcheck(ops.linear, rng.standard_normal((N, C)), rng.standard_normal((F, C)), rng.standard_normal(F))
    gradcheck(ops.matmul, rng.standard_normal(C), b)
    gradcheck(ops.matmul, a, rng.standard_normal(C))


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 2), st.integers(0, 2))


@settings(max_examples=15)
@given(images, st.integers(1, 3), pairs, pairs, paddings, st.booleans(), seeds)
def test_conv2d(shape, F, kernel, stride, padding, has_bias, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape), rng.standard_normal((F, shape[1], *kernel))]
    if has_bias:
        arrays.append(rng.standard_normal(F))
    gradcheck(lambda x, weight, bias=None: ops.conv2d(x, weight, bias, stride, padding), *arrays, seed=seed)


@FEW
@given(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), st.integers(2, 4), st.booleans(), seeds)
def test_batch_norm(N, C, H, W, rows, seed):
    rng = np.random.default_rng(seed)
    shape = (N + 1, C) if rows else (N, C, H, W)
    arrays = rng.standard_normal(shape), away_from_zero(rng, C), rng.standard_normal(C)
    mean, var = rng.standard_normal(C), rng.uniform(0.5, 2, C)
    gradcheck(lambda x, weight, bias: ops.batch_norm(x, weight, bias, eps=0.1), *arrays, seed=seed)
    gradcheck(lambda x, weight, bias: ops.batch_norm(x, weight, bias, mean, var), *arrays, seed=seed)


@FEW
@given(images, pairs, pairs, st.data(), seeds)
def test_pools(shape, kernel, stride, data, seed):
    x = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) / 7.0
    padding = tuple([data.draw(st.integers(0, size // 2)) for size in kernel])
    gradcheck(lambda x: ops.max_pool2d(x, kernel, stride, padding), x)
    gradcheck(lambda x: ops.avg_pool2d(x, kernel, stride, padding), x)
    gradcheck(ops.global_avg_pool2d, x)
    gradcheck(lambda x: ops.adaptive_avg_pool2d(x, kernel), x)


@FEW
@given(images, st.integers(0, 3), st.integers(1, 3), seeds)
def test_shortcuts(shape, more, stride, seed):
    rng = np.random.default_rng(seed)
    gradcheck(lambda x: ops.option_a(x, shape[1] + more, stride), rng.standard_normal(shape))
    gradcheck(ops.residual_add, rng.standard_normal(shape), rng.standard_normal(shape))
    gradcheck(lambda x: ops.dropout(x, 0.3, np.random.default_rng(seed)), rng.standard_normal(shape))


@FEW
@given(st.integers(1, 5), st.integers(2, 5), st.sampled_from([0.0, 0.1, 1.0]), seeds)
def test_losses(N, classes, smoothing, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((N, classes)), rng.integers(0, classes, N)
    labels[1:][rng.random(N - 1) < 0.3] = 255
    gradcheck(lambda logits: ops.cross_entropy(logits, labels, smoothing, ignore_index=255), logits, seed=seed)
    gradcheck(ops.mse_loss, logits, rng.standard_normal((N, classes)), seed=seed)
