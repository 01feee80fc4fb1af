"""The blocks with fused forwards: batch norm and what follows it, relu or the residual add and relu, as one op.

Same parameters, same state dict, same gradients to rounding as the blocks that they come from; fewer passes over the
activations. For training and measuring; `blocks.py` is the page to read.
"""

from typing import Any

from minires import nn, ops
from minires.engine import Tensor
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck


class BatchNormReLU2d(nn.BatchNorm2d):
    """relu(batch norm of x), or relu(batch norm of x + shortcut)."""

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        self.check(x)
        estimating = self.training and not self.frozen
        mean, var = (None, None) if estimating else (self.running_mean, self.running_var)
        if shortcut is None:
            y, mean, var = ops.batch_norm_relu(x, self.weight, self.bias, mean, var, self.eps)
        else:
            y, mean, var = ops.batch_norm_add_relu(x, shortcut, self.weight, self.bias, mean, var, self.eps)
        if estimating:
            self.track(x, mean, var)
        return y


class FusedBasicBlock(BasicBlock):
    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        fuse(self, "bn1", "relu1")
        fuse(self, "bn2", "relu2")

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.bn1(y)  # and relu
        y = self.conv2(y)
        shortcut = self.downsample(x) if self.skip else None
        return self.bn2(y, shortcut)  # and the residual add, and relu


class FusedBottleneck(Bottleneck):
    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        fuse(self, "bn1", "relu1")
        fuse(self, "bn2", "relu2")
        fuse(self, "bn3", "relu3")

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.bn1(y)  # and relu
        y = self.conv2(y)
        y = self.bn2(y)  # and relu
        y = self.conv3(y)
        shortcut = self.downsample(x) if self.skip else None
        return self.bn3(y, shortcut)  # and the residual add, and relu


class FusedPreActBlock(PreActBlock):
    """Its forward is the block's own: each norm brings its relu, and what stood for relu does nothing."""

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        fuse(self, "bn1", "relu1")
        fuse(self, "bn2", "relu2")


class FusedPreActBottleneck(PreActBottleneck):
    """Its forward is the block's own: each norm brings its relu, and what stood for relu does nothing."""

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        fuse(self, "bn1", "relu1")
        fuse(self, "bn2", "relu2")
        fuse(self, "bn3", "relu3")


FUSED: dict[type[Any], type[Any]] = {
    BasicBlock: FusedBasicBlock,
    Bottleneck: FusedBottleneck,
    PreActBlock: FusedPreActBlock,
    PreActBottleneck: FusedPreActBottleneck,
}


def fuse(module: nn.Module, norm: str, activation: str) -> None:
    """Put batch norm with relu in the place of a module's batch norm, and nothing in the place of its relu."""
    setattr(module, norm, BatchNormReLU2d(getattr(module, norm).weight.size))
    setattr(module, activation, nn.Identity())


def fused_block(block: type[Any], norm: str, activation: str) -> type[Any]:
    """Return a block's fused form; ValueError where it has none."""
    if norm != "batch" or activation != "relu":
        raise ValueError(
            f"models: fused=True is for norm='batch' with activation='relu', not for norm={norm!r} with "
            f"activation={activation!r}"
        )
    if block not in FUSED:
        known = ", ".join(one.__name__ for one in FUSED)
        raise ValueError(f"models: {block.__name__} has no fused form; these have: {known}")
    return FUSED[block]
