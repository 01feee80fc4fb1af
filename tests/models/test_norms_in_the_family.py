"""norm="group" and "layer": what stands at a norm's place, its groups, its twins, and what does not go with it."""

import numpy as np
import pytest

from minires import gradient_check, models, nn, ops
from minires.engine import Tensor
from minires.models.parts import groups_of

X = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)


def norms_of(model):
    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.GroupNorm)]


@pytest.mark.parametrize(
    "channels, groups",
    [(64, 32), (128, 32), (2048, 32), (16, 8), (32, 16), (4, 2), (1, 1), (3, 1), (10, 5), (48, 24), (7, 1), (9, 3)],
)
def test_32_groups_and_never_fewer_than_two_channels_in_one(channels, groups):
    assert groups_of(channels) == groups


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20", "resnet18", "resnet50", "preact_resnet50"])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_every_batch_norm_has_its_place_taken(name, norm):
    """The same parameters by the same names and with the same values; only the running statistics are gone."""
    batch, other = (models.make(name, norm=one, shortcut="B", seed=3) for one in ("batch", norm))
    assert {name: array.shape for name, array in batch.state_dict().items() if "running" not in name} == {
        name: array.shape for name, array in other.state_dict().items()
    }
    for key, array in other.state_dict().items():
        np.testing.assert_array_equal(array, batch.state_dict()[key])
    places = [name for name, module in batch.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert [name for name, _ in norms_of(other)] == places
    for _, module in norms_of(other):
        assert module.num_groups == (groups_of(module.num_channels) if norm == "group" else 1)


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20"])
def test_an_images_logits_do_not_depend_on_its_batch_nor_on_the_mode(name, norm):
    model = models.make(name, norm=norm, seed=0)
    logits = model(Tensor(X)).data
    np.testing.assert_allclose(model(Tensor(X[1:2])).data, logits[1:2], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(model.eval()(Tensor(X)).data, logits)


def test_a_pytorch_network_with_group_norm_loads_and_agrees():
    torch = pytest.importorskip("torch")
    from torch import nn as theirs

    class Block(theirs.Module):
        def __init__(self, C, F, stride):
            super().__init__()
            self.conv1, self.bn1 = theirs.Conv2d(C, F, 3, stride, 1, bias=False), theirs.GroupNorm(groups_of(F), F)
            self.conv2, self.bn2 = theirs.Conv2d(F, F, 3, 1, 1, bias=False), theirs.GroupNorm(groups_of(F), F)
            self.downsample = None
            if C != F:
                self.downsample = theirs.Sequential(
                    theirs.Conv2d(C, F, 1, stride, bias=False), theirs.GroupNorm(groups_of(F), F)
                )

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    class Net(theirs.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = theirs.Conv2d(3, 8, 3, 1, 1, bias=False), theirs.GroupNorm(4, 8)
            self.layer1 = theirs.Sequential(Block(8, 8, 1))
            self.layer2 = theirs.Sequential(Block(8, 16, 2))
            self.layer3 = theirs.Sequential(Block(16, 32, 2))
            self.fc = theirs.Linear(32, 10)

        def forward(self, x):
            y = torch.relu(self.bn1(self.conv1(x)))
            return self.fc(self.layer3(self.layer2(self.layer1(y))).mean((2, 3)))

    torch.manual_seed(0)
    net = Net().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model = models.cifar_resnet(8, width=8, shortcut="B", norm="group", init=None).to("float64")
    model.load_state_dict({name: tensor.detach().numpy() for name, tensor in net.state_dict().items()})
    x, labels = X.astype(np.float64), np.array([0, 1, 2, 3])
    logits, expected = model(Tensor(x)), net(torch.tensor(x))
    np.testing.assert_allclose(logits.data, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    ops.cross_entropy(logits, labels).backward()
    torch.nn.functional.cross_entropy(expected, torch.tensor(labels)).backward()
    gradients = dict(net.named_parameters())
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad, gradients[name].grad.numpy(), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_zero_gamma_starts_the_branches_at_zero(norm):
    model = models.cifar_resnet(8, width=4, norm=norm, init="zero_gamma", seed=0)
    for block in (model.layer1[0], model.layer2[0], model.layer3[0]):
        assert not block.bn2.weight.data.any() and np.all(block.bn1.weight.data == 1)
    x = Tensor(np.abs(X[:, :1]).repeat(4, axis=1))
    np.testing.assert_array_equal(model.layer1[0](x).data, x.data)


def test_what_does_not_go_together_is_refused():
    for init in ("skipinit", "skipinit_sqrt", "fixup"):
        with pytest.raises(ValueError, match=f"init='{init}' replaces batch norm; pass norm='none' with it"):
            models.resnet20(norm="group", init=init)
        with pytest.raises(ValueError, match=f"'{init}' needs a scalar .* layer1.0 has GroupNorm"):
            models.initialize(models.resnet20(norm="layer", init=None), init)
    with pytest.raises(ValueError, match="'zero_gamma' needs a norm with a weight at the end of every branch"):
        models.preact_resnet20(norm="group", init="zero_gamma")
    with pytest.raises(ValueError, match="fused=True is for norm='batch' .* not for norm='group'"):
        models.resnet20(norm="group", fused=True)


def test_the_misplaced_norm_can_be_any():
    model = models.resnet20(block=models.MisplacedNormBlock, norm="group", seed=0)
    assert model(Tensor(X)).shape == (4, 10)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_folded_network_keeps_them(norm):
    model = models.cifar_resnet(8, width=4, norm=norm, shortcut="B", seed=0)
    folded = models.folded(model)
    assert len(norms_of(folded)) == len(norms_of(model)) == 9
    np.testing.assert_array_equal(folded(Tensor(X)).data, model(Tensor(X)).data)


def test_gradients_of_a_whole_network_are_right():
    model = models.cifar_resnet(8, in_channels=3, width=4, norm="group", activation="gelu", seed=0)
    assert gradient_check.check_model(model, X[:2], np.array([0, 1])).ok
