"""The same networks in PyTorch, for the benchmarks: parameter names and arithmetic as in minires.models."""

import torch
import torch.nn.functional as F
from torch import nn


class OptionA(nn.Module):
    """Every stride-th pixel, zeros for the new channels."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        front = (out_channels - in_channels) // 2
        self.stride, self.channels = stride, (front, out_channels - in_channels - front)

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.channels))


def shortcut(in_channels, out_channels, stride, option):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if option == "A":
        return OptionA(in_channels, out_channels, stride)
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_channels, width, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(in_channels, width, stride, option)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, in_channels, width, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(in_channels, 4 * width, stride, option)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


class ResNet(nn.Module):
    def __init__(self, block, depths, widths, stem, option, num_classes):
        super().__init__()
        channels = widths[0]
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
            self.pool = nn.MaxPool2d(3, 2, 1)
        else:
            self.conv1 = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
            self.pool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(channels)
        self.stages = len(depths)
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 1 and index == 0 else 1
                blocks.append(block(channels, width, stride, option))
                channels = width * block.expansion
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


IMAGENET_WIDTHS = (64, 128, 256, 512)
IMAGENET_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def make(name, stem="imagenet", num_classes=1000):
    """Return the PyTorch twin of minires.models' resnet20 … resnet152."""
    depth = int(name.removeprefix("resnet"))
    if depth in IMAGENET_DEPTHS:
        block = BasicBlock if depth < 50 else Bottleneck
        return ResNet(block, IMAGENET_DEPTHS[depth], IMAGENET_WIDTHS, stem, "B", num_classes)
    return ResNet(BasicBlock, ((depth - 2) // 6,) * 3, (16, 32, 64), "cifar", "A", 10)


def load(model, state):
    """Copy a MiniRes state dict into the PyTorch twin; names are the same but for batch counts."""
    arrays = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    wanted = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    if wanted != set(arrays):
        raise ValueError(f"names differ: {sorted(wanted ^ set(arrays))}")
    model.load_state_dict(arrays, strict=False)
