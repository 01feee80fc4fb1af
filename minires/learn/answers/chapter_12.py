"""Chapter 12: a right answer."""

from minires import nn, ops


def conv(in_channels, out_channels, size, stride=1, bias=False):
    return nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=bias)


class ShortcutBlock(nn.Module):
    bias = False

    def __init__(self, in_channels, channels, stride):
        self.conv1, self.conv2 = conv(in_channels, channels, 3, stride), conv(channels, channels, 3)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.same = in_channels == channels and stride == 1
        self.projection = None if self.same else conv(in_channels, channels, 1, stride, self.bias)

    def branch_of(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(y))

    def shortcut_of(self, x):
        return x if self.same else self.bn3(self.projection(x))

    def forward(self, x):
        return ops.relu(ops.residual_add(self.shortcut_of(x), self.branch_of(x)))


class BasicBlock(ShortcutBlock):
    def __init__(self, channels):
        super().__init__(channels, channels, 1)


class Bottleneck(nn.Module):
    def __init__(self, channels):
        self.conv1, self.conv2 = conv(4 * channels, channels, 1), conv(channels, channels, 3)
        self.conv3 = conv(channels, 4 * channels, 1)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(c * channels) for c in (1, 1, 4))

    def forward(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = ops.relu(self.bn2(self.conv2(y)))
        return ops.relu(ops.residual_add(x, self.bn3(self.conv3(y))))
