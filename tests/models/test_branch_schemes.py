"""zero-γ, SkipInit and Fixup: branches that start at (or near) zero, and learn from there."""

import math
import zlib

import numpy as np
import pytest

from minires import models, nn, ops
from minires.engine import Tensor

X = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)


def blocks_of(model):
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "branch")]


@pytest.mark.parametrize(
    "block, norm, init",
    [
        (models.BasicBlock, "batch", "zero_gamma"),
        (models.Bottleneck, "batch", "zero_gamma"),
        *[
            (block, init, init)
            for init in ("skipinit", "fixup")
            for block in (models.BasicBlock, models.Bottleneck, models.PreActBlock, models.PreActBottleneck)
        ],
    ],
)
def test_a_branch_starts_at_zero_and_gets_a_gradient(block, norm, init):
    made = block(8, 8 // block.expansion, norm=norm, init=init, seed=0)
    x = np.random.default_rng(1).standard_normal((2, 8, 5, 6)).astype(np.float32)
    expected = x if block.preactivated else np.maximum(x, 0)
    y = made(Tensor(x))
    np.testing.assert_array_equal(y.data, expected)
    y.backward(np.random.default_rng(2).standard_normal(y.shape).astype(np.float32))
    end = getattr(made, made.branch_end).weight if init != "fixup" else getattr(made, made.branch[-1]).weight
    assert np.all(end.data == 0) and np.any(end.grad)


@pytest.mark.parametrize("maker", ["resnet20", "preact_resnet20"])
def test_skipinit_scalars(maker):
    for init, alpha in (("skipinit", 0), ("skipinit_sqrt", 1 / math.sqrt(9))):
        model = models.make(maker, norm="none", init=init, seed=0)
        ends = [getattr(block, block.branch_end).weight for _, block in blocks_of(model)]
        assert len(ends) == 9 and all(end.shape == (1,) and end.data[0] == np.float32(alpha) for end in ends)
        assert sum(p.size for p in model.parameters()) == nn.totals(models.make(maker, norm="none")).parameters + 9
        assert model.conv1.bias is not None
    redrawn = models.make(maker, norm="none", init="skipinit", seed=0)
    models.initialize(redrawn, "skipinit_sqrt", seed=0)
    for a, b in zip(redrawn.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("block, m", [(models.BasicBlock, 2), (models.Bottleneck, 3), (models.PreActBottleneck, 3)])
def test_fixup_scales_the_branches(block, m):
    depth = 3 * m * 2 + 2
    he = models.cifar_resnet(depth, block=block, norm="none", shortcut="B", init="he", seed=0)
    fixup = models.cifar_resnet(depth, block=block, norm="none", shortcut="B", init="fixup", seed=0)
    L = 6
    assert len(blocks_of(fixup)) == L
    np.testing.assert_array_equal(fixup.conv1.weight.data, he.conv1.weight.data)
    np.testing.assert_array_equal(fixup.fc.weight.data, 0)
    for (_, scaled), (_, plain) in zip(blocks_of(fixup), blocks_of(he), strict=True):
        for name in scaled.branch[:-1]:
            expected = plain.state_dict()[f"{name}.weight"] * L ** (-1 / (2 * m - 2))
            np.testing.assert_allclose(getattr(scaled, name).weight.data, expected, rtol=1e-6)
        np.testing.assert_array_equal(getattr(scaled, scaled.branch[-1]).weight.data, 0)
    shortcut, expected = fixup.layer2[0].downsample[0], he.layer2[0].downsample[0]
    np.testing.assert_array_equal(shortcut.weight.data, expected.weight.data)


# CRC-32 of the values drawn with seed 7. A seed must give the same network for ever, or no experiment can be repeated.
DRAWN = [
    ("he", models.BasicBlock, 2756623788),
    ("he", models.PreActBottleneck, 3154216338),
    ("pytorch", models.BasicBlock, 1742351415),
    ("pytorch", models.PreActBottleneck, 3727511942),
    ("zero_gamma", models.BasicBlock, 835769947),
    ("zero_gamma", models.Bottleneck, 2983136421),
    ("skipinit", models.BasicBlock, 1906381469),
    ("skipinit", models.PreActBottleneck, 1005886912),
    ("skipinit_sqrt", models.BasicBlock, 3938640403),
    ("skipinit_sqrt", models.PreActBottleneck, 675086458),
    ("fixup", models.BasicBlock, 4068875155),
    ("fixup", models.PreActBottleneck, 3580145948),
]


@pytest.mark.parametrize("init, block, checksum", DRAWN)
def test_a_seed_gives_the_same_values_for_ever(init, block, checksum):
    norm = "none" if init in ("skipinit", "skipinit_sqrt", "fixup") else "batch"
    depth = 3 * len(block.branch) + 2
    model = models.cifar_resnet(depth, block=block, norm=norm, init=init, shortcut="B", width=4, seed=7)
    assert zlib.crc32(b"".join(array.tobytes() for array in model.state_dict().values())) == checksum


def test_fixup_parameters_are_scalars_around_every_convolution():
    model = models.cifar_resnet(8, norm="none", init="fixup", seed=0)
    names = [name for name in model.state_dict() if name.startswith("layer1.0.")]
    assert names == [
        "layer1.0.conv1.weight", "layer1.0.conv1.input_bias", "layer1.0.bn1.bias",
        "layer1.0.conv2.weight", "layer1.0.conv2.input_bias", "layer1.0.bn2.weight", "layer1.0.bn2.bias",
    ]  # fmt: skip
    state = model.state_dict()
    assert all(
        state[name].shape == (1,) for name in names if not name.endswith("conv1.weight") and "conv2.w" not in name
    )
    assert {"bn1.bias", "fc.input_bias"} < set(state)


@pytest.mark.parametrize("init", ["zero_gamma", "skipinit", "skipinit_sqrt", "fixup"])
def test_the_first_steps_lower_the_loss(init):
    norm = "batch" if init == "zero_gamma" else "none"
    model = models.cifar_resnet(14, width=8, norm=norm, init=init, seed=0)
    labels = np.array([0, 1, 2, 3])
    losses = []
    for _ in range(12):
        loss = ops.cross_entropy(model(Tensor(X)), labels)
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            parameter.data[...] -= np.float32(0.1) * parameter.grad
    assert losses[-1] < 0.8 * losses[0]
    if init == "fixup":
        assert losses[0] == pytest.approx(math.log(10), abs=1e-6)
    blocks = blocks_of(model)
    assert all(np.any(getattr(block, block.branch[-1]).weight.grad) for _, block in blocks)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="models: init='fixup' replaces batch norm; pass norm='none'"):
        models.resnet20(init="fixup")
    with pytest.raises(ValueError, match="models: init='skipinit_sqrt' replaces batch norm"):
        models.resnet20(init="skipinit_sqrt")
    with pytest.raises(
        ValueError, match="'zero_gamma' needs a norm with a weight at the end of every branch; layer1.0 has Identity"
    ):
        models.resnet20(init="zero_gamma", norm="none")
    with pytest.raises(ValueError, match="'zero_gamma' needs a norm with a weight"):
        models.preact_resnet20(init="zero_gamma")
    for init, norm in (("zero_gamma", "batch"), ("skipinit", "none"), ("fixup", "none")):
        with pytest.raises(ValueError, match=f"'{init}' starts every branch at zero, so without skips nothing passes"):
            models.resnet20(init=init, norm=norm, skip=False)
    model = models.resnet20(seed=0)
    before = model.state_dict()
    with pytest.raises(ValueError, match="'skipinit' needs a scalar .* layer1.0 has BatchNorm2d"):
        models.initialize(model, "skipinit", seed=1)
    with pytest.raises(ValueError, match="initialize: unknown init 'kaiming'; known: pytorch, .*he_fan_in, zero_gamma"):
        models.initialize(model, "kaiming", seed=1)
    with pytest.raises(ValueError, match="initialize: seed must be None or a whole number from 0 up, got -1"):
        models.initialize(model, "zero_gamma", seed=-1)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
    layer = nn.Linear(3, 4, seed=0)
    before = layer.state_dict()
    for init in ("zero_gamma", "skipinit", "skipinit_sqrt", "fixup"):
        with pytest.raises(ValueError, match=f"initialize: '{init}' is for residual networks"):
            models.initialize(layer, init)
    assert all(np.array_equal(array, before[name]) for name, array in layer.state_dict().items())
    with pytest.raises(ValueError, match="MisplacedNormBlock: no norm ends its branch"):
        models.resnet20(block=models.MisplacedNormBlock, norm="none", init="fixup")
