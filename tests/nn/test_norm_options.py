"""Batch norm's options, sequences, and the norms that need no batch, as layers: values, state, and PyTorch's files."""

import copy

import numpy as np
import pytest
from safetensors.numpy import save_file

from minires import interop, models, nn, ops
from minires.engine import Tensor
from minires.models.folding import folded
from minires.models.fused import FusedBasicBlock
from minires.runs.ema import EMA


def image(*shape, seed=0, dtype=np.float32):
    return Tensor(np.random.default_rng(seed).normal(1, 2, shape).astype(dtype))


OPTIONS = [
    {"affine": False},
    {"momentum": None},
    {"track_running_stats": False},
    {"affine": False, "momentum": None},
    {"affine": False, "track_running_stats": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    "name, shape", [("BatchNorm2d", (4, 3, 2, 5)), ("BatchNorm1d", (6, 3)), ("BatchNorm1d", (2, 3, 4))]
)
def test_options_as_pytorch_has_them(name, shape, options):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(3, eps=1e-3, **options).to("float64")
    theirs = getattr(torch.nn, name)(3, eps=1e-3, **options).double()
    assert (ours.weight is None) == (theirs.weight is None) and (ours.running_mean is None) == (
        theirs.running_mean is None
    )
    rng = np.random.default_rng(0)
    for step in range(4):
        if step == 3:
            ours.eval()
            theirs.eval()
        x, grad_y = rng.normal(1, 3, (2, *shape))
        here, there = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, expected = ours(here), theirs(there)
        y.backward(grad_y)
        expected.backward(torch.tensor(grad_y))
        np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(here.grad, there.grad.numpy(), rtol=1e-9, atol=1e-11)
        for buffer in ours.buffer_names[:2]:
            np.testing.assert_allclose(getattr(ours, buffer), getattr(theirs, buffer).numpy(), rtol=1e-12)


def test_momentum_none_is_the_mean_over_all_batches():
    norm = nn.BatchNorm2d(2, momentum=None)
    batches = [image(3, 2, 4, 5, seed=seed) for seed in range(5)]
    for x in batches:
        norm(x)
    means = [x.data.mean(axis=(0, 2, 3)) for x in batches]
    variances = [x.data.var(axis=(0, 2, 3), ddof=1) for x in batches]
    np.testing.assert_allclose(norm.running_mean, np.mean(means, axis=0), rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, np.mean(variances, axis=0), rtol=1e-5)
    assert norm.num_batches_tracked == 5


def test_the_count_of_batches_is_state():
    """Saved, loaded, copied, converted and averaged like the statistics: a run that goes on has the same mean."""
    norm, other = nn.BatchNorm2d(2, momentum=None), nn.BatchNorm2d(2, momentum=None)
    for seed in range(3):
        norm(image(3, 2, 4, 5, seed=seed))
    assert list(norm.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    other.load_state_dict(norm.state_dict())
    EMA(norm).update()
    norm, double = norm.to("float32"), copy.deepcopy(norm).to("float64")
    x = image(3, 2, 4, 5, seed=7)
    for layer in (norm, other):
        layer(x)
    double(Tensor(x.data.astype(np.float64)))
    np.testing.assert_array_equal(norm.running_mean, other.running_mean)
    np.testing.assert_allclose(norm.running_mean, double.running_mean, rtol=1e-5)
    assert norm.num_batches_tracked == other.num_batches_tracked == double.num_batches_tracked == 4
    assert "num_batches_tracked" not in nn.BatchNorm2d(2).state_dict()


def test_the_momentum_can_be_taken_away_later():
    norm = nn.BatchNorm2d(2)
    norm(image(3, 2, 4, 5, seed=9))
    norm.momentum = None
    x = image(3, 2, 4, 5)
    norm(x)
    np.testing.assert_allclose(norm.running_mean, x.data.mean(axis=(0, 2, 3)), rtol=1e-5)  # the first that is counted


def test_pytorchs_count_is_taken_over(tmp_path):
    state = nn.BatchNorm2d(2, momentum=None).state_dict()
    norm = nn.Sequential(nn.BatchNorm2d(2, momentum=None), nn.BatchNorm2d(2))
    given = {f"{i}.{name}": array for i in range(2) for name, array in state.items()}
    given["0.num_batches_tracked"] = given["1.num_batches_tracked"] = np.array(12)  # an integer there
    norm.load_state_dict(given)
    assert norm[0].num_batches_tracked == 12 and norm[0].num_batches_tracked.dtype == np.float32
    norm[0].num_batches_tracked[...] = 0
    save_file({f"module.{name}": array for name, array in given.items()}, tmp_path / "file.safetensors")
    interop.load_weights(norm, tmp_path / "file.safetensors", verbose=False)
    assert norm[0].num_batches_tracked == 12


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_fused_block_and_a_folded_network_take_such_norms_or_leave_them(options):
    block = FusedBasicBlock(4, 4, seed=0)
    block.bn1, block.bn2 = nn.BatchNorm2d(4, **options), nn.BatchNorm2d(4, **options)
    plain = copy.deepcopy(block)
    plain.__class__ = models.BasicBlock
    x = image(3, 4, 5, 6)
    np.testing.assert_allclose(block(x).data, plain(x).data, rtol=1e-4, atol=1e-5)
    if block.bn1.running_mean is not None:
        np.testing.assert_allclose(block.bn2.running_var, plain.bn2.running_var, rtol=1e-4)
    network = models.cifar_resnet(8, width=4, seed=0)
    for _, module in network.named_modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.BatchNorm2d(child.num_features, **options))
    images = image(3, 3, 8, 8)
    network(images)
    expected = network.eval()(images).data
    np.testing.assert_allclose(folded(network)(images).data, expected, rtol=1e-3, atol=1e-4)


def test_sequences_are_rows():
    x = image(4, 3, 6)
    norm, rows = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    y = norm(x)
    expected = rows(Tensor(x.data.transpose(0, 2, 1).reshape(24, 3))).data.reshape(4, 6, 3).transpose(0, 2, 1)
    assert y.shape == x.shape and y.dtype == np.float32
    np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(norm.running_var, rows.running_var)
    with pytest.raises(ValueError, match=r"expected x \(N, C\) or \(N, C, L\) with C = 3, got \(2, 4, 3\)"):
        norm(image(2, 4, 3))
    with pytest.raises(ValueError, match="at most one number per channel"):
        norm(image(1, 3, 1))


NORMS = [nn.GroupNorm(2, 6), nn.GroupNorm(1, 6, affine=False), nn.LayerNorm((6, 4, 5)), nn.LayerNorm(5, bias=False)]


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_evaluation_is_training_and_float32_stays(norm):
    x = image(3, 6, 4, 5)
    y = norm(x)
    assert y.dtype == np.float32 and y.shape == x.shape and list(norm.named_buffers()) == []
    np.testing.assert_array_equal(copy.deepcopy(norm).eval()(x).data, y.data)
    assert norm.to("float64")(image(2, 6, 4, 5, dtype=np.float64)).dtype == np.float64
    norm.to("float32")


@pytest.mark.parametrize("init", nn.SCHEMES)
def test_a_norm_starts_at_one_and_zero_whatever_the_scheme(init):
    """A layer norm's weight has several axes, as filters have, and is none."""
    model = nn.Sequential(nn.LayerNorm((3, 4, 5)), nn.GroupNorm(3, 6), nn.LayerNorm(7), nn.Linear(7, 2))
    for parameter in model.parameters():
        parameter.data[...] = 5
    nn.initialize(model, init, seed=0)
    for norm in (model[0], model[1], model[2]):
        assert np.all(norm.weight.data == 1) and np.all(norm.bias.data == 0)
    assert np.any(model[3].weight.data != 5)


def test_state_dicts_are_pytorchs():
    torch = pytest.importorskip("torch")
    pairs = [
        (nn.GroupNorm(2, 6), torch.nn.GroupNorm(2, 6)),
        (nn.GroupNorm(2, 6, affine=False), torch.nn.GroupNorm(2, 6, affine=False)),
        (nn.LayerNorm((2, 3)), torch.nn.LayerNorm((2, 3))),
        (nn.LayerNorm(3, bias=False), torch.nn.LayerNorm(3, bias=False)),
        (nn.LayerNorm(3, elementwise_affine=False), torch.nn.LayerNorm(3, elementwise_affine=False)),
    ]
    for ours, theirs in pairs:
        shapes = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
        assert {name: array.shape for name, array in ours.state_dict().items()} == shapes


def test_what_does_not_fit_is_refused_when_it_is_made_or_called():
    with pytest.raises(ValueError, match="GroupNorm: 4 groups do not divide 6 channels; these do: 1, 2, 3, 6"):
        nn.GroupNorm(4, 6)
    with pytest.raises(ValueError, match="GroupNorm: num_channels must be at least 1, got 0"):
        nn.GroupNorm(1, 0)
    with pytest.raises(ValueError, match=r"GroupNorm: expected x \(N, C, …\) with C = 6, got \(2, 3, 4, 4\)"):
        nn.GroupNorm(2, 6)(image(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"LayerNorm: normalized_shape\[1\] must be at least 1, got 0"):
        nn.LayerNorm((3, 0))
    with pytest.raises(ValueError, match="LayerNorm: normalized_shape must name at least one axis"):
        nn.LayerNorm(())
    with pytest.raises(TypeError, match="LayerNorm: a size of normalized_shape must be a whole number, got 2.5"):
        nn.LayerNorm(2.5)
    with pytest.raises(ValueError, match='GELU: approximate must be "none" or "tanh", got .erf.'):
        nn.GELU("erf")
    with pytest.raises(TypeError, match="BatchNorm2d: momentum must be a number, got 'none'"):
        nn.BatchNorm2d(3, momentum="none")


def test_linear_on_any_axes():
    layer = nn.Linear(4, 3, seed=0)
    x = image(2, 5, 6, 4)
    y = layer(x)
    assert y.shape == (2, 5, 6, 3) and layer(Tensor(x.data[0, 0, 0])).shape == (3,)
    np.testing.assert_allclose(y.data, x.data @ layer.weight.data.T + layer.bias.data, rtol=1e-5, atol=1e-6)
    assert layer(image(0, 5, 4)).shape == (0, 5, 3)
    assert nn.totals(layer, (5, 6, 4)).multiply_adds == 5 * 6 * 4 * 3
    assert ops.linear(image(2, 0, 4), layer.weight).shape == (2, 0, 3)
