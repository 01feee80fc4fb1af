"""The family by name: three builders, and the table of makers, each a builder with a depth and what it changes.

    resnet20 … resnet1202         CIFAR networks, 6n+2 layers: three stages of n basic blocks, 16, 32, 64 channels
    resnet18 … resnet152          ImageNet networks: four stages, 64, 128, 256, 512 channels (times 4 for bottlenecks)
    resnext50_32x4d, 101_32x8d    the same with bottlenecks whose 3×3 convolution has groups (`resnext.py`)
    preact_resnet…                both with pre-activation blocks, and a last norm after the last stage
    wide_resnet(depth, width)     WRN-depth-width: pre-activation, 6n+4 layers, 16, 32, 64 channels times width

All take the keyword options of `ResNet`, and fused=True: blocks from `fused.py`, faster and the same to rounding, for
norm="batch" and activation="relu".
He et al., "Deep residual learning for image recognition", 2015; He et al., "Identity mappings in deep residual
networks", 2016; Zagoruyko, Komodakis, "Wide residual networks", 2016; Xie et al., "Aggregated residual transformations
for deep neural networks", 2017.
"""

from functools import partial
from typing import Any

from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.fused import FusedPreActResNet, FusedResNet
from minires.models.resnet import PreActResNet, ResNet
from minires.models.resnext import resnext_bottleneck


def cifar_resnet(
    depth: int, *, block: type[Any] = BasicBlock, width: int = 16, shortcut: str = "A", **options: Any
) -> ResNet:
    """Make the CIFAR network of `depth` layers: three stages of n blocks, width, 2·width and 4·width channels.

    depth: 6n+2 for blocks of two convolutions, 9n+2 for bottlenecks. block: the class of the blocks.
    """
    layers = 3 * len(block.branch)
    n = (depth - 2) // layers
    if n < 1 or depth != layers * n + 2:
        raise ValueError(
            f"models: a CIFAR ResNet of {block.__name__} has {layers}n + 2 layers, "
            f"{layers + 2}, {2 * layers + 2}, …, not {depth}"
        )
    return network_of(block, (n, n, n), (width, 2 * width, 4 * width), shortcut=shortcut, **options)


IMAGENET_DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def imagenet_resnet(
    depth: int,
    num_classes: int = 1000,
    stem: str = "imagenet",
    *,
    block: type[Any] | None = None,
    groups: int = 1,
    width_per_group: int = 64,
    **options: Any,
) -> ResNet:
    """Make the ImageNet network of 18, 34, 50, 101 or 152 layers. block: in place of the paper's for this depth.

    groups, width_per_group: torchvision's names for ResNeXt's cardinality and width, 32 and 4 in 32×4d; of bottlenecks.
    """
    if depth not in IMAGENET_DEPTHS:
        raise ValueError(f"models: an ImageNet ResNet has 18, 34, 50, 101 or 152 layers, not {depth}")
    paper_block, depths = IMAGENET_DEPTHS[depth]
    if (groups, width_per_group) != (1, 64):
        block = resnext_bottleneck(block or paper_block, groups, width_per_group)
    return network_of(block or paper_block, depths, (64, 128, 256, 512), num_classes=num_classes, stem=stem, **options)


def wide_resnet(depth: int, width: int, *, block: type[Any] = PreActBlock, **options: Any) -> ResNet:
    """Make WRN-depth-width, such as WRN-16-4, 28-10 or 40-4, for CIFAR; depth is 6n+4."""
    n = (depth - 4) // 6
    if n < 1 or depth != 6 * n + 4 or width < 1:
        raise ValueError(
            f"models: wide_resnet has 6n + 4 layers, 10, 16, 22, …, and a width from 1 up, "
            f"not depth {depth}, width {width}"
        )
    return network_of(block, (n, n, n), (16 * width, 32 * width, 64 * width), stem_width=16, **options)


def network_of(
    block: type[Any], depths: tuple[int, ...], widths: tuple[int, ...], *, fused: bool = False, **options: Any
) -> ResNet:
    """Make the network that such blocks go into."""
    network: type[ResNet]
    if block.preactivated:
        network = FusedPreActResNet if fused else PreActResNet
    else:
        network = FusedResNet if fused else ResNet
    return network(block, depths, widths, **options)


def maker(build: Any, depth: int, blocks: str, **defaults: Any) -> partial[ResNet]:
    """Make a line of the table below: a builder of this depth with these defaults, and the text that help() shows."""
    images, shortcut = ("CIFAR: 10 classes", "A") if build is cifar_resnet else ("ImageNet: 1000 classes", "B")
    made = partial(build, depth, **defaults)
    made.__doc__ = f"{blocks}, for {images}, option {defaults.get('shortcut', shortcut)}."
    return made


resnet20 = maker(cifar_resnet, 20, "9 basic blocks")
resnet32 = maker(cifar_resnet, 32, "15 basic blocks")
resnet44 = maker(cifar_resnet, 44, "21 basic blocks")
resnet56 = maker(cifar_resnet, 56, "27 basic blocks")
resnet110 = maker(cifar_resnet, 110, "54 basic blocks")
resnet1202 = maker(cifar_resnet, 1202, "600 basic blocks")
preact_resnet20 = maker(cifar_resnet, 20, "9 pre-activation blocks", block=PreActBlock)
preact_resnet32 = maker(cifar_resnet, 32, "15 pre-activation blocks", block=PreActBlock)
preact_resnet44 = maker(cifar_resnet, 44, "21 pre-activation blocks", block=PreActBlock)
preact_resnet56 = maker(cifar_resnet, 56, "27 pre-activation blocks", block=PreActBlock)
preact_resnet110 = maker(cifar_resnet, 110, "54 pre-activation blocks", block=PreActBlock)
preact_resnet1202 = maker(cifar_resnet, 1202, "600 pre-activation blocks", block=PreActBlock)
preact_resnet164 = maker(cifar_resnet, 164, "54 pre-activation bottlenecks", block=PreActBottleneck, shortcut="B")
preact_resnet1001 = maker(cifar_resnet, 1001, "333 pre-activation bottlenecks", block=PreActBottleneck, shortcut="B")
resnet18 = maker(imagenet_resnet, 18, "8 basic blocks")
resnet34 = maker(imagenet_resnet, 34, "16 basic blocks")
resnet50 = maker(imagenet_resnet, 50, "16 bottlenecks")
resnet101 = maker(imagenet_resnet, 101, "33 bottlenecks")
resnet152 = maker(imagenet_resnet, 152, "50 bottlenecks")
resnext50_32x4d = maker(imagenet_resnet, 50, "16 bottlenecks of 32 groups", groups=32, width_per_group=4)
resnext101_32x8d = maker(imagenet_resnet, 101, "33 bottlenecks of 32 groups", groups=32, width_per_group=8)
preact_resnet18 = maker(imagenet_resnet, 18, "8 pre-activation blocks", block=PreActBlock)
preact_resnet34 = maker(imagenet_resnet, 34, "16 pre-activation blocks", block=PreActBlock)
preact_resnet50 = maker(imagenet_resnet, 50, "16 pre-activation bottlenecks", block=PreActBottleneck)
preact_resnet101 = maker(imagenet_resnet, 101, "33 pre-activation bottlenecks", block=PreActBottleneck)
preact_resnet152 = maker(imagenet_resnet, 152, "50 pre-activation bottlenecks", block=PreActBottleneck)
