"""A network for inference alone: each batch norm folded into the convolution before it, once.

    scale = weight / √(running_var + eps)        filters' = filters · scale        bias' = bias − running_mean · scale

What training would change is in the filters then, so the folded network is a copy: train the first one, fold it again.
"""

import copy
from typing import Any

import numpy as np

from minires import nn
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.resnet import ResNet

__all__ = ["folded"]

# The norms that stand right behind a convolution
PAIRS = {
    BasicBlock: (("conv1", "bn1"), ("conv2", "bn2")),
    Bottleneck: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    PreActBlock: (("conv1", "bn2"),),
    PreActBottleneck: (("conv1", "bn2"), ("conv2", "bn3")),
}


def folded(model: ResNet) -> ResNet:
    """Return a copy of the network in evaluation mode, with the same outputs to rounding, whose norms are gone into
    its convolutions; those of pre-activation blocks that follow no convolution stay, as do norms that take their
    statistics from the images they are given: group norm, layer norm.

    Its layers keep their names, without those of the norms: it takes no state dict of the first network. ValueError for
    what is no ResNet.
    """
    if not isinstance(model, ResNet):
        raise ValueError(f"folded: takes a ResNet, not {type(model).__name__}")
    network = copy.deepcopy(model).eval()
    for _, module in list(network.named_modules()):
        for block, pairs in PAIRS.items():
            if isinstance(module, block):
                for conv, norm in pairs:
                    setattr(module, norm, fold(getattr(module, conv), getattr(module, norm)))
        if isinstance(module, ResNet) and not module.preactivated:
            module.bn1 = fold(module.conv1, module.bn1)
        if isinstance(module, nn.Sequential) and len(module) == 2:  # a projection
            module.layers = module[0], fold(module[0], module[1])
    return network


def fold(conv: Any, norm: Any) -> Any:
    """Give the convolution the filters and the bias that do what both did; return what takes the norm's place."""
    if type(norm) is not nn.BatchNorm2d or type(conv) is not nn.Conv2d:
        return norm
    if norm.running_mean is None or norm.running_var is None:  # it takes the batch's statistics
        return norm
    weight, shift = (1, 0) if norm.weight is None or norm.bias is None else (norm.weight.data, norm.bias.data)
    scale = weight / np.sqrt(norm.running_var + norm.eps)
    before = 0 if conv.bias is None else conv.bias.data
    conv.bias = nn.Parameter(shift + (before - norm.running_mean) * scale)
    conv.weight = nn.Parameter(conv.weight.data * scale.reshape(-1, 1, 1, 1))
    return nn.Identity()
