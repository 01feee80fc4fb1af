"""Residual blocks that papers tried and gave up: other things on the shortcut, other places for norm and ReLU.

Shortcuts of He et al. 2016, table 1 and figure 2; orders of table 2 and figure 4. All are basic blocks of two 3×3
convolutions, and draw the same values for them from the same seed.
"""

from typing import Any

from minires import nn, ops
from minires.engine import Tensor
from minires.models import BasicBlock

__all__ = [
    "DropoutShortcut", "ExclusiveGate", "NormAfterAdd", "ReluBeforeAdd", "ReluOnlyPreactivation", "ScaledShortcut",
    "ShortcutOnlyGate", "set_gates",
]  # fmt: skip


class Branch(BasicBlock):
    """The basic block, cut into its branch and its shortcut."""

    def residual(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(y))


class ScaledShortcut(Branch):
    """relu(x/2 + F(x)/2): constant scaling, figure 2b."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        shortcut = self.downsample(x)
        return self.relu2(ops.residual_add(shortcut * 0.5, y * 0.5))


class Gated(Branch):
    """A gate g = σ(1×1 convolution of x), one number for every pixel and channel."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, **options: Any) -> None:
        super().__init__(in_channels, channels, stride, **options)
        self.gate = nn.Conv2d(in_channels, channels, 1, stride, init=None)


class ExclusiveGate(Gated):
    """relu((1 - g) x + g F(x)): as in highway networks, figure 2c."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        gate = ops.sigmoid(self.gate(x))
        shortcut = self.downsample(x)
        return self.relu2(ops.residual_add(shortcut * (1 - gate), y * gate))


class ShortcutOnlyGate(Gated):
    """relu((1 - g) x + F(x)), figure 2d."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        gate = ops.sigmoid(self.gate(x))
        shortcut = self.downsample(x)
        return self.relu2(ops.residual_add(shortcut * (1 - gate), y))


def set_gates(model: nn.Module, bias: float) -> nn.Module:
    """Let every gate of a network start at σ(bias) or about it: at -6 it is nearly shut, and the shortcut open."""
    for _, module in model.named_modules():
        if isinstance(module, Gated):
            assert module.gate.bias is not None
            module.gate.bias.data[...] = bias
    return model


class DropoutShortcut(Branch):
    """relu(dropout(x) + F(x)) at a rate of a half, figure 2f."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, **options: Any) -> None:
        super().__init__(in_channels, channels, stride, **options)
        self.dropout = nn.Dropout(0.5, seed=0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        shortcut = self.dropout(self.downsample(x))
        return self.relu2(ops.residual_add(shortcut, y))


class NormAfterAdd(BasicBlock):
    """relu(norm(x + conv2(relu(norm(conv1(x)))))), figure 4b: the norm stands on the way of the shortcut too."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.conv2(y)
        shortcut = self.downsample(x)
        return self.relu2(self.bn2(ops.residual_add(shortcut, y)))


class ReluBeforeAdd(Branch):
    """x + relu(norm(conv2(…))), figure 4c: a branch can only add, so the signal only grows."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu2(self.residual(x))
        shortcut = self.downsample(x)
        return ops.residual_add(shortcut, y)


class ReluOnlyPreactivation(BasicBlock):
    """x + norm(conv2(relu(norm(conv1(relu(x)))))), figure 4d."""

    preactivated = True

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(self.relu1(x)))
        y = self.bn2(self.conv2(self.relu2(y)))
        shortcut = self.downsample(x)
        return ops.residual_add(shortcut, y)
