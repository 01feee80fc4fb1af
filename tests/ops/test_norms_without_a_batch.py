"""Group norm and layer norm against loops and PyTorch: any groups, axes and sizes, and what one image is to another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minires import kernels, nn, ops
from minires.engine import Tensor

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(params=["numpy", "numba"])
def module(request):
    with kernels.use(request.param) as module:
        yield module


def group_norm_by_loops(x, G, weight, bias, eps, grad_y):
    """Result and gradients, number by number, from the definition and the chain rule through mean and variance."""
    y, grad_x = np.zeros(x.shape), np.zeros(x.shape)
    grad_weight, grad_bias = np.zeros(len(weight)), np.zeros(len(weight))
    size = x.shape[1] // G
    for n in range(x.shape[0]):
        for g in range(G):
            places = [(n, *rest) for rest in np.ndindex(x.shape[1:]) if rest[0] // size == g]
            M = len(places)
            mean = sum(x[place] for place in places) / M
            var = sum((x[place] - mean) ** 2 for place in places) / M
            std = (var + eps) ** 0.5
            grad_mean = grad_var = 0.0
            for place in places:
                c = place[1]
                x_hat = (x[place] - mean) / std
                y[place] = weight[c] * x_hat + bias[c]
                grad_weight[c] += grad_y[place] * x_hat
                grad_bias[c] += grad_y[place]
                grad_mean -= grad_y[place] * weight[c] / std
                grad_var -= grad_y[place] * weight[c] * (x[place] - mean) / (2 * std**3)
            for place in places:
                grad_x[place] = grad_y[place] * weight[place[1]] / std + grad_mean / M
                grad_x[place] += grad_var * 2 * (x[place] - mean) / M
    return y, grad_x, grad_weight, grad_bias


def run(op, grad_y, *arrays):
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    y = op(*tensors)
    y.backward(grad_y)
    return [y.data, *[tensor.grad for tensor in tensors]]


def close(found, expected, rtol=1e-9):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(1, 4), max_size=3), seeds)
def test_group_norm_against_loops(N, G, size, image, seed):
    rng = np.random.default_rng(seed)
    C = G * size
    if size * np.prod(image, dtype=int) < 2:
        image = [2, *image]
    x = rng.normal(1, 2, (N, C, *image))
    weight, bias, grad_y = rng.standard_normal((C,)), rng.standard_normal((C,)), rng.standard_normal(x.shape)
    found = run(lambda x, weight, bias: ops.group_norm(x, G, weight, bias, 0.01), grad_y, x, weight, bias)
    close(found, group_norm_by_loops(x, G, weight, bias, 0.01, grad_y))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.lists(st.integers(1, 4), max_size=2), seeds)
def test_layer_norm_is_group_norm_of_one_group_with_more_weights(N, C, ndim, image, seed):
    """With the places of an image laid out as channels, one group is a layer."""
    rng = np.random.default_rng(seed)
    x = rng.normal(1, 2, (N, C + 1, *image, 2))
    shape = x.shape[-min(ndim, x.ndim - 1) :]
    M = int(np.prod(shape))
    weight, bias, grad_y = rng.standard_normal(shape), rng.standard_normal(shape), rng.standard_normal(x.shape)
    y, grad_x, grad_weight, grad_bias = run(
        lambda x, weight, bias: ops.layer_norm(x, shape, weight, bias, 0.01), grad_y, x, weight, bias
    )
    rows = group_norm_by_loops(
        x.reshape(-1, M), 1, weight.reshape(-1), bias.reshape(-1), 0.01, grad_y.reshape(-1, M)
    )
    close([y.reshape(-1, M), grad_x.reshape(-1, M), grad_weight.reshape(-1), grad_bias.reshape(-1)], rows)


def test_without_weight_and_bias_they_are_one_and_zero():
    rng = np.random.default_rng(0)
    x, grad_y = rng.standard_normal((2, 2, 6, 3))
    one, zero = np.ones(6), np.zeros(6)
    full = run(lambda *inputs: ops.group_norm(inputs[0], 2, *inputs[1:]), grad_y, x, one, zero)
    close(run(lambda x: ops.group_norm(x, 2), grad_y, x), full[:2])
    close(run(lambda x, weight: ops.group_norm(x, 2, weight), grad_y, x, one), full[:3])
    one, zero = np.ones((6, 3)), np.zeros((6, 3))
    full = run(lambda *inputs: ops.layer_norm(inputs[0], (6, 3), *inputs[1:]), grad_y, x, one, zero)
    close(run(lambda x: ops.layer_norm(x, (6, 3)), grad_y, x), full[:2])
    close(run(lambda x, weight: ops.layer_norm(x, (6, 3), weight), grad_y, x, one), full[:3])


NORMS = [
    lambda x: ops.group_norm(x, 2, Tensor(np.arange(1.0, 5.0).astype(x.dtype))),
    lambda x: ops.layer_norm(x, x.shape[1:]),
    lambda x: ops.layer_norm(x, x.shape[-1]),
]


@pytest.mark.parametrize("op", NORMS)
def test_an_image_is_normalized_as_if_it_were_alone(op, module):
    rng = np.random.default_rng(0)
    x, grad_y = rng.standard_normal((2, 3, 4, 5, 6))
    y, grad_x = run(op, grad_y, x)
    for n in range(3):
        close(run(op, grad_y[n : n + 1], x[n : n + 1]), [y[n : n + 1], grad_x[n : n + 1]], rtol=1e-12)


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_images(op, dtype, module):
    found = run(op, np.zeros((0, 4, 5, 6), dtype), np.zeros((0, 4, 5, 6), dtype))
    assert all(array.shape == (0, 4, 5, 6) and array.dtype == dtype for array in found)


@pytest.mark.parametrize("op", NORMS)
def test_any_order_of_memory(op, module):
    rng = np.random.default_rng(0)
    x, grad_y = rng.standard_normal((2, 3, 4, 5, 6))
    expected = run(op, grad_y, x)
    for order in ((0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 2, 3)):
        back = np.argsort(order)
        ordered, grad = (np.ascontiguousarray(array.transpose(order)).transpose(back) for array in (x, grad_y))
        close(run(op, grad, ordered), expected, rtol=1e-12)
    close(run(op, np.broadcast_to(np.float64(1), x.shape), x[:, :, ::1, ::-1][..., ::-1]), run(op, np.ones(x.shape), x))


@pytest.mark.parametrize("op", NORMS)
def test_equal_numbers_become_zero_and_a_large_mean_costs_few_digits(op, module):
    y, grad_x = run(op, np.ones((2, 4, 5, 6), "f"), np.full((2, 4, 5, 6), 7, "f"))
    assert not y.any() and np.isfinite(grad_x).all()
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6))
    shifted = (x + 1000).astype("f")
    exact, _ = run(op, x, shifted.astype(float))
    found, _ = run(op, x.astype("f"), shifted)
    np.testing.assert_allclose(found, exact, atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_group(bad, module):
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 3))
    x[0, 1, 2, 0] = bad
    with np.errstate(invalid="ignore"):
        y, grad_x = run(lambda x: ops.group_norm(x, 2), np.ones(x.shape), x)
    for array in (y, grad_x):
        assert np.isnan(array[0, :2]).all() and np.isfinite(array[0, 2:]).all() and np.isfinite(array[1]).all()


@given(
    st.integers(0, 3), st.integers(1, 4), st.integers(1, 3), st.lists(st.integers(1, 4), max_size=3),
    st.sampled_from(["both", "weight", "none"]), st.sampled_from([1e-5, 0.1]), seeds,
)  # fmt: skip
def test_layers_against_pytorch(N, G, size, image, affine, eps, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    C, image = G * size, image if size * np.prod(image, dtype=int) > 1 else [3]
    x, grad_y = rng.normal(0.5, 2, (2, N, C, *image))
    shape = (C, *image)
    pairs = [
        (nn.GroupNorm(G, C, eps, affine != "none"), torch.nn.GroupNorm(G, C, eps, affine != "none")),
        (nn.LayerNorm(shape, eps, affine != "none", affine == "both"),
         torch.nn.LayerNorm(shape, eps, affine != "none", affine == "both")),
    ]  # fmt: skip
    for ours, theirs in pairs:
        ours.to("float64")
        state = {name: rng.standard_normal(array.shape) for name, array in ours.state_dict().items()}
        ours.load_state_dict(state)
        theirs.double().load_state_dict({name: torch.tensor(array) for name, array in state.items()})
        here, there = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, expected = ours(here), theirs(there)
        y.backward(grad_y)
        expected.backward(torch.tensor(grad_y))
        close([y.data, here.grad], [expected.detach().numpy(), there.grad.numpy()])
        for (name, parameter), (other_name, other) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            assert name == other_name
            close([parameter.grad], [other.grad.numpy()])
