"""The residual blocks. `forward` is the picture in the papers, from top to bottom.

A block is y = x + F(x): what it has to learn is the difference from its input. `skip=False` leaves out the addition,
and the shortcut with its parameters, and nothing else: the plain block. Attributes have torchvision's names; `relu1`
and `relu2` are the activation of the block's `activation`, whichever it is.

Every block has the same arguments: in_channels; channels, the width of its 3×3 convolutions; stride; shortcut, norm and
activation by the names in `parts`; skip; init and seed as in `schemes.initialize` (init=None leaves zeros, for a
network that initializes all of itself).
"""

from minires import nn, ops
from minires.engine import Tensor
from minires.models.parts import (
    activation_layer,
    choose,
    conv,
    last_norm_layer,
    norm_layer,
    scale_layer,
    shortcut_layer,
)
from minires.models.schemes import initialize

__all__ = ["BasicBlock", "Bottleneck", "PreActBlock", "PreActBottleneck"]


class BasicBlock(nn.Module):
    """Two 3×3 convolutions: relu(x + bn2(conv2(relu(bn1(conv1(x)))))). He et al., 2015, figure 5 left."""

    expansion = 1
    preactivated = False
    branch = ("conv1", "conv2")
    branch_end = "bn2"

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        shortcut: str = "B",
        skip: bool = True,
        norm: str = "batch",
        activation: str = "relu",
        init: str | None = "he",
        seed: int | None = None,
    ) -> None:
        self.conv1 = conv(in_channels, channels, 3, stride, norm)
        self.bn1 = norm_layer(norm, channels)
        self.relu1 = activation_layer(activation)
        self.conv2 = conv(channels, channels, 3, 1, norm)
        self.bn2 = last_norm_layer(norm, channels)
        self.skip = skip
        if skip:
            self.downsample = shortcut_layer(shortcut, in_channels, channels, stride, norm)
        self.relu2 = activation_layer(activation)
        if init is not None:
            initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.bn1(y)
        y = self.relu1(y)
        y = self.conv2(y)
        y = self.bn2(y)
        if self.skip:
            shortcut = self.downsample(x)
            y = ops.residual_add(shortcut, y)
        return self.relu2(y)


class Bottleneck(nn.Module):
    """1×1 to a quarter of the channels, 3×3, 1×1 back, norm after each. He et al., 2015, figure 5 right.

    stride_on: "3x3", as torchvision and most published weights have it (v1.5), or "1x1", as the paper (v1).
    """

    expansion = 4
    preactivated = False
    branch = ("conv1", "conv2", "conv3")
    branch_end = "bn3"
    groups, width_per_group = 1, 64  # resnext.py has blocks with others

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        shortcut: str = "B",
        skip: bool = True,
        norm: str = "batch",
        activation: str = "relu",
        stride_on: str = "3x3",
        init: str | None = "he",
        seed: int | None = None,
    ) -> None:
        stride1, stride2 = strides(stride, stride_on)
        width, out_channels = channels * self.width_per_group // 64 * self.groups, channels * self.expansion
        self.conv1 = conv(in_channels, width, 1, stride1, norm)
        self.bn1 = norm_layer(norm, width)
        self.relu1 = activation_layer(activation)
        self.conv2 = conv(width, width, 3, stride2, norm, self.groups)
        self.bn2 = norm_layer(norm, width)
        self.relu2 = activation_layer(activation)
        self.conv3 = conv(width, out_channels, 1, 1, norm)
        self.bn3 = last_norm_layer(norm, out_channels)
        self.skip = skip
        if skip:
            self.downsample = shortcut_layer(shortcut, in_channels, out_channels, stride, norm)
        self.relu3 = activation_layer(activation)
        if init is not None:
            initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.bn1(y)
        y = self.relu1(y)
        y = self.conv2(y)
        y = self.bn2(y)
        y = self.relu2(y)
        y = self.conv3(y)
        y = self.bn3(y)
        if self.skip:
            shortcut = self.downsample(x)
            y = ops.residual_add(shortcut, y)
        return self.relu3(y)


class PreActBlock(nn.Module):
    """Norm and activation before each convolution, nothing after the addition. He et al., 2016, figure 1b.

    So the path from block to block is the identity itself, and the gradient comes back through it unchanged. A
    projection takes the activated signal, as in the paper; identity and option A take x.
    """

    expansion = 1
    preactivated = True
    branch = ("conv1", "conv2")
    branch_end = "scale"

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        shortcut: str = "B",
        skip: bool = True,
        norm: str = "batch",
        activation: str = "relu",
        init: str | None = "he",
        seed: int | None = None,
    ) -> None:
        self.bn1 = norm_layer(norm, in_channels)
        self.relu1 = activation_layer(activation)
        self.conv1 = conv(in_channels, channels, 3, stride, norm)
        self.bn2 = norm_layer(norm, channels)
        self.relu2 = activation_layer(activation)
        self.conv2 = conv(channels, channels, 3, 1, norm)
        self.scale = scale_layer(norm)
        self.skip = skip
        if skip:
            self.downsample = shortcut_layer(shortcut, in_channels, channels, stride, norm, preactivated=True)
            self.projects = isinstance(self.downsample, nn.Sequential)
        if init is not None:
            initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.bn1(x)
        activated = self.relu1(activated)
        y = self.conv1(activated)
        y = self.bn2(y)
        y = self.relu2(y)
        y = self.conv2(y)
        y = self.scale(y)
        if self.skip:
            source = activated if self.projects else x
            shortcut = self.downsample(source)
            y = ops.residual_add(shortcut, y)
        return y


class PreActBottleneck(nn.Module):
    """The bottleneck with norm and activation before each convolution. He et al., 2016, for depths 164 and 1001."""

    expansion = 4
    preactivated = True
    branch = ("conv1", "conv2", "conv3")
    branch_end = "scale"

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        shortcut: str = "B",
        skip: bool = True,
        norm: str = "batch",
        activation: str = "relu",
        stride_on: str = "3x3",
        init: str | None = "he",
        seed: int | None = None,
    ) -> None:
        stride1, stride2 = strides(stride, stride_on)
        out_channels = channels * self.expansion
        self.bn1 = norm_layer(norm, in_channels)
        self.relu1 = activation_layer(activation)
        self.conv1 = conv(in_channels, channels, 1, stride1, norm)
        self.bn2 = norm_layer(norm, channels)
        self.relu2 = activation_layer(activation)
        self.conv2 = conv(channels, channels, 3, stride2, norm)
        self.bn3 = norm_layer(norm, channels)
        self.relu3 = activation_layer(activation)
        self.conv3 = conv(channels, out_channels, 1, 1, norm)
        self.scale = scale_layer(norm)
        self.skip = skip
        if skip:
            self.downsample = shortcut_layer(shortcut, in_channels, out_channels, stride, norm, preactivated=True)
            self.projects = isinstance(self.downsample, nn.Sequential)
        if init is not None:
            initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.bn1(x)
        activated = self.relu1(activated)
        y = self.conv1(activated)
        y = self.bn2(y)
        y = self.relu2(y)
        y = self.conv2(y)
        y = self.bn3(y)
        y = self.relu3(y)
        y = self.conv3(y)
        y = self.scale(y)
        if self.skip:
            source = activated if self.projects else x
            shortcut = self.downsample(source)
            y = ops.residual_add(shortcut, y)
        return y


def strides(stride: int, stride_on: str) -> tuple[int, int]:
    """Return the strides of a bottleneck's first 1×1 and of its 3×3 convolution."""
    return (stride, 1) if choose("stride_on", stride_on, ("3x3", "1x1")) == "1x1" else (1, stride)
