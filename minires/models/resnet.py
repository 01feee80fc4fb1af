"""The ResNet: a stem, three or four stages of blocks, global average pooling, one linear layer.

`family.py` has the networks of the papers by name. Names of modules and parameters are torchvision's.
"""

from typing import Any

from minires import nn
from minires.engine import Tensor
from minires.models.blocks import Bottleneck, PreActBottleneck
from minires.models.parts import activation_layer, check_options, linear, norm_layer, norm_place
from minires.models.schemes import initialize

__all__ = ["PreActResNet", "ResNet"]


class ResNet(nn.Module):
    """Stem, stages, global average pooling, linear layer, for images (N, C, H, W); gives logits (N, num_classes).

    block: the class of the blocks. depths: how many in each stage. widths: the channels of each stage, before the
    block's expansion. The first block of every stage but the first halves the image.
    stem: "cifar", a 3×3 convolution, or "imagenet", a 7×7 one with stride 2 and a max pool, both to widths[0] channels
    unless stem_width says otherwise. shortcut: "A", "B", "C" or "always" (see `parts.shortcut_layer`). skip=False: the
    plain twin. norm: "batch", "group", "layer" (see `parts`), or "none", where convolutions have a bias. activation: a
    name from `parts.ACTIVATIONS`.
    stride_on: "3x3" or "1x1", for bottlenecks. init, seed: as in `schemes.initialize`; init=None leaves zeros.
    "skipinit", "skipinit_sqrt" and "fixup" take the norm's place with scalars of their own and need norm="none".
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
    ) -> None:
        bottleneck = issubclass(block, Bottleneck | PreActBottleneck)
        check_options(type(self), block, bottleneck, stem, norm, shortcut, skip, stride_on)
        norm = norm_place(norm, init)
        block = self.form_of(block, norm, activation)
        options: dict[str, Any] = {"shortcut": shortcut, "skip": skip, "norm": norm, "activation": activation}
        if bottleneck:
            options["stride_on"] = stride_on

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
                blocks.append(block(channels, widths[i], stride, **options, init=None))
                channels = widths[i] * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3 = stages[:3]
        self.layer4 = stages[3] if len(stages) == 4 else None
        if self.preactivated:
            self.bn1 = norm_layer(norm, channels)
            self.relu = activation_layer(activation)
        self.avgpool = nn.GlobalAvgPool2d()
        self.fc = linear(channels, num_classes, norm)
        if init is not None:
            initialize(self, init, seed)

    @staticmethod
    def form_of(block: type[Any], norm: str, activation: str) -> type[Any]:
        """Return the class that a network makes its blocks of: this one here, a faster form in `fused.py`."""
        return block

    def forward(self, x: Tensor) -> Tensor:
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
