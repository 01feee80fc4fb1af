"""A network for inference alone: each batch norm folded into the convolution before it, once.

    scale = weight / √(running_var + eps)        filters' = filters · scale        bias' = bias − running_mean · scale

What training would change is in the filters then, so the folded network is a copy: train the first one, fold it again.
Its filters cannot be written to, so that kernels need to transform or pack them only once.
What is left, relu(conv + bias [+ shortcut]), layer after layer, is one op a block (`fused.py`), whatever the first
network was made of.
"""

import copy
from typing import Any

import numpy as np

from minires import nn
from minires.kernels.chain import Prepared
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.fused import FUSED, FusedPreActResNet, FusedResNet
from minires.models.resnet import PreActResNet, ResNet

__all__ = ["folded", "is_foldable"]

# The norms that stand right behind a convolution
PAIRS = {
    BasicBlock: (("conv1", "bn1"), ("conv2", "bn2")),
    Bottleneck: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    PreActBlock: (("conv1", "bn2"),),
    PreActBottleneck: (("conv1", "bn2"), ("conv2", "bn3")),
}


NETWORKS: dict[type[Any], type[Any]] = {ResNet: FusedResNet, PreActResNet: FusedPreActResNet}


def folded(model: nn.Module) -> ResNet:
    """Return a copy of the network in evaluation mode, with the same outputs to rounding, whose norms are gone into
    its convolutions. What stays: the norms of pre-activation blocks that follow no convolution, norms that take their
    statistics from the images they are given (group norm, layer norm), and those of a block with a forward of its own.

    Its layers keep their names, without those of the norms: it takes no state dict of the first network. ValueError for
    what is no ResNet.
    """
    if not isinstance(model, ResNet):
        raise ValueError(f"folded: takes a ResNet, not {type(model).__name__}")
    network = copy.deepcopy(model).eval()
    for _, module in list(network.named_modules()):
        for block, pairs in PAIRS.items():
            if isinstance(module, block) and runs_as(module, block, FUSED[block]):
                for conv, norm in pairs:
                    setattr(module, norm, fold(getattr(module, conv), getattr(module, norm)))
                take_form(module, FUSED[block])
        if isinstance(module, ResNet) and not module.preactivated and runs_as(module, ResNet, FusedResNet):
            module.bn1 = fold(module.conv1, module.bn1)
            take_form(module, FusedResNet)
        if type(module) is nn.Sequential and len(module) == 2:  # a projection
            module.layers = module[0], fold(module[0], module[1])
    return network


def is_foldable(model: nn.Module) -> bool:
    """Say whether `folded` takes a model, all that is in it is this package's own, and it is on the CPU: on a GPU norm
    and relu are one launch either way."""
    modules = [module for _, module in model.named_modules()]
    own = [type(module).__module__.startswith("minires.") and "forward" not in vars(module) for module in modules]
    if type(model) not in (*NETWORKS, *NETWORKS.values()) or not all(own):
        return False
    return isinstance(model.parameters()[0].data, np.ndarray)


def runs_as(module: nn.Module, plain: type[Any], fused: type[Any]) -> bool:
    """Say whether a module's forward is that of this class, or of its fused form."""
    return type(module).forward in (plain.forward, fused.forward) and "forward" not in vars(module)


def take_form(module: Any, fused: type[Any]) -> None:
    """Make a module of the copy one of the fused form, which has the same attributes, where its activation is relu."""
    activations = [vars(module)[name] for name in ("relu", "relu1", "relu2", "relu3") if name in vars(module)]
    if all([type(activation) is nn.ReLU for activation in activations]) and type(module) in fused.__mro__:
        module.__class__ = fused


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
    filters = conv.weight.data * scale.reshape(-1, 1, 1, 1)
    conv.weight = nn.Parameter(filters)
    if isinstance(filters, np.ndarray) and conv.weight.data is filters:
        filters.flags.writeable = False  # nothing changes them any more: kernels keep what they make of them
        vars(conv)["prepared"] = Prepared(filters)  # `fused.py` hands it on
    return nn.Identity()
