"""The summary: every layer's output, parameters and multiply-adds, and a model left as it was."""

from dataclasses import astuple

import numpy as np
import pytest

from minires import debug, models, nn, ops
from minires.observe.counting import layer_costs, summary_text


def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, (3, 1), stride=2, padding=(1, 0)), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5)
    )


def test_layers_are_listed_in_their_order():
    assert [astuple(layer) for layer in layer_costs(network(), (3, 5, 8))] == [
        ("0", "Conv2d", (4, 3, 4), 4 * 9 + 4, 4 * 3 * 3 * 12),
        ("1", "BatchNorm2d", (4, 3, 4), 8, 0),
        ("2", "ReLU", (4, 3, 4), 0, 0),
        ("3", "Flatten", (48,), 0, 0),
        ("4", "Linear", (5,), 48 * 5 + 5, 48 * 5),
    ]
    assert nn.totals(network(), (3, 5, 8)) == (40 + 8 + 245, 432 + 240)


def test_groups_and_dilation():
    model = nn.Sequential(
        nn.Conv2d(6, 4, 3, padding=2, dilation=2, groups=2), nn.Conv2d(4, 4, (3, 1), groups=4, bias=False)
    )
    assert [astuple(layer) for layer in layer_costs(model, (6, 5, 8))] == [
        ("0", "Conv2d", (4, 5, 8), 4 * 3 * 9 + 4, 4 * 5 * 8 * 27),
        ("1", "Conv2d", (4, 3, 8), 4 * 3, 4 * 3 * 8 * 3),
    ]
    assert repr(model).startswith("Sequential, 124 parameters\n") and "dilation 2, groups 2" in repr(model[0])


def test_the_model_is_left_as_it_was():
    model = network()
    model[1].eval()
    before = model.state_dict()
    nn.totals(model, (3, 5, 8))
    assert [module.training for _, module in model.named_modules()] == [True, True, False, True, True, True]
    assert all("forward" not in vars(module) for _, module in model.named_modules())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(ValueError, match="linear"):
        nn.totals(model, (3, 9, 9))
    assert all("forward" not in vars(module) for _, module in model.named_modules())
    assert model.training and not model[1].training


def test_a_layer_called_twice_costs_twice_and_is_stored_once():
    class Twice(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(4, 4)
            self.gain = nn.Parameter(np.ones((1, 4), np.float32))

        def forward(self, x):
            return ops.multiply(self.layer(self.layer(x)), self.gain)

    assert nn.totals(Twice(), (4,)) == (24, 32)
    assert [astuple(layer) for layer in layer_costs(Twice(), (4,))] == [
        ("layer", "Linear", (4,), 20, 32),
        ("", "Twice", (4,), 4, 0),
    ]


def test_blocks_are_not_listed_unless_they_do_a_layer_s_work():
    alone = layer_costs(models.resnet20(init=None))
    assert not [layer for layer in alone if layer.kind == "BasicBlock"]
    fused = models.resnet20(init=None, fused=True)
    assert [layer.multiply_adds for layer in layer_costs(fused)] == [layer.multiply_adds for layer in alone]
    folded = layer_costs(models.folded(fused))
    assert [layer for layer in folded if "Block" in layer.kind]
    assert sum(layer.multiply_adds for layer in folded) == sum(layer.multiply_adds for layer in alone)


def test_an_observer_from_outside_is_told_too(monkeypatch):
    with debug.watch(action="keep") as watch:
        network().summary((3, 5, 8))
    told = [entry[0] for entry in watch.forward_history]
    assert told == ["Conv2d", "BatchNormInference", "ReLU", "Reshape", "Linear"]


def test_the_table_can_be_read(capsys):
    network().summary((3, 5, 8))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "output", "parameters", "multiply-adds"]
    assert lines[2].split() == ["0", "Conv2d", "4×3×4", "40", "432"]
    assert lines[-1].split() == ["total", "Sequential", "293", "672"]
    assert "\n".join(lines) == summary_text(network(), (3, 5, 8))


def test_a_model_that_does_not_know_its_input_asks():
    with pytest.raises(ValueError, match=r"summary: Sequential does not know its input's shape; pass input_shape"):
        network().summary()


def test_a_float64_model_is_counted_too():
    assert nn.totals(network().to("float64"), (3, 5, 8)).parameters == 293
