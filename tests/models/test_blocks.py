"""The structure of every block, read off the graph: which op follows which, in which module."""

import numpy as np
import pytest

from minires import models, ops
from minires.engine import Tensor, backward_order

BATCH = np.random.default_rng(0).standard_normal((2, 8, 6, 8)).astype(np.float32)


def branch_ops(y):
    """Follow the last input of each op from y back to the data: the branch, first op first, as (class, module path)."""
    found = []
    tensor = y
    while tensor.op is not None:
        op = tensor.op
        found.append((type(op).__name__, op.module_path))
        tensor = op.inputs[1] if type(op).__name__ == "ResidualAdd" else op.inputs[0]
    return found[::-1]


def names(block):
    return [f"{path or 'block'}:{op}" for op, path in branch_ops(block(Tensor(BATCH, requires_grad=True)))]


def test_basic_block():
    assert names(models.BasicBlock(8, 8, seed=0)) == [
        "conv1:Conv2d", "bn1:BatchNorm", "relu1:ReLU", "conv2:Conv2d", "bn2:BatchNorm",
        "block:ResidualAdd", "relu2:ReLU",
    ]  # fmt: skip


def test_bottleneck():
    block = models.Bottleneck(8, 2, seed=0)
    assert names(block) == [
        "conv1:Conv2d", "bn1:BatchNorm", "relu1:ReLU", "conv2:Conv2d", "bn2:BatchNorm", "relu2:ReLU",
        "conv3:Conv2d", "bn3:BatchNorm", "block:ResidualAdd", "relu3:ReLU",
    ]  # fmt: skip
    assert [block.conv1.weight.shape, block.conv2.weight.shape, block.conv3.weight.shape] == [
        (2, 8, 1, 1), (2, 2, 3, 3), (8, 2, 1, 1),
    ]  # fmt: skip


def test_pre_activation_blocks():
    assert names(models.PreActBlock(8, 8, seed=0)) == [
        "bn1:BatchNorm", "relu1:ReLU", "conv1:Conv2d", "bn2:BatchNorm", "relu2:ReLU", "conv2:Conv2d",
        "block:ResidualAdd",
    ]  # fmt: skip
    assert names(models.PreActBottleneck(8, 2, seed=0)) == [
        "bn1:BatchNorm", "relu1:ReLU", "conv1:Conv2d", "bn2:BatchNorm", "relu2:ReLU", "conv2:Conv2d",
        "bn3:BatchNorm", "relu3:ReLU", "conv3:Conv2d", "block:ResidualAdd",
    ]  # fmt: skip


def test_misplaced_norm():
    assert names(models.MisplacedNormBlock(8, 8, seed=0)) == [
        "conv1:Conv2d", "bn1:BatchNorm", "relu1:ReLU", "bn2:BatchNorm", "conv2:Conv2d",
        "block:ResidualAdd", "relu2:ReLU",
    ]  # fmt: skip


@pytest.mark.parametrize("block", [models.BasicBlock, models.PreActBlock])
def test_an_identity_shortcut_is_the_input_itself(block):
    x = Tensor(BATCH, requires_grad=True)
    add = [t for t in backward_order(block(8, 8, seed=0)(x)) if type(t.op).__name__ == "ResidualAdd"][0]
    assert add.op.inputs[0] is x


def test_the_always_projected_block_has_no_identity_path():
    x = Tensor(BATCH, requires_grad=True)
    block = models.AlwaysProjectedBlock(8, 8, seed=0)
    add = [t for t in backward_order(block(x)) if type(t.op).__name__ == "ResidualAdd"][0]
    assert type(add.op.inputs[0].op).__name__ == "Conv2d" and add.op.inputs[0].op.module_path == "downsample.0"
    assert list(block.state_dict())[-2:] == ["downsample.0.weight", "downsample.0.bias"]
    assert block.conv1.bias is None


def test_a_pre_activation_projection_takes_the_activated_signal():
    x = Tensor(BATCH, requires_grad=True)
    block = models.PreActBlock(8, 12, stride=2, seed=0)
    add = [t for t in backward_order(block(x)) if type(t.op).__name__ == "ResidualAdd"][0]
    projection = add.op.inputs[0].op
    assert projection.module_path == "downsample.0" and projection.inputs[0].op.module_path == "relu1"
    assert len(block.downsample) == 1  # no norm: the next block begins with one
    zero_channels = models.PreActBlock(8, 12, stride=2, shortcut="A", seed=0)
    add = [t for t in backward_order(zero_channels(x)) if type(t.op).__name__ == "ResidualAdd"][0]
    assert add.op.inputs[0].op.inputs[0] is x


@pytest.mark.parametrize("block", [models.Bottleneck, models.PreActBottleneck])
def test_where_a_bottleneck_strides(block):
    late, early = block(8, 2, 2, seed=0), block(8, 2, 2, stride_on="1x1", seed=0)
    assert (late.conv1.stride, late.conv2.stride) == (1, 2)
    assert (early.conv1.stride, early.conv2.stride) == (2, 1)
    assert late(Tensor(BATCH)).shape == early(Tensor(BATCH)).shape == (2, 8, 3, 4)
    with pytest.raises(ValueError, match="unknown stride_on 'middle'; known: 3x3, 1x1"):
        block(8, 2, stride_on="middle")


def test_activation_is_used_everywhere():
    ops_used = [name for name, _ in branch_ops(models.BasicBlock(8, 8, activation="elu", seed=0)(Tensor(BATCH, True)))]
    assert ops_used.count("ELU") == 2 and "ReLU" not in ops_used


def test_a_block_by_hand():
    block = models.BasicBlock(8, 12, stride=2, shortcut="A", norm="none", seed=0)
    block.conv1.bias.data[...], block.conv2.bias.data[...] = 0.1, -0.2
    x = Tensor(BATCH)
    inner = np.maximum(ops.conv2d(x, block.conv1.weight, block.conv1.bias, 2, 1).data, 0)
    branch = ops.conv2d(Tensor(inner), block.conv2.weight, block.conv2.bias, 1, 1).data
    branch[:, 2:10] += BATCH[:, :, ::2, ::2]
    np.testing.assert_allclose(block(x).data, np.maximum(branch, 0), rtol=1e-5, atol=1e-6)


def test_without_skip_only_the_branch_is_left():
    block, plain = models.BasicBlock(8, 8, seed=0), models.BasicBlock(8, 8, skip=False, seed=0)
    assert not hasattr(plain, "downsample")
    assert "block:ResidualAdd" not in names(plain)
    assert list(plain.state_dict()) == list(block.state_dict())
