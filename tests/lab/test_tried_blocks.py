"""The blocks that papers tried: their forward against the formula."""

import numpy as np
import pytest

from minires import models
from minires.engine import Tensor
from minires.lab import blocks

FORMULAS = {
    blocks.ScaledShortcut: lambda x, branch, gate: np.maximum(x / 2 + branch / 2, 0),
    blocks.ExclusiveGate: lambda x, branch, gate: np.maximum((1 - gate) * x + gate * branch, 0),
    blocks.ShortcutOnlyGate: lambda x, branch, gate: np.maximum((1 - gate) * x + branch, 0),
    blocks.ReluBeforeAdd: lambda x, branch, gate: x + np.maximum(branch, 0),
}


def normalized(z):
    """Batch norm with scale 1 and shift 0."""
    axes = (0, 2, 3)
    return (z - z.mean(axes, keepdims=True)) / np.sqrt(z.var(axes, keepdims=True) + 1e-5)


def conv(layer, z):
    return layer(Tensor(z)).data


def made(kind, seed=0):
    block = kind(4, 4, shortcut="A", seed=seed).to("float64")
    x = np.random.default_rng(seed).standard_normal((3, 4, 6, 5))
    return block, x


@pytest.mark.parametrize("kind", FORMULAS)
def test_forward_is_the_formula(kind):
    block, x = made(kind)
    if hasattr(block, "gate"):
        block.gate.bias.data[...] = -1.5
    branch = normalized(conv(block.conv2, np.maximum(normalized(conv(block.conv1, x)), 0)))
    gate = 1 / (1 + np.exp(-conv(block.gate, x))) if hasattr(block, "gate") else None
    np.testing.assert_allclose(block(Tensor(x)).data, FORMULAS[kind](x, branch, gate), rtol=1e-9, atol=1e-12)


def test_norm_after_the_addition():
    block, x = made(blocks.NormAfterAdd)
    branch = conv(block.conv2, np.maximum(normalized(conv(block.conv1, x)), 0))
    np.testing.assert_allclose(block(Tensor(x)).data, np.maximum(normalized(x + branch), 0), rtol=1e-9, atol=1e-12)


def test_relu_only_preactivation():
    block, x = made(blocks.ReluOnlyPreactivation)
    branch = normalized(conv(block.conv1, np.maximum(x, 0)))
    branch = normalized(conv(block.conv2, np.maximum(branch, 0)))
    np.testing.assert_allclose(block(Tensor(x)).data, x + branch, rtol=1e-9, atol=1e-12)


def test_dropout_leaves_the_shortcut_alone_in_evaluation():
    block, x = made(blocks.DropoutShortcut)
    plain, _ = made(models.BasicBlock)
    assert not np.allclose(block(Tensor(x)).data, plain(Tensor(x)).data)
    np.testing.assert_allclose(block.eval()(Tensor(x)).data, plain.eval()(Tensor(x)).data, rtol=1e-9)


def test_gates_start_where_they_are_set():
    model = models.cifar_resnet(8, block=blocks.ExclusiveGate, in_channels=1, width=4, seed=0)
    blocks.set_gates(model, -6.0)
    gates = [array for name, array in model.state_dict().items() if name.endswith("gate.bias")]
    assert len(gates) == 3 and all((gate == -6).all() for gate in gates)


def test_a_block_draws_what_the_basic_block_draws():
    block, _ = made(blocks.ExclusiveGate, seed=3)
    plain, _ = made(models.BasicBlock, seed=3)
    for name, array in plain.state_dict().items():
        np.testing.assert_array_equal(block.state_dict()[name], array)
