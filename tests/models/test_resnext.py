"""ResNeXt: the published sizes, torchvision's names, and PyTorch's numbers from a network written here."""

import numpy as np
import pytest

from minires import interop, models, nn, ops
from minires.engine import Tensor, no_grad
from minires.models.fused import FusedResNet
from minires.models.resnext import ResNeXtBottleneck, resnext_bottleneck

SMALL = {"num_classes": 5, "in_channels": 2, "seed": 0}
DEPTHS, WIDTHS = (1, 2, 1), (16, 32, 64)


def small(groups=4, width_per_group=16, depths=DEPTHS, widths=WIDTHS, **options):
    return models.ResNet(resnext_bottleneck(models.Bottleneck, groups, width_per_group), depths, widths,
                         **{**SMALL, **options})  # fmt: skip


@pytest.mark.parametrize(
    "name, options, parameters",
    [
        ("resnext50_32x4d", {}, 25_028_904),
        ("resnext101_32x8d", {}, 88_791_336),
        ("resnet101", {"groups": 64, "width_per_group": 4}, 83_455_272),  # torchvision's resnext101_64x4d
        ("resnet50", {"width_per_group": 128}, 68_883_240),  # and its wide_resnet50_2
    ],
)
def test_published_numbers_of_parameters(name, options, parameters):
    model = models.make(name, init=None, **options)
    assert sum([parameter.size for parameter in model.parameters()]) == parameters


def test_multiply_adds_and_shapes():
    model = models.resnext50_32x4d(init=None)
    assert round(nn.totals(model).multiply_adds / 1e9, 2) == 4.23  # as torchvision publishes them
    state = model.state_dict()
    assert list(state) == list(models.resnet50(init=None).state_dict())
    for stage, width in enumerate((128, 256, 512, 1024), 1):
        assert state[f"layer{stage}.0.conv1.weight"].shape[0] == width
        assert state[f"layer{stage}.0.conv2.weight"].shape == (width, width // 32, 3, 3)
        assert state[f"layer{stage}.0.conv3.weight"].shape == (2 * width, width, 1, 1)


def torchvisions(torch, groups, width_per_group, depths, widths, in_channels, num_classes):
    """torchvision's ResNet of bottlenecks with groups, the stem that of CIFAR."""
    from torch import nn as tnn

    class Bottleneck(tnn.Module):
        def __init__(self, inplanes, planes, stride):
            super().__init__()
            width = int(planes * (width_per_group / 64.0)) * groups
            self.conv1, self.bn1 = tnn.Conv2d(inplanes, width, 1, bias=False), tnn.BatchNorm2d(width)
            self.conv2 = tnn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
            self.bn2 = tnn.BatchNorm2d(width)
            self.conv3, self.bn3 = tnn.Conv2d(width, planes * 4, 1, bias=False), tnn.BatchNorm2d(planes * 4)
            self.downsample = None
            if stride != 1 or inplanes != planes * 4:
                down = tnn.Conv2d(inplanes, planes * 4, 1, stride, bias=False)
                self.downsample = tnn.Sequential(down, tnn.BatchNorm2d(planes * 4))

        def forward(self, x):
            y = torch.relu(self.bn1(self.conv1(x)))
            y = torch.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    class ResNet(tnn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = tnn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False)
            self.bn1, channels, self.stages = tnn.BatchNorm2d(widths[0]), widths[0], []
            for stage, (depth, planes) in enumerate(zip(depths, widths, strict=True)):
                blocks = []
                for j in range(depth):
                    blocks.append(Bottleneck(channels, planes, 2 if stage > 0 and j == 0 else 1))
                    channels = 4 * planes
                self.stages.append(f"layer{stage + 1}")
                setattr(self, self.stages[-1], tnn.Sequential(*blocks))
            self.fc = tnn.Linear(channels, num_classes)

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            for stage in self.stages:
                x = getattr(self, stage)(x)
            return self.fc(x.mean((2, 3)))

    return ResNet()


@pytest.fixture
def twins():
    """A small ResNeXt in PyTorch, in float64, with statistics that are not 0 and 1, and ours without its weights."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torchvisions(torch, 4, 16, DEPTHS, WIDTHS, 2, 5).double()
    for name, buffer in theirs.named_buffers():
        if buffer.ndim:
            buffer.uniform_(0.5, 1.5) if name.endswith("var") else buffer.uniform_(-0.5, 0.5)
    return torch, theirs, small().to("float64")


@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_equal_pytorchs(twins, training):
    torch, theirs, ours = twins
    state = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    assert {name for name in state if not name.endswith("num_batches_tracked")} == set(ours.state_dict())
    ours.load_state_dict(state)
    ours.train(training)
    theirs.train(training)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((4, 2, 9, 12)), np.array([0, 3, 4, 1])
    logits = ours(Tensor(x))
    expected = theirs(torch.tensor(x))
    np.testing.assert_allclose(logits.data, expected.detach().numpy(), rtol=1e-8, atol=1e-9)
    ops.cross_entropy(logits, labels).backward()
    torch.nn.functional.cross_entropy(expected, torch.tensor(labels)).backward()
    parameters = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad, parameters[name].grad.numpy(), rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_file_of_torch_save_loads(twins, tmp_path):
    torch, theirs, ours = twins
    torch.save(theirs.state_dict(), tmp_path / "resnext.pth")
    loaded = interop.load_weights(ours, tmp_path / "resnext.pth")
    assert loaded.missing == loaded.unexpected == []
    x = np.random.default_rng(0).standard_normal((2, 2, 9, 12))
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours.eval()(Tensor(x)).data, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnet50"])
def test_groups_are_read_off_a_files_arrays(name):
    arrays = models.resnext50_32x4d(num_classes=7, init=None).state_dict()
    options = interop.options_of(arrays)
    assert (options["groups"], options["width_per_group"]) == (32, 4)
    made = models.make(name, init=None, **options)
    assert [array.shape for array in made.state_dict().values()] == [array.shape for array in arrays.values()]
    assert "groups" not in interop.options_of(models.resnet50(init=None).state_dict())
    wide = models.make("resnet50", width_per_group=128, init=None).state_dict()
    assert interop.options_of(wide)["width_per_group"] == 128


@pytest.mark.parametrize("norm, init", [("batch", "zero_gamma"), ("none", "fixup"), ("none", "skipinit_sqrt")])
@pytest.mark.parametrize("options", [{}, {"skip": False}, {"stride_on": "1x1", "shortcut": "A"}], ids=str)
def test_the_other_switches_of_the_family_go_with_it(norm, init, options):
    if options.get("skip", True) or init == "skipinit_sqrt":
        model = small(norm=norm, init=init, **options)
        x = Tensor(np.random.default_rng(0).standard_normal((2, 2, 8, 10)).astype("f"))
        ops.cross_entropy(model(x), np.array([1, 2])).backward()
        assert all(np.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_the_plain_twin_starts_with_the_same_values():
    plain, residual = small(skip=False).state_dict(), small().state_dict()
    for name, array in plain.items():
        np.testing.assert_array_equal(array, residual[name])


def test_fused_takes_its_plain_forward_and_folded_has_no_norms():
    plain = small()
    rng = np.random.default_rng(0)
    for name, array in plain.named_buffers():
        array[...] = rng.uniform(0.5, 1.5, array.shape) if name.endswith("var") else rng.uniform(-0.5, 0.5, array.shape)
    fused = FusedResNet(resnext_bottleneck(models.Bottleneck, 4, 16), DEPTHS, WIDTHS, **SMALL)
    fused.load_state_dict(plain.state_dict())
    x = Tensor(rng.standard_normal((2, 2, 8, 10)).astype("f"))
    np.testing.assert_allclose(fused(x).data, plain(x).data, rtol=1e-4, atol=1e-4)
    with no_grad():
        expected = plain.eval()(x).data
        for network in (plain, fused):
            folded = models.folded(network)
            assert not any(isinstance(module, nn.BatchNorm2d) for _, module in folded.named_modules())
            np.testing.assert_allclose(folded(x).data, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options", [{"groups": 2, "padding": 1}, {"dilation": 2, "padding": 2}, {"dilation": (1, 2), "padding": (1, 2)}]
)
def test_a_fused_block_with_such_a_convolution_in_it_takes_its_plain_forward(options):
    """A chain knows neither, and must not leave them out."""
    x = Tensor(np.random.default_rng(0).standard_normal((2, 4, 7, 8)).astype("f"))
    found = []
    for network in (models.ResNet, FusedResNet):
        model = network(models.BasicBlock, (1, 1, 1), (4, 4, 4), in_channels=4, seed=0)
        block = model.layer1[0]
        block.conv2 = nn.Conv2d(4, 4, 3, bias=False, seed=1, **options)
        found += [model.train()(x).data, models.folded(model)(x).data]
    np.testing.assert_allclose(found[2], found[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[3], found[1], rtol=1e-4, atol=1e-4)


class Own(models.Bottleneck):
    """A block of someone's own, which must not be replaced."""


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: models.make("resnet18", groups=32),
            "groups and width_per_group are for bottlenecks, not for BasicBlock",
        ),
        (lambda: models.make("preact_resnet50", groups=2), "are for bottlenecks, not for PreActBottleneck"),
        (lambda: models.make("resnet50", block=Own, groups=2), "are for bottlenecks, not for Own"),
        (lambda: models.make("resnet50", groups=0), "groups and width_per_group must be at least 1, got 0 and 64"),
        (lambda: models.make("resnet20", groups=2), "resnet20 has no option 'groups'"),
        (lambda: models.resnext50_32x4d(norm="layers"), "unknown norm 'layers'"),
    ],
)
def test_what_does_not_go_together_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_block_alone():
    block = ResNeXtBottleneck(64, 64, seed=0)
    assert block.conv2.weight.shape == (128, 4, 3, 3) and block.conv2.groups == 32
    assert block(Tensor(np.ones((1, 64, 4, 5), "f"))).shape == (1, 256, 4, 5)
    assert resnext_bottleneck(models.Bottleneck, 32, 8) is resnext_bottleneck(models.Bottleneck, 32, 8)
