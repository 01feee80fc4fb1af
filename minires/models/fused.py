"""The blocks and the networks with fused forwards: convolution, batch norm, the residual add and relu as one op.

Same parameters, same state dict, same gradients to rounding as the blocks that they come from; fewer passes over the
activations. For training and measuring; `blocks.py` is the page to read.
"""

from typing import Any

from minires import nn, ops
from minires.engine import Tensor
from minires.kernels import Array
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.parts import OptionA
from minires.models.resnet import PreActResNet, ResNet


class BatchNormReLU2d(nn.BatchNorm2d):
    """relu(batch norm of x)."""

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        y, mean, var = ops.batch_norm_relu(x, self.weight, self.bias, *given_statistics(self), self.eps)
        if estimates(self):
            self.track(x.size // self.weight.size, mean, var)
        return y


class FusedBasicBlock(BasicBlock):
    def forward(self, x: Tensor) -> Tensor:
        layers = [(self.conv1, self.bn1), (self.conv2, self.bn2)]
        return forward(self, x, layers)


class FusedBottleneck(Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        layers = [(self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)]
        return forward(self, x, layers)


def forward(block: Any, x: Tensor, layers: list[tuple[Any, Any]]) -> Tensor:
    """Return the block's output: one op where its shortcut has no parameters, else one for each of the layers."""
    training = all([estimates(norm) for _, norm in layers])
    if training and block.skip and isinstance(block.downsample, nn.Identity | OptionA):
        return residual_block(x, layers)
    y = x
    for conv, norm in layers[:-1]:
        y = conv_norm_relu(conv, norm, y)
    shortcut = block.downsample(x) if block.skip else None
    conv, norm = layers[-1]
    return conv_norm_relu(conv, norm, y, shortcut)


def residual_block(x: Tensor, layers: list[tuple[Any, Any]]) -> Tensor:
    """Return relu(norm(conv(… relu(norm(conv(x))) …)) + shortcut) as one op."""
    params = [(conv.weight, norm.weight, norm.bias) for conv, norm in layers]
    strides, eps = tuple([conv.stride for conv, _ in layers]), tuple([norm.eps for _, norm in layers])
    y, statistics = ops.residual_block(x, params, strides, eps)
    for (_, norm), found in zip(layers, statistics, strict=True):
        norm.track(*found)
    return y


def conv_norm_relu(conv: nn.Conv2d, norm: Any, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """Return relu(norm(conv(x)) [+ shortcut]) as one op."""
    y, mean, var = ops.conv2d_batch_norm_relu(
        x, conv.weight, norm.weight, norm.bias, shortcut, *given_statistics(norm), conv.stride, conv.padding, norm.eps
    )
    if estimates(norm):
        norm.track(y.size // y.shape[1], mean, var)
    return y


def estimates(norm: nn.BatchNorm2d) -> bool:
    """Say whether the norm takes mean and variance from the batch."""
    return norm.training and not norm.frozen


def given_statistics(norm: nn.BatchNorm2d) -> tuple[Array | None, Array | None]:
    """Return the mean and variance that the op shall use, None for the batch's own."""
    return (None, None) if estimates(norm) else (norm.running_mean, norm.running_var)


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


class FusedResNet(ResNet):
    """The network of fused blocks; convolution, norm and relu of its stem are one op."""

    form_of = staticmethod(fused_block)

    def forward(self, x: Tensor) -> Tensor:
        y = conv_norm_relu(self.conv1, self.bn1, x)
        y = self.maxpool(y)
        y = self.layer1(y)
        y = self.layer2(y)
        y = self.layer3(y)
        if self.layer4 is not None:
            y = self.layer4(y)
        y = self.avgpool(y)
        return self.fc(y)


class FusedPreActResNet(PreActResNet):
    """Its forward is the network's own: the last norm brings its relu, and what stood for relu does nothing."""

    form_of = staticmethod(fused_block)

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        fuse(self, "bn1", "relu")
