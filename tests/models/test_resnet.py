"""The networks against the same networks written with torch, weights shared: logits, gradients, running statistics."""

import numpy as np
import pytest

from minires import models, nn, ops
from minires.engine import Tensor, backward_order

SMALL = {"in_channels": 2, "num_classes": 5, "seed": 3}


class Reference:
    """A ResNet in torch.nn.functional, straight from the state dict's names."""

    def __init__(self, model, torch):
        self.F = torch.nn.functional
        self.model, self.torch = model, torch
        self.state = {name: torch.tensor(array) for name, array in model.state_dict().items()}
        for name, _ in model.named_parameters():
            self.state[name].requires_grad_()

    def conv(self, name, x, stride, padding):
        if f"{name}.input_bias" in self.state:
            x = x + self.state[f"{name}.input_bias"]
        return self.F.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, padding)

    def norm(self, name, x):
        weight, bias = self.state.get(f"{name}.weight"), self.state.get(f"{name}.bias")
        if f"{name}.running_mean" not in self.state:  # scalars, or nothing
            x = x if weight is None else weight * x
            return x if bias is None else x + bias
        mean, var = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        return self.F.batch_norm(x, mean, var, weight, bias, self.model.training)

    def shortcut(self, name, x, shape, stride):
        if f"{name}.0.weight" in self.state:
            return self.norm(f"{name}.1", self.conv(f"{name}.0", x, stride, 0))
        missing = shape[1] - x.shape[1]
        return self.F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, missing // 2, missing - missing // 2))

    def block(self, name, x, stride, act, kind, skip, stride_on):
        n = 3 if "ottleneck" in kind else 2
        first = stride_on == "1x1"
        strides = [stride, 1] if n == 2 else [stride, 1, 1] if first else [1, stride, 1]
        y = h = x
        for i in range(n):
            conv, norm = f"{name}.conv{i + 1}", f"{name}.bn{i + 1}"
            padding = self.state[f"{conv}.weight"].shape[-1] // 2
            if kind.startswith("PreAct"):
                y = act(self.norm(norm, y))
                h = y if i == 0 and f"{name}.downsample.0.weight" in self.state else h
                y = self.conv(conv, y, strides[i], padding)
            else:
                y = self.norm(norm, self.conv(conv, y, strides[i], padding))
                y = act(y) if i < n - 1 else y
        y = self.norm(f"{name}.scale", y)
        if skip:
            y = y + self.shortcut(f"{name}.downsample", h, y.shape, stride)
        return y if kind.startswith("PreAct") else act(y)

    def __call__(self, x, kind, depths, stem="cifar", act=None, skip=True, stride_on="3x3"):
        act = act or self.torch.relu
        y = self.conv("conv1", x, *((1, 1) if stem == "cifar" else (2, 3)))
        if not kind.startswith("PreAct"):
            y = act(self.norm("bn1", y))
        if stem == "imagenet":
            y = self.F.max_pool2d(y, 3, 2, 1)
        for i in range(len(depths)):
            for j in range(depths[i]):
                stride = 2 if i > 0 and j == 0 else 1
                y = self.block(f"layer{i + 1}.{j}", y, stride, act, kind, skip, stride_on)
        if kind.startswith("PreAct"):
            y = act(self.norm("bn1", y))
        y = y.mean((2, 3)) + self.state.get("fc.input_bias", 0)
        return y @ self.state["fc.weight"].T + self.state["fc.bias"]


def cifar(depth, block, **options):
    return models.cifar_resnet(depth, block=block, width=4, **options, **SMALL)


FOUR = ((1, 2, 1, 1), (4, 6, 8, 10))
CASES = {
    "option A": (lambda: cifar(14, models.BasicBlock), {"depths": (2, 2, 2)}),
    "option B": (lambda: cifar(8, models.BasicBlock, shortcut="B"), {}),
    "option C": (lambda: cifar(8, models.BasicBlock, shortcut="C"), {}),
    "always projected": (lambda: cifar(8, models.BasicBlock, shortcut="always"), {}),
    "plain": (lambda: cifar(14, models.BasicBlock, skip=False), {"depths": (2, 2, 2), "skip": False}),
    "no norm": (lambda: cifar(8, models.BasicBlock, norm="none", shortcut="B"), {}),
    "elu": (lambda: cifar(8, models.BasicBlock, activation="elu"), {"act": "elu"}),
    "skipinit": (lambda: cifar(8, models.BasicBlock, norm="none", init="skipinit_sqrt"), {}),
    "fixup": (lambda: cifar(8, models.BasicBlock, norm="none", init="fixup", shortcut="B"), {}),
    "bottleneck": (lambda: models.ResNet(models.Bottleneck, *FOUR, stem="imagenet", **SMALL),
                   {"kind": "Bottleneck", "depths": FOUR[0], "stem": "imagenet"}),
    "bottleneck v1": (lambda: models.ResNet(models.Bottleneck, *FOUR, stride_on="1x1", **SMALL),
                      {"kind": "Bottleneck", "depths": FOUR[0], "stride_on": "1x1"}),
    "four stages": (lambda: models.ResNet(models.BasicBlock, *FOUR, stem="imagenet", **SMALL),
                    {"depths": FOUR[0], "stem": "imagenet"}),
    "preact": (lambda: cifar(14, models.PreActBlock), {"kind": "PreActBlock", "depths": (2, 2, 2)}),
    "preact B": (lambda: cifar(8, models.PreActBlock, shortcut="B"), {"kind": "PreActBlock"}),
    "preact bottleneck": (lambda: cifar(11, models.PreActBottleneck, shortcut="B"), {"kind": "PreActBottleneck"}),
    "preact fixup": (lambda: cifar(8, models.PreActBlock, norm="none", init="fixup"), {"kind": "PreActBlock"}),
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients_equal_torchs(case, training):
    torch = pytest.importorskip("torch")
    maker, structure = CASES[case]
    model = maker().to("float64")
    rng = np.random.default_rng(1)
    for name, array in model._state().items():  # away from zeros and ones, which hide mistakes
        array[...] += 0.3 * rng.random(array.shape) if "running" in name or array.ndim == 1 else 0.05 * rng.random()
    model.train(training)
    reference = Reference(model, torch)
    x = rng.standard_normal((3, 2, 12, 18))
    grad_y = rng.standard_normal((3, 5))

    y = model(Tensor(x))
    y.backward(grad_y)
    options = {"kind": "BasicBlock", "depths": (1, 1, 1), **structure}
    if "act" in options:
        options["act"] = getattr(torch.nn.functional, options["act"])
    expected = reference(torch.tensor(x), **options)
    expected.backward(torch.tensor(grad_y))

    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-9, atol=1e-9)
    for name, parameter in model.named_parameters():
        expected_grad = reference.state[name].grad.numpy()
        scale = max(1.0, np.abs(expected_grad).max())
        np.testing.assert_allclose(parameter.grad / scale, expected_grad / scale, rtol=0, atol=1e-9, err_msg=name)
    for name, array in model.named_buffers():
        np.testing.assert_allclose(array, reference.state[name].detach().numpy(), rtol=1e-9, atol=1e-9, err_msg=name)


def test_names_are_torchvisions():
    state = models.resnet18(init=None).state_dict()
    assert list(state)[:6] == [
        "conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "layer1.0.conv1.weight",
    ]  # fmt: skip
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_var", "layer4.1.bn2.bias"} < set(state)
    assert list(state)[-2:] == ["fc.weight", "fc.bias"]
    assert state["conv1.weight"].shape == (64, 3, 7, 7) and state["fc.weight"].shape == (1000, 512)
    assert "layer1.0.downsample.0.weight" not in state
    bottlenecks = models.resnet50(init=None).state_dict()
    assert bottlenecks["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert bottlenecks["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)


def test_ops_know_their_module():
    x = Tensor(np.zeros((2, 3, 8, 8), np.float32))
    tensors = backward_order(models.resnet20(seed=0)(x))
    paths = [tensor.op.module_path for tensor in reversed(tensors)]
    assert paths[:4] == ["conv1", "bn1", "relu", "layer1.0.conv1"] and paths[-2:] == ["avgpool", "fc"]
    kinds = {(type(tensor.op).__name__, tensor.op.module_path) for tensor in tensors}
    assert {
        ("Conv2d", "layer2.1.conv1"), ("BatchNorm", "layer3.2.bn2"), ("ResidualAdd", "layer1.2"),
        ("OptionA", "layer2.0.downsample"), ("ReLU", "layer2.1.relu2"),
    } < kinds  # fmt: skip
    site = [tensor.op.site for tensor in tensors if tensor.op.module_path == "layer2.1.conv1"][0]
    assert site[0].endswith("blocks.py") and site[2] == "forward"


def test_float32_stays_float32():
    model = models.cifar_resnet(8, seed=0)
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    loss = ops.cross_entropy(model(x), np.array([1, 2]))
    order = backward_order(loss)
    assert {tensor.dtype for tensor in order} == {np.dtype(np.float32)}
    loss.backward(keep_grads=True)
    assert {tensor.grad.dtype for tensor in [*order, *model.parameters()]} == {np.dtype(np.float32)}
    assert {array.dtype for array in model.state_dict().values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("init", ["pytorch", "lecun", "xavier", "he", "he_fan_in", "skipinit_sqrt"])
@pytest.mark.parametrize("maker", ["resnet20", "preact_resnet20"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_the_plain_twin_has_the_same_parameters_but_the_shortcuts(init, maker, shortcut):
    norm = "none" if init == "skipinit_sqrt" else "batch"
    options = {"init": init, "norm": norm, "shortcut": shortcut, "seed": 4}
    residual, plain = models.make(maker, **options), models.make(maker, skip=False, **options)
    ours, theirs = residual.state_dict(), plain.state_dict()
    assert [name for name in ours if "downsample" not in name] == list(theirs)
    assert any("downsample" in name for name in ours) == (shortcut == "B")
    for name, array in theirs.items():
        np.testing.assert_array_equal(array, ours[name])


def test_round_trip_through_a_state_dict():
    first, second = models.cifar_resnet(8, seed=0), models.cifar_resnet(8, seed=1)
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    first(x)
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first.eval()(x).data, second.eval()(x).data)
    with pytest.raises(ValueError, match="layer2.0.downsample.0.weight is missing"):
        models.cifar_resnet(8, shortcut="B").load_state_dict(first.state_dict())


def test_seeds():
    a, b, c = (models.cifar_resnet(8, seed=seed).conv1.weight.data for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.any(a == c)
    assert not np.any(models.cifar_resnet(8).conv1.weight.data == models.cifar_resnet(8).conv1.weight.data)
    np.testing.assert_array_equal(models.cifar_resnet(8, init=None).conv1.weight.data, 0)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid"])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("block", [models.BasicBlock, models.PreActBlock, models.MisplacedNormBlock,
                                   models.AlwaysProjectedBlock], ids=lambda block: block.__name__)  # fmt: skip
def test_every_switch_trains(block, norm, activation):
    model = models.cifar_resnet(8, block=block, norm=norm, activation=activation, width=4, seed=0)
    check_step(model)


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
@pytest.mark.parametrize("shortcut", ["A", "B", "C", "always"])
@pytest.mark.parametrize("block", [models.Bottleneck, models.PreActBottleneck, models.BasicBlock, models.PreActBlock],
                         ids=lambda block: block.__name__)  # fmt: skip
@pytest.mark.parametrize("skip", [True, False], ids=["residual", "plain"])
def test_every_shape_trains(block, shortcut, stem, skip):
    network = models.PreActResNet if block.preactivated else models.ResNet
    check_step(network(block, *FOUR, shortcut=shortcut, stem=stem, skip=skip, seed=0))


def check_step(model):
    """Forward and backward: finite float32 gradients reach every parameter."""
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 16, 14)).astype(np.float32))
    loss = ops.cross_entropy(model(x), np.array([1, 2]))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and np.all(np.isfinite(parameter.grad)), name
    assert np.any(model.conv1.weight.grad)
    assert nn.totals(model, (3, 16, 14)).parameters == sum(parameter.size for parameter in model.parameters())


DEEPEST = ("101", "152", "1001", "1202", "101_32x8d")  # more of the same blocks, and slow; counted in test_sizes


@pytest.mark.parametrize("name", [name for name in models.MODELS if not name.endswith(DEEPEST)])
def test_every_named_model_trains(name):
    sizes = {"depth": 10, "width": 1} if name == "wide_resnet" else {}
    model = models.make(name, num_classes=10, stem="cifar", **sizes, seed=0)
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 10)).astype(np.float32))
    ops.cross_entropy(model(x), np.array([1, 2])).backward()
    assert all(np.all(np.isfinite(parameter.grad)) for parameter in model.parameters())
    assert np.any(model.conv1.weight.grad)
