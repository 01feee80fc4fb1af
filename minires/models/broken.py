"""Two blocks that are wrong, kept because both run, train a little, and are met in the wild.

Shapes fit and losses fall, so nothing but a look at the structure, or at the gradients of a deep network, shows the
mistake. Use them as `resnet18(block=MisplacedNormBlock)` beside the right network; never to build on.
"""

from typing import Any

from minires import ops
from minires.engine import Tensor
from minires.models.blocks import BasicBlock
from minires.models.parts import NETWORK_NORMS

__all__ = ["AlwaysProjectedBlock", "MisplacedNormBlock"]


class MisplacedNormBlock(BasicBlock):
    """relu(x + conv2(bn2(relu(bn1(conv1(x)))))): both norms follow the first convolution.

    The second convolution's output meets x unnormalized, so the branch is louder than a block's should be: activations
    and gradients grow faster with depth. bn2 fits by chance, since both convolutions have the same width.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, norm: str = "batch", **options: Any
    ) -> None:
        if norm not in NETWORK_NORMS:
            raise ValueError(f"MisplacedNormBlock: no norm ends its branch, so {norm}'s scalar has no place in it")
        super().__init__(in_channels, channels, stride, norm=norm, **options)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.bn1(y)
        y = self.relu1(y)
        y = self.bn2(y)  # the mistake: this line belongs below the next
        y = self.conv2(y)
        if self.skip:
            shortcut = self.downsample(x)
            y = ops.residual_add(shortcut, y)
        return self.relu2(y)


class AlwaysProjectedBlock(BasicBlock):
    """The basic block with `shortcut="always"`: a 1×1 convolution, with bias and without norm, on every shortcut.

    No identity path is left, so the gradient is multiplied by one more matrix in every block and grows or shrinks with
    depth nearly as it does without skips. He et al., 2016, table 1, has it double the error of ResNet-110.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1, **options: Any) -> None:
        options["shortcut"] = "always"  # whatever the network says
        super().__init__(in_channels, channels, stride, **options)
