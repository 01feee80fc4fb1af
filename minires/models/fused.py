"""The blocks and the networks with fused forwards: chains of convolution, batch norm and relu as one op.

Same parameters, same state dict, same gradients to rounding as the blocks that they come from; fewer passes over the
activations. For training and measuring; `blocks.py` is the page to read. Where a block holds what a chain does not
take, a norm that is frozen or in evaluation, a convolution with a bias, groups or dilation or of another class, it
takes its plain forward. ResNeXt's bottlenecks, which have groups, have no other.
"""

from typing import Any

from minires import nn, ops
from minires.engine import Tensor, per_thread
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.parts import OptionA
from minires.models.resnet import PreActResNet, ResNet
from minires.models.resnext import ResNeXtBottleneck

Layers = list[tuple[Any, Any]]  # a convolution and the norm behind it, each


class FusedBasicBlock(BasicBlock):
    def forward(self, x: Tensor) -> Tensor:
        layers = [(self.conv1, self.bn1), (self.conv2, self.bn2)]
        return chain(layers, x, self) if takes(layers) else super().forward(x)


class FusedBottleneck(Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        layers = [(self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)]
        return chain(layers, x, self) if takes(layers) else super().forward(x)


class FusedPreActBlock(PreActBlock):
    """The first convolution, the second norm and the relu behind it are one op."""

    def forward(self, x: Tensor) -> Tensor:
        if not takes([(self.conv1, self.bn2)]):
            return super().forward(x)
        activated = self.relu1(self.bn1(x))
        y = chain([(self.conv1, self.bn2)], activated)
        y = self.conv2(y)
        return add_shortcut(self, x, activated, y)


class FusedPreActBottleneck(PreActBottleneck):
    """Its two inner norms, with the convolution before and the relu behind, are one op."""

    def forward(self, x: Tensor) -> Tensor:
        layers = [(self.conv1, self.bn2), (self.conv2, self.bn3)]
        if not takes(layers):
            return super().forward(x)
        activated = self.relu1(self.bn1(x))
        y = chain(layers, activated)
        y = self.conv3(y)
        return add_shortcut(self, x, activated, y)


def add_shortcut(block: Any, x: Tensor, activated: Tensor, y: Tensor) -> Tensor:
    """Return the branch y of a pre-activation block, with its shortcut."""
    y = block.scale(y)
    if not block.skip:
        return y
    return ops.residual_add(block.downsample(activated if block.projects else x), y)


def takes(layers: Layers) -> bool:
    """Say whether these layers can be one op: with norms that estimate, or, for inference, that are folded."""
    if any([type(conv) is not nn.Conv2d or not is_plain(conv) for conv, _ in layers]):
        return False
    if is_folded(layers):
        return not per_thread.recording
    return all([estimates(norm) for _, norm in layers]) and all([conv.bias is None for conv, _ in layers])


def estimates(norm: Any) -> bool:
    """Say whether a layer is a batch norm with weight and bias that takes its batch's statistics."""
    return type(norm) is nn.BatchNorm2d and norm.training and not norm.frozen and norm.weight is not None


def is_plain(conv: Any) -> bool:
    """Say whether a convolution has neither groups nor dilation."""
    return conv.groups == 1 and conv.dilation in (1, (1, 1))


def is_folded(layers: Layers) -> bool:
    """Say whether the norms are gone into the convolutions: see `folding.py`."""
    return all([type(norm) is nn.Identity and conv.bias is not None for conv, norm in layers])


def chain(layers: Layers, x: Tensor, block: Any = None) -> Tensor:
    """Return relu(norm(conv(… relu(norm(conv(x))) …)) + the block's shortcut) as one op."""
    folded = is_folded(layers)
    given = []
    for conv, norm in layers:
        window = conv.stride, conv.padding
        if folded:
            given.append(ops.ConvLayer(conv.weight, None, conv.bias, *window, prepared=getattr(conv, "prepared", None)))
        else:
            norm.check_statistics(x.data)  # of all norms, before any follows the batch
            given.append(ops.ConvLayer(conv.weight, norm.weight, norm.bias, *window, norm.eps))
    y, statistics = ops.conv_chain(x, given, shortcut_of(block, x, layers) if block is not None else None)
    for (_, norm), found in zip(layers, statistics, strict=False):  # of folded norms there are none
        norm.track(*found)
    return y


def shortcut_of(block: Any, x: Tensor, layers: Layers) -> Tensor | str | None:
    """Return a block's shortcut, by its name where the chain makes it itself."""
    if not block.skip:
        return None
    if type(block.downsample) is nn.Identity:
        return "identity"
    strides = [conv.stride for conv, _ in layers]
    if type(block.downsample) is OptionA and all([isinstance(stride, int) for stride in strides]):
        total, channels = 1, layers[-1][0].weight.shape[0]
        for stride in strides:
            total *= stride
        if (channels, total) == (block.downsample.out_channels, block.downsample.stride):
            return "A"
    return block.downsample(x)


FUSED: dict[type[Any], type[Any]] = {
    BasicBlock: FusedBasicBlock,
    Bottleneck: FusedBottleneck,
    PreActBlock: FusedPreActBlock,
    PreActBottleneck: FusedPreActBottleneck,
}


def fused_block(block: type[Any], norm: str, activation: str) -> type[Any]:
    """Return a block's fused form; ValueError where it has none."""
    if norm != "batch" or activation != "relu":
        raise ValueError(
            f"models: fused=True is for norm='batch' with activation='relu', not for norm={norm!r} with "
            f"activation={activation!r}"
        )
    if issubclass(block, ResNeXtBottleneck):
        return block
    if block not in FUSED:
        known = ", ".join(one.__name__ for one in FUSED)
        raise ValueError(f"models: {block.__name__} has no fused form; these have: {known}")
    return FUSED[block]


class FusedResNet(ResNet):
    """The network of fused blocks; convolution, norm and relu of its stem are one op."""

    form_of = staticmethod(fused_block)

    def forward(self, x: Tensor) -> Tensor:
        stem = [(self.conv1, self.bn1)]
        if not takes(stem):
            return super().forward(x)
        y = chain(stem, x)
        y = self.maxpool(y)
        y = self.layer1(y)
        y = self.layer2(y)
        y = self.layer3(y)
        if self.layer4 is not None:
            y = self.layer4(y)
        y = self.avgpool(y)
        return self.fc(y)


class FusedPreActResNet(PreActResNet):
    """The network of fused pre-activation blocks; its last norm and relu are ops of their own."""

    form_of = staticmethod(fused_block)
