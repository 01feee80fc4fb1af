"""The layers: what they compute, that float32 stays float32, and what they refuse."""

import numpy as np
import pytest

from minires import nn, ops
from minires.engine import Tensor
from minires.models.fused import FusedBasicBlock


def image(*shape, dtype=np.float32, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


@pytest.mark.parametrize(
    "layer, op",
    [
        (nn.ReLU(), ops.relu),
        (nn.LeakyReLU(0.3), lambda x: ops.leaky_relu(x, 0.3)),
        (nn.ELU(0.7), lambda x: ops.elu(x, 0.7)),
        (nn.SELU(), ops.selu),
        (nn.GELU(), ops.gelu),
        (nn.GELU("tanh"), lambda x: ops.gelu(x, "tanh")),
        (nn.Tanh(), ops.tanh),
        (nn.Sigmoid(), ops.sigmoid),
        (nn.Flatten(), ops.flatten),
        (nn.MaxPool2d(3, 2, 1), lambda x: ops.max_pool2d(x, 3, 2, 1)),
        (nn.MaxPool2d((2, 3)), lambda x: ops.max_pool2d(x, (2, 3))),
        (nn.AvgPool2d(2), lambda x: ops.avg_pool2d(x, 2)),
        (nn.AvgPool2d((3, 2), 1, 1), lambda x: ops.avg_pool2d(x, (3, 2), 1, 1)),
        (nn.GlobalAvgPool2d(), ops.global_avg_pool2d),
        (nn.AdaptiveAvgPool2d((2, 3)), lambda x: ops.adaptive_avg_pool2d(x, (2, 3))),
        (nn.Identity(), lambda x: x),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_layer_without_parameters_is_its_op(layer, op):
    x = image(2, 3, 7, 8)
    y = layer(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, op(x).data)
    assert layer.parameters() == []


def test_conv2d_by_hand():
    layer = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), seed=0)
    x = image(2, 2, 5, 6)
    y = layer(x)
    assert y.shape == (2, 3, 3, 5) and y.dtype == np.float32
    padded = np.pad(x.data, ((0, 0), (0, 0), (1, 1), (0, 0)))
    expected = np.sum(layer.weight.data[1] * padded[1, :, 2:5, 3:5]) + layer.bias.data[1]
    np.testing.assert_allclose(y.data[1, 1, 1, 3], expected, rtol=1e-5)


def test_conv2d_with_groups_and_dilation_by_hand():
    layer = nn.Conv2d(4, 6, (3, 2), padding=(2, 0), dilation=(2, 3), groups=2, seed=0)
    x = image(2, 4, 5, 6)
    y = layer(x)
    assert layer.weight.shape == (6, 2, 3, 2) and y.shape == (2, 6, 5, 3) and y.dtype == np.float32
    padded = np.pad(x.data, ((0, 0), (0, 0), (2, 2), (0, 0)))
    expected = np.sum(layer.weight.data[4] * padded[1, 2:4, 1:6:2, 2:6:3]) + layer.bias.data[4]
    np.testing.assert_allclose(y.data[1, 4, 1, 2], expected, rtol=1e-5)


def test_linear_by_hand():
    layer = nn.Linear(4, 3, seed=0)
    x = image(5, 4)
    np.testing.assert_allclose(layer(x).data, x.data @ layer.weight.data.T + layer.bias.data, rtol=1e-5)


def test_a_layer_without_bias_has_one_parameter():
    for layer in (nn.Conv2d(2, 3, 3, bias=False), nn.Linear(2, 3, bias=False)):
        assert layer.bias is None
        assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="Conv2d: out_channels must be at least 1, got 0"):
        nn.Conv2d(3, 0, 3)
    with pytest.raises(ValueError, match="Conv2d: kernel_size must be at least 1, got 0"):
        nn.Conv2d(3, 4, (3, 0))
    with pytest.raises(ValueError, match="Conv2d: groups must be at least 1, got 0"):
        nn.Conv2d(4, 4, 3, groups=0)
    for sizes in ((4, 6, 4), (6, 4, 3)):
        with pytest.raises(ValueError, match="Conv2d: groups . must divide in_channels . and out_channels ."):
            nn.Conv2d(*sizes[:2], 3, groups=sizes[2])
    with pytest.raises(ValueError, match="Conv2d: dilation must be a whole number .*, got 0"):
        nn.Conv2d(4, 4, 3, dilation=0)
    with pytest.raises(ValueError, match="Linear: in_features must be at least 1, got -2"):
        nn.Linear(-2, 4)
    with pytest.raises(ValueError, match="BatchNorm2d: num_features must be at least 1, got 0"):
        nn.BatchNorm2d(0)
    with pytest.raises(ValueError, match="Dropout: p must be at least 0 and below 1, got 1"):
        nn.Dropout(1.0)
    with pytest.raises(TypeError, match="Sequential: layer 1 must be a Module"):
        nn.Sequential(nn.ReLU(), ops.relu)


def test_dropout_draws_from_its_own_generator_in_training_only():
    x = Tensor(np.ones((50, 40), np.float32))
    first, second = nn.Dropout(0.25, seed=3), nn.Dropout(0.25, seed=3)
    y = first(x)
    np.testing.assert_array_equal(y.data, second(x).data)
    assert not np.array_equal(y.data, first(x).data)  # the next batch, another mask
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(np.mean(y.data == 0) - 0.25) < 0.05
    assert first.eval()(x) is x


def test_sequential_is_its_layers_one_after_another():
    layers = [nn.Linear(3, 4, seed=0), nn.ReLU(), nn.Linear(4, 2, seed=1)]
    model = nn.Sequential(*layers)
    x = image(5, 3)
    np.testing.assert_array_equal(model(x).data, layers[2](layers[1](layers[0](x))).data)
    assert len(model) == 3 and model[1] is layers[1] and list(model) == layers
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("layer, shape", [(nn.BatchNorm2d, (4, 3, 5, 6)), (nn.BatchNorm1d, (7, 3))])
def test_batch_norm_normalizes_and_remembers(layer, shape):
    norm = layer(3, momentum=0.25)
    x = Tensor(2 + 3 * image(*shape).data)
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    y = norm(x)
    assert y.dtype == norm.running_mean.dtype == norm.running_var.dtype == np.float32
    np.testing.assert_allclose(y.data.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(y.data.var(axes), 1, atol=1e-4)
    np.testing.assert_allclose(norm.running_mean, 0.25 * x.data.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, 0.75 + 0.25 * x.data.var(axes, ddof=1), rtol=1e-5)

    mean, var = norm.running_mean.copy(), norm.running_var.copy()
    y = norm.eval()(x)
    per_channel = (1, 3) + (1,) * (len(shape) - 2)
    expected = (x.data - mean.reshape(per_channel)) / np.sqrt(var.reshape(per_channel) + 1e-5)
    np.testing.assert_allclose(y.data, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(norm.running_mean, mean)  # evaluation changes nothing
    np.testing.assert_array_equal(norm.running_var, var)


def test_batch_norm_refuses_one_value_per_channel_and_wrong_shapes():
    norm = nn.BatchNorm2d(3)
    with pytest.raises(ValueError, match="one number per channel"):
        norm(image(1, 3, 1, 1))
    np.testing.assert_array_equal(norm.running_mean, 0)
    assert norm.eval()(image(1, 3, 1, 1)).shape == (1, 3, 1, 1)
    with pytest.raises(ValueError, match=r"BatchNorm2d: expected x \(N, C, H, W\) with C = 3, got \(2, 3\)"):
        norm(image(2, 3))
    with pytest.raises(ValueError, match=r"BatchNorm2d: expected .* with C = 3, got \(2, 4, 5, 5\)"):
        norm(image(2, 4, 5, 5))
    with pytest.raises(ValueError, match=r"BatchNorm1d: expected x \(N, C\) or \(N, C, L\) with C = 3, got \(2, 3, 4"):
        nn.BatchNorm1d(3)(image(2, 3, 4, 4))


@pytest.mark.parametrize("name, shape", [("BatchNorm2d", (4, 3, 5, 6)), ("BatchNorm1d", (7, 3))])
def test_batch_norm_equals_torch(name, shape):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(3, eps=1e-3, momentum=0.3).to("float64")
    theirs = getattr(torch.nn, name)(3, eps=1e-3, momentum=0.3).double()
    ours.weight.data[...], ours.bias.data[...] = [1.5, -0.5, 2.0], [0.1, 0.2, -0.3]
    theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()}, strict=False)
    rng = np.random.default_rng(0)
    for step in range(4):
        if step == 3:
            ours.eval()
            theirs.eval()
        x, grad_y = rng.standard_normal((2, *shape)) * 3 + 1
        x, x_torch = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        ours.zero_grad()
        theirs.zero_grad()
        y, y_torch = ours(x), theirs(x_torch)
        y.backward(grad_y)
        y_torch.backward(torch.tensor(grad_y))
        pairs = [
            (y.data, y_torch.detach()), (x.grad, x_torch.grad), (ours.weight.grad, theirs.weight.grad),
            (ours.bias.grad, theirs.bias.grad), (ours.running_mean, theirs.running_mean),
            (ours.running_var, theirs.running_var),
        ]  # fmt: skip
        for mine, reference in pairs:
            np.testing.assert_allclose(mine, reference.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    "found", [np.ones(3, np.float32), np.ones((4, 4), np.float32), np.ones(4), np.ones(1, np.float32), [1.0] * 4]
)
def test_running_statistics_of_another_kind_are_refused(found, fused, training):
    """NumPy would broadcast or round some of them silently."""
    block = FusedBasicBlock(4, 4) if fused else nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    first, second = [module for _, module in block.named_modules() if isinstance(module, nn.BatchNorm2d)]
    block.train(training)
    second.running_var = found
    mean = second.running_mean.copy()
    with pytest.raises(ValueError, match=r"running_var is .*, where the layer needs \(4,\) float32 on cpu"):
        block(image(2, 4, 3, 5))
    np.testing.assert_array_equal(second.running_mean, mean)
    if fused:
        np.testing.assert_array_equal(first.running_mean, mean)


def test_read_only_running_statistics_serve_evaluation_alone():
    norm = nn.BatchNorm2d(4).eval()
    norm.running_mean = np.broadcast_to(np.float32(0), 4)
    norm(image(2, 4, 3, 5))
    with pytest.raises(ValueError, match="running_mean is .*, read-only, where the layer needs"):
        norm.train()(image(2, 4, 3, 5))
