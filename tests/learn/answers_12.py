"""Chapter 12: right and typical wrong answers."""

from minires import nn, ops
from minires.learn.answers.chapter_12 import BasicBlock, Bottleneck, ShortcutBlock, conv


class NormTooEarly(BasicBlock):
    def branch_of(self, x):
        return self.conv2(self.bn2(ops.relu(self.bn1(self.conv1(x)))))


class NoReluInside(BasicBlock):
    def branch_of(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x))))


class ReluBeforeAddition(BasicBlock):
    def forward(self, x):
        return ops.residual_add(x, ops.relu(self.branch_of(x)))


class PlusInstead(BasicBlock):
    def forward(self, x):
        return ops.relu(x + self.branch_of(x))


class AlwaysProjected(ShortcutBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.same, self.projection = False, conv(in_channels, channels, 1, stride)


class NoNormOnShortcut(ShortcutBlock):
    def shortcut_of(self, x):
        return x if self.same else self.projection(x)


class BiasOnShortcut(ShortcutBlock):
    bias = True


class OneNormTwice(BasicBlock):
    def branch_of(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        return self.bn1(self.conv2(y))


class OneConvolutionTwice(BasicBlock):
    def branch_of(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv1(y))


class MadeInForward(BasicBlock):
    def branch_of(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        return self.bn2(conv(x.shape[1], x.shape[1], 3)(y))


class NormFirst(BasicBlock):
    def branch_of(self, x):
        return self.bn2(self.conv2(self.conv1(ops.relu(self.bn1(x)))))


class WhereChannelsDiffer(ShortcutBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.same = in_channels == channels


class WhereStrideIsNotOne(ShortcutBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.same = stride == 1


class ThreeByThreeProjection(ShortcutBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.projection = conv(in_channels, channels, 3, stride)


class StrideInTheSecond(ShortcutBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.conv1, self.conv2 = conv(in_channels, channels, 3), conv(channels, channels, 3, stride)


class TwoConvolutions(nn.Module):
    def __init__(self, channels):
        self.conv1, self.conv2 = conv(4 * channels, 4 * channels, 3), conv(4 * channels, 4 * channels, 3)
        self.bn = nn.BatchNorm2d(4 * channels)

    def forward(self, x):
        return ops.relu(ops.residual_add(x, self.bn(self.conv2(ops.relu(self.conv1(x))))))


class OneNorm(Bottleneck):
    def forward(self, x):
        y = ops.relu(self.conv2(ops.relu(self.conv1(x))))
        return ops.relu(ops.residual_add(x, self.bn3(self.conv3(y))))


class ThreeByThreeFirst(Bottleneck):
    def __init__(self, channels):
        super().__init__(channels)
        self.conv1, self.conv2 = conv(4 * channels, channels, 3), conv(channels, channels, 1)


class NotNarrow(Bottleneck):
    def __init__(self, channels):
        self.conv1, self.conv2, self.conv3 = (conv(4 * channels, 4 * channels, size) for size in (1, 3, 1))
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(4 * channels) for _ in range(3))


RIGHT = {"BasicBlock": BasicBlock, "ShortcutBlock": ShortcutBlock, "Bottleneck": Bottleneck}

WRONG = [
    ({"BasicBlock": NormTooEarly}, "BasicBlock: what the branch adds has not been normalized"),
    ({"BasicBlock": NoReluInside}, "BasicBlock: the order on the branch is wrong"),
    ({"BasicBlock": ReluBeforeAddition}, "BasicBlock: the last thing that happens must be a ReLU"),
    ({"BasicBlock": PlusInstead}, "BasicBlock: there are 0 residual additions"),
    ({"ShortcutBlock": AlwaysProjected}, "ShortcutBlock where shapes stay: there is no identity path"),
    ({"ShortcutBlock": NoNormOnShortcut}, "on the shortcut there is Conv2d, which is not option B"),
    ({"ShortcutBlock": BiasOnShortcut}, "ShortcutBlock where shapes change: a convolution in front of a batch norm"),
    ({"BasicBlock": OneNormTwice}, "BasicBlock: one batch norm is used twice"),
    ({"BasicBlock": OneConvolutionTwice}, "BasicBlock: one convolution is used twice"),
    ({"BasicBlock": MadeInForward}, "BasicBlock: there are weights that parameters"),
    ({"BasicBlock": NormFirst}, "BasicBlock: the branch begins with BatchNorm"),
    (
        {"ShortcutBlock": WhereChannelsDiffer},
        "where the stride alone changes the shape: shortcut and branch have different",
    ),
    ({"ShortcutBlock": WhereStrideIsNotOne}, "where the channels alone change: shortcut and branch have different"),
    ({"ShortcutBlock": ThreeByThreeProjection}, "the convolution on the shortcut is 3×3"),
    ({"ShortcutBlock": StrideInTheSecond}, r"the strides on the branch are \[\(1, 1\), \(2, 2\)\]"),
    ({"Bottleneck": TwoConvolutions}, "Bottleneck: the branch has 2 convolutions"),
    ({"Bottleneck": OneNorm}, "Bottleneck: of batch norms the branch has 1, and should have 3"),
    ({"Bottleneck": ThreeByThreeFirst}, r"Bottleneck: filters of \[3, 1, 1\] pixels"),
    ({"Bottleneck": NotNarrow}, r"Bottleneck: the convolutions give \[8, 8, 8\] channels"),
]
