"""Parameter counts and multiply-adds of the whole family: the papers' architectures, exactly."""

import numpy as np
import pytest

from minires import models, nn
from minires.engine import Tensor
from minires.observe.counting import layer_costs

ROWS = [
    ("resnet20", {}, 269_722, "40.55 M"),
    ("resnet32", {}, 464_154, "68.86 M"),
    ("resnet44", {}, 658_586, "97.17 M"),
    ("resnet56", {}, 853_018, "125.5 M"),
    ("resnet110", {}, 1_727_962, "252.9 M"),
    ("resnet1202", {}, 19_421_274, "2.83 G"),
    ("resnet20", {"shortcut": "B"}, 272_474, "40.81 M"),
    ("resnet56", {"shortcut": "B"}, 855_770, "125.7 M"),
    ("resnet110", {"shortcut": "B"}, 1_730_714, "253.1 M"),
    ("resnet18", {"num_classes": 10, "stem": "cifar"}, 11_173_962, "555.4 M"),
    ("resnet34", {"num_classes": 10, "stem": "cifar"}, 21_282_122, "1.159 G"),
    ("resnet50", {"num_classes": 10, "stem": "cifar"}, 23_520_842, "1.298 G"),
    ("resnet18", {}, 11_689_512, "1.81 G"),
    ("resnet34", {}, 21_797_672, "3.66 G"),
    ("resnet50", {}, 25_557_032, "4.09 G"),
    ("resnet101", {}, 44_549_160, "7.80 G"),
    ("resnet152", {}, 60_192_808, "11.5 G"),
    ("resnet18", {"num_classes": 10, "stem": "cifar", "shortcut": "always"}, 11_526_346, "576.4 M"),
    ("wide_resnet", {"depth": 16, "width": 4}, "2.75 M", "0.39 G"),
    ("wide_resnet", {"depth": 28, "width": 10}, "36.48 M", "5.24 G"),
    ("wide_resnet", {"depth": 40, "width": 4}, "8.95 M", "1.30 G"),
]


def rounded(count, like):
    """Write a count as `like` is written: the same unit, the same number of digits."""
    number, unit = like.split()
    return f"{count / {'M': 1e6, 'G': 1e9}[unit]:.{len(number.partition('.')[2])}f} {unit}"


@pytest.mark.parametrize("name, options, parameters, multiply_adds", ROWS, ids=lambda value: str(value))
def test_size(name, options, parameters, multiply_adds):
    totals = nn.totals(models.make(name, init=None, **options))
    if isinstance(parameters, str):
        assert rounded(totals.parameters, parameters) == parameters
    else:
        assert totals.parameters == parameters
    assert rounded(totals.multiply_adds, multiply_adds) == multiply_adds


@pytest.mark.parametrize("depth, norms", [(101, 100), (152, 151), (1202, 1201), (1001, 1000)])
def test_the_deepest_pre_activation_networks_run(depth, norms):
    model = models.make(f"preact_resnet{depth}", num_classes=7, init=None)
    layers = layer_costs(model, (3, 16, 24))
    assert layers[-1].output_shape == (7,) and sum(layer.kind == "BatchNorm2d" for layer in layers) == norms


def test_bottlenecks_with_the_stride_on_the_1x1_cost_what_the_paper_says():
    v1 = nn.totals(models.resnet50(stride_on="1x1", init=None))
    assert v1.parameters == 25_557_032 and rounded(v1.multiply_adds, "3.86 G") == "3.86 G"


def test_the_imagenet_stem_leaves_little_of_a_small_image():
    shapes = {layer.name: layer.output_shape for layer in layer_costs(models.resnet18(10, init=None), (3, 32, 32))}
    sizes = [shapes[name][-1] for name in ("conv1", "maxpool", "layer1.1.relu2", "layer2.1.relu2", "layer3.1.relu2")]
    assert [*sizes, shapes["layer4.1.relu2"][-1]] == [16, 8, 8, 4, 2, 1]
    assert rounded(nn.totals(models.resnet18(10, init=None), (3, 32, 32)).multiply_adds, "37.0 M") == "37.0 M"

    shapes = {layer.name: layer.output_shape for layer in layer_costs(models.resnet18(10, "cifar", init=None))}
    sizes = [shapes[name][-1] for name in ("conv1", "layer1.1.relu2", "layer2.1.relu2", "layer3.1.relu2")]
    assert [*sizes, shapes["layer4.1.relu2"][-1]] == [32, 32, 16, 8, 4]


@pytest.mark.parametrize("depth, blocks", [(20, 9), (32, 15), (44, 21), (56, 27), (110, 54), (1202, 600)])
def test_number_of_blocks(depth, blocks):
    for maker in (f"resnet{depth}", f"preact_resnet{depth}"):
        modules = [module for _, module in models.make(maker, init=None).named_modules()]
        assert sum(hasattr(module, "branch") for module in modules) == blocks


@pytest.mark.parametrize("depth", [164, 1001])
def test_deep_bottlenecks_have_the_layers_of_their_name(depth):
    rows = [module for _, module in models.make(f"preact_resnet{depth}", init=None).named_modules()]
    names = [name for name, _ in models.make(f"preact_resnet{depth}", init=None).named_modules()]
    weighted = [
        name for name, module in zip(names, rows, strict=True)
        if isinstance(module, nn.Conv2d | nn.Linear) and "downsample" not in name
    ]  # fmt: skip
    assert len(weighted) == depth


def test_option_c_projects_everywhere():
    model = models.resnet20(shortcut="C", init=None)
    blocks = [module for _, module in model.named_modules() if hasattr(module, "branch")]
    assert all(isinstance(block.downsample, nn.Sequential) for block in blocks)
    extra = 3 * 16 * 16 + (16 * 32 + 2 * 32 * 32) + (32 * 64 + 2 * 64 * 64) + 3 * 2 * (16 + 32 + 64)
    assert nn.totals(model).parameters == 269_722 + extra


def test_input_channels_classes_and_width():
    model = models.cifar_resnet(8, width=4, in_channels=1, num_classes=7, seed=0)
    y = model(Tensor(np.zeros((2, 1, 9, 12), np.float32)))
    assert y.shape == (2, 7) and model.conv1.weight.shape == (4, 1, 3, 3) and model.input_shape == (1, 32, 32)
