"""The ResNet family: a stem, three or four stages of blocks, global average pooling, one linear layer.

    resnet20 … resnet1202         CIFAR networks, 6n+2 layers: three stages of n basic blocks, 16, 32, 64 channels
    resnet18 … resnet152          ImageNet networks: four stages, 64, 128, 256, 512 channels (times 4 for bottlenecks)
    preact_resnet…                both with pre-activation blocks, and a last norm after the last stage
    wide_resnet(depth, width)     WRN-depth-width: pre-activation, 6n+4 layers, 16, 32, 64 channels times width

All makers take the keyword options of `ResNet`. Names of modules and parameters are torchvision's.
He et al., "Deep residual learning for image recognition", 2015; He et al., "Identity mappings in deep residual
networks", 2016; Zagoruyko, Komodakis, "Wide residual networks", 2016.
"""

from typing import Any

from minires import nn
from minires.engine import Tensor
from minires.models.blocks import BasicBlock, Bottleneck, PreActBlock, PreActBottleneck
from minires.models.fused import conv_norm_relu, fuse, fused_block
from minires.models.parts import SHORTCUTS, activation_layer, choose, linear, norm_layer

STEMS = ("cifar", "imagenet")


class ResNet(nn.Module):
    """Stem, stages, global average pooling, linear layer, for images (N, C, H, W); gives logits (N, num_classes).

    block: the class of the blocks. depths: how many in each stage. widths: the channels of each stage, before the
    block's expansion. The first block of every stage but the first halves the image.
    stem: "cifar", a 3×3 convolution, or "imagenet", a 7×7 one with stride 2 and a max pool, both to widths[0] channels
    unless stem_width says otherwise. shortcut: "A", "B", "C" or "always" (see `parts.shortcut_layer`). skip=False: the
    plain twin. norm: "batch" or "none", where convolutions have a bias. activation: a name from `parts.ACTIVATIONS`.
    stride_on: "3x3" or "1x1", for bottlenecks. init, seed: as in `nn.initialize`; init=None leaves zeros. "skipinit",
    "skipinit_sqrt" and "fixup" take the norm's place with scalars of their own and need norm="none".
    fused=True: blocks from `fused.py`, faster and the same to rounding; for norm="batch" and activation="relu".
    ValueError for values that are unknown or do not go together.
    """

    preactivated = False
    classifier = "fc"

    def __init__(
        self,
        block: type[Any],
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        *,
        in_channels: int = 3,
        num_classes: int = 10,
        stem: str = "cifar",
        stem_width: int | None = None,
        shortcut: str = "B",
        skip: bool = True,
        norm: str = "batch",
        activation: str = "relu",
        stride_on: str = "3x3",
        init: str | None = "he",
        seed: int | None = None,
        fused: bool = False,
    ) -> None:
        choose("stem", stem, STEMS)
        choose("norm", norm, ("batch", "none"))
        choose("shortcut", shortcut, SHORTCUTS)  # also where skip=False has no use for it
        if not isinstance(skip, bool):
            raise ValueError(f"models: skip must be True or False, got {skip!r}")
        if block.preactivated != self.preactivated:
            raise ValueError(
                f"models: {block.__name__} does not fit {type(self).__name__}: pre-activation blocks go into "
                "PreActResNet, the others into ResNet"
            )
        options: dict[str, Any] = {"shortcut": shortcut, "skip": skip, "activation": activation, "init": None}
        if init in ("skipinit", "skipinit_sqrt", "fixup"):
            if norm != "none":
                raise ValueError(f"models: init={init!r} replaces batch norm; pass norm='none' with it")
            norm = init.removesuffix("_sqrt")
        if issubclass(block, Bottleneck | PreActBottleneck):
            options["stride_on"] = stride_on
        elif stride_on != "3x3":
            raise ValueError(f"models: stride_on={stride_on!r} is for bottlenecks, not for {block.__name__}")
        if fused:
            block = fused_block(block, norm, activation)

        channels = stem_width or widths[0]
        bias = norm in ("none", "skipinit")
        if stem == "cifar":
            self.input_shape = (in_channels, 32, 32)
            self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=1, padding=1, bias=bias, init=None)
        else:
            self.input_shape = (in_channels, 224, 224)
            self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=bias, init=None)
        if not self.preactivated:
            self.bn1 = norm_layer(norm, channels)
            self.relu = activation_layer(activation)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
        stages = []
        for i in range(len(depths)):
            blocks = []
            for j in range(depths[i]):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(block(channels, widths[i], stride, norm=norm, **options))
                channels = widths[i] * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3 = stages[:3]
        self.layer4 = stages[3] if len(stages) == 4 else None
        if self.preactivated:
            self.bn1 = norm_layer(norm, channels)
            self.relu = activation_layer(activation)
        self.avgpool = nn.GlobalAvgPool2d()
        self.fc = linear(channels, num_classes, norm)
        self.fused = fused
        if fused and self.preactivated:
            fuse(self, "bn1", "relu")
        if init is not None:
            nn.initialize(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        if self.fused:
            y = conv_norm_relu(self.conv1, self.bn1, x)
        else:
            y = self.conv1(x)
            y = self.bn1(y)
            y = self.relu(y)
        y = self.maxpool(y)
        y = self.layer1(y)
        y = self.layer2(y)
        y = self.layer3(y)
        if self.layer4 is not None:
            y = self.layer4(y)
        y = self.avgpool(y)
        return self.fc(y)


class PreActResNet(ResNet):
    """The same with pre-activation blocks, which begin with norm and activation: the last two follow the stages."""

    preactivated = True

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.maxpool(y)
        y = self.layer1(y)
        y = self.layer2(y)
        y = self.layer3(y)
        if self.layer4 is not None:
            y = self.layer4(y)
        y = self.bn1(y)
        y = self.relu(y)
        y = self.avgpool(y)
        return self.fc(y)


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
    network = PreActResNet if block.preactivated else ResNet
    return network(block, (n, n, n), (width, 2 * width, 4 * width), shortcut=shortcut, **options)


def imagenet_resnet(
    depth: int, num_classes: int = 1000, stem: str = "imagenet", *, block: type[Any] | None = None, **options: Any
) -> ResNet:
    """Make the ImageNet network of 18, 34, 50, 101 or 152 layers. block: in place of the paper's for this depth."""
    if depth not in IMAGENET_DEPTHS:
        raise ValueError(f"models: an ImageNet ResNet has 18, 34, 50, 101 or 152 layers, not {depth}")
    paper_block, depths = IMAGENET_DEPTHS[depth]
    block = block or paper_block
    network = PreActResNet if block.preactivated else ResNet
    return network(block, depths, (64, 128, 256, 512), num_classes=num_classes, stem=stem, **options)


IMAGENET_DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def wide_resnet(depth: int, width: int, *, block: type[Any] = PreActBlock, **options: Any) -> ResNet:
    """Make WRN-depth-width, such as WRN-16-4, 28-10 or 40-4, for CIFAR; depth is 6n+4."""
    n = (depth - 4) // 6
    if n < 1 or depth != 6 * n + 4 or width < 1:
        raise ValueError(
            f"models: wide_resnet has 6n + 4 layers, 10, 16, 22, …, and a width from 1 up, "
            f"not depth {depth}, width {width}"
        )
    network = PreActResNet if block.preactivated else ResNet
    return network(block, (n, n, n), (16 * width, 32 * width, 64 * width), stem_width=16, **options)


def resnet20(**options: Any) -> ResNet:
    """9 basic blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(20, **options)


def resnet32(**options: Any) -> ResNet:
    """15 basic blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(32, **options)


def resnet44(**options: Any) -> ResNet:
    """21 basic blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(44, **options)


def resnet56(**options: Any) -> ResNet:
    """27 basic blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(56, **options)


def resnet110(**options: Any) -> ResNet:
    """54 basic blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(110, **options)


def resnet1202(**options: Any) -> ResNet:
    """600 basic blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(1202, **options)


def resnet18(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """8 basic blocks, for ImageNet: option B."""
    return imagenet_resnet(18, num_classes, stem, **options)


def resnet34(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """16 basic blocks, for ImageNet: option B."""
    return imagenet_resnet(34, num_classes, stem, **options)


def resnet50(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """16 bottlenecks, for ImageNet: option B."""
    return imagenet_resnet(50, num_classes, stem, **options)


def resnet101(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """33 bottlenecks, for ImageNet: option B."""
    return imagenet_resnet(101, num_classes, stem, **options)


def resnet152(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """50 bottlenecks, for ImageNet: option B."""
    return imagenet_resnet(152, num_classes, stem, **options)


def preact_resnet20(**options: Any) -> ResNet:
    """9 pre-activation blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(20, **{"block": PreActBlock, **options})


def preact_resnet32(**options: Any) -> ResNet:
    """15 pre-activation blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(32, **{"block": PreActBlock, **options})


def preact_resnet44(**options: Any) -> ResNet:
    """21 pre-activation blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(44, **{"block": PreActBlock, **options})


def preact_resnet56(**options: Any) -> ResNet:
    """27 pre-activation blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(56, **{"block": PreActBlock, **options})


def preact_resnet110(**options: Any) -> ResNet:
    """54 pre-activation blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(110, **{"block": PreActBlock, **options})


def preact_resnet1202(**options: Any) -> ResNet:
    """600 pre-activation blocks, for CIFAR: 10 classes, option A."""
    return cifar_resnet(1202, **{"block": PreActBlock, **options})


def preact_resnet164(**options: Any) -> ResNet:
    """54 pre-activation bottlenecks, for CIFAR: 10 classes, projections where shapes change."""
    return cifar_resnet(164, **{"block": PreActBottleneck, "shortcut": "B", **options})


def preact_resnet1001(**options: Any) -> ResNet:
    """333 pre-activation bottlenecks, for CIFAR: 10 classes, projections where shapes change."""
    return cifar_resnet(1001, **{"block": PreActBottleneck, "shortcut": "B", **options})


def preact_resnet18(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """8 pre-activation blocks, for ImageNet: option B."""
    return imagenet_resnet(18, num_classes, stem, **{"block": PreActBlock, **options})


def preact_resnet34(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """16 pre-activation blocks, for ImageNet: option B."""
    return imagenet_resnet(34, num_classes, stem, **{"block": PreActBlock, **options})


def preact_resnet50(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """16 pre-activation bottlenecks, for ImageNet: option B."""
    return imagenet_resnet(50, num_classes, stem, **{"block": PreActBottleneck, **options})


def preact_resnet101(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """33 pre-activation bottlenecks, for ImageNet: option B."""
    return imagenet_resnet(101, num_classes, stem, **{"block": PreActBottleneck, **options})


def preact_resnet152(num_classes: int = 1000, stem: str = "imagenet", **options: Any) -> ResNet:
    """50 pre-activation bottlenecks, for ImageNet: option B."""
    return imagenet_resnet(152, num_classes, stem, **{"block": PreActBottleneck, **options})
