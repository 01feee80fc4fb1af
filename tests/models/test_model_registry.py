"""Models by name, and what unknown names and values are answered."""

import numpy as np
import pytest

from minires import models


def test_make_is_the_maker():
    made = models.make("resnet20", norm="none", in_channels=1, seed=2)
    expected = models.resnet20(norm="none", in_channels=1, seed=2)
    for a, b in zip(made.parameters(), expected.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert models.make("resnet18", num_classes=7, stem="cifar", init=None).fc.weight.shape == (7, 512)
    assert models.make("wide_resnet", depth=10, width=2, init=None).layer1[0].conv1.weight.shape == (32, 16, 3, 3)
    assert models.make("resnet20", width=4, init=None).conv1.weight.shape == (4, 3, 3, 3)


@pytest.mark.parametrize("name", models.BLOCKS)
def test_blocks_have_names(name):
    model = models.make("resnet18", block=name, init=None)
    assert type(model.layer1[0]) is models.BLOCKS[name]


def test_all_names_are_offered():
    expected = {f"resnet{depth}" for depth in (20, 32, 44, 56, 110, 1202, 18, 34, 50, 101, 152)}
    expected |= {f"preact_{name}" for name in expected} | {"preact_resnet164", "preact_resnet1001", "wide_resnet"}
    expected |= {"resnext50_32x4d", "resnext101_32x8d"}
    assert set(models.MODELS) == expected


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("resnet21", {}, "unknown model 'resnet21'; known: resnet20, .*resnet152.*wide_resnet"),
        ("resnet20", {"depht": 3}, "resnet20 has no option 'depht'; known: activation, block, .*norm.*skip.*width"),
        ("resnet18", {"width": 3}, "resnet18 has no option 'width'; known: .*num_classes.*stem"),
        ("resnet20", {"block": "basics"}, "unknown block 'basics'; known: basic, .*misplaced_norm, always_projected"),
        ("resnet20", {"norm": "instance"}, "unknown norm 'instance'; known: batch, none, group, layer"),
        ("resnet20", {"shortcut": "D"}, "unknown shortcut 'D'; known: A, B, C, always"),
        ("resnet20", {"shortcut": "D", "skip": False}, "unknown shortcut 'D'; known: A, B, C, always"),
        ("resnet20", {"stem": "mnist"}, "unknown stem 'mnist'; known: cifar, imagenet"),
        ("resnet20", {"activation": "swish"}, "unknown activation 'swish'; known: relu, .*elu, selu"),
        ("resnet20", {"init": "kaiming"}, "unknown init 'kaiming'; known: pytorch, .*fixup"),
        ("resnet20", {"num_classes": 0}, "Linear: out_features must be at least 1, got 0"),
        ("resnet20", {"in_channels": 0}, "Conv2d: in_channels must be at least 1, got 0"),
        ("resnet18", {"stride_on": "1x1"}, "stride_on='1x1' is for bottlenecks, not for BasicBlock"),
        ("resnet50", {"stride_on": "2x2"}, "unknown stride_on '2x2'; known: 3x3, 1x1"),
        ("wide_resnet", {"depth": 16}, "wide_resnet needs width="),
        ("wide_resnet", {"depth": 18, "width": 4}, "wide_resnet has 6n \\+ 4 layers"),
        ("preact_resnet164", {"block": "preact_bottleneck", "init": None, "skip": "no"}, "skip must be True or False"),
    ],
)
def test_what_is_unknown_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.make(name, **options)


def test_depths_are_checked():
    with pytest.raises(ValueError, match=r"CIFAR ResNet of BasicBlock has 6n \+ 2 layers, 8, 14, …, not 21"):
        models.cifar_resnet(21)
    with pytest.raises(ValueError, match=r"PreActBottleneck has 9n \+ 2 layers"):
        models.cifar_resnet(14, block=models.PreActBottleneck)
    with pytest.raises(ValueError, match="an ImageNet ResNet has 18, 34, 50, 101 or 152 layers, not 20"):
        models.imagenet_resnet(20)
    with pytest.raises(ValueError, match="PreActBlock does not fit ResNet"):
        models.ResNet(models.PreActBlock, (1, 1, 1), (4, 4, 4))


def test_every_maker_has_its_depth_and_its_text():
    for name, maker in models.MODELS.items():
        assert getattr(models, name) is maker
        assert "CIFAR" in maker.__doc__ or "ImageNet" in maker.__doc__
        if name != "wide_resnet":
            assert name.partition("_32x")[0].endswith((f"resnet{maker.args[0]}", f"resnext{maker.args[0]}"))
    assert models.preact_resnet164.__doc__ == "54 pre-activation bottlenecks, for CIFAR: 10 classes, option B."
    assert models.resnet18.__doc__ == "8 basic blocks, for ImageNet: 1000 classes, option B."
