"""Chapter 15: right and typical wrong answers."""

from minires import models, nn, ops
from minires.learn.answers.chapter_15 import Head, PreActBlock, stage


class SkipBehindNorm(PreActBlock):
    def forward(self, x):
        x = ops.relu(self.bn1(x))
        y = self.conv2(ops.relu(self.bn2(self.conv1(x))))
        return ops.residual_add(x if self.same else self.projection(x), y)


class ReluAfterAddition(PreActBlock):
    def forward(self, x):
        return ops.relu(super().forward(x))


class ProjectionOfX(PreActBlock):
    def forward(self, x):
        y = self.conv2(ops.relu(self.bn2(self.conv1(ops.relu(self.bn1(x))))))
        return ops.residual_add(x if self.same else self.projection(x), y)


class ProjectionBeforeRelu(PreActBlock):
    def forward(self, x):
        normed = self.bn1(x)
        y = self.conv2(ops.relu(self.bn2(self.conv1(ops.relu(normed)))))
        return ops.residual_add(x if self.same else self.projection(normed), y)


class NormOnShortcut(PreActBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        if not self.same:
            self.projection = nn.Sequential(self.projection, nn.BatchNorm2d(channels))


class BiasInProjection(PreActBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        if not self.same:
            self.projection = nn.Conv2d(in_channels, channels, 1, stride)


class AlwaysProjected(PreActBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.same, self.projection = False, nn.Conv2d(in_channels, channels, 1, stride, bias=False)


class WhereChannelsDiffer(PreActBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.same = in_channels == channels


class OriginalOrder(PreActBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.bn2(self.conv2(ops.relu(self.bn1(self.conv1(x)))))
        return ops.residual_add(x if self.same else self.projection(x), y)


class ReluFirst(PreActBlock):
    def forward(self, x):
        activated = self.bn1(ops.relu(x))
        y = self.conv2(self.bn2(ops.relu(self.conv1(activated))))
        return ops.residual_add(x if self.same else self.projection(activated), y)


class ReluAtTheEnd(PreActBlock):
    def forward(self, x):
        activated = ops.relu(self.bn1(x))
        y = ops.relu(self.conv2(self.bn2(self.conv1(activated))))
        return ops.residual_add(x if self.same else self.projection(activated), y)


class OneReluMissing(PreActBlock):
    def forward(self, x):
        activated = ops.relu(self.bn1(x))
        y = self.conv2(self.bn2(self.conv1(activated)))
        return ops.residual_add(x if self.same else self.projection(activated), y)


class OneNormTwice(PreActBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        if in_channels == channels:
            self.bn2 = self.bn1


class StrideInTheSecond(PreActBlock):
    def __init__(self, in_channels, channels, stride):
        super().__init__(in_channels, channels, stride)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)


class NormOfItsOwn(PreActBlock):
    def forward(self, x):
        activated = ops.relu(self.bn1(x))
        y = self.conv2(ops.relu(self.bn2(self.conv1(activated))))
        fresh = nn.BatchNorm2d(x.shape[1])
        return ops.residual_add(x if self.same else self.projection(ops.relu(fresh(x))), y)


class PlusInstead(PreActBlock):
    def forward(self, x):
        activated = ops.relu(self.bn1(x))
        y = self.conv2(ops.relu(self.bn2(self.conv1(activated))))
        return (x if self.same else self.projection(activated)) + y


def one_block_many_times(in_channels, channels, blocks, stride):
    first = models.BasicBlock(in_channels, channels, stride)
    other = models.BasicBlock(channels, channels)
    return nn.Sequential(first, *[other] * (blocks - 1))


def all_the_same(in_channels, channels, blocks, stride):
    if in_channels == channels and stride == 1:
        return nn.Sequential(*[models.BasicBlock(channels, channels)] * blocks)
    return stage(in_channels, channels, blocks, stride)


def stride_everywhere(in_channels, channels, blocks, stride):
    widths = [in_channels, *[channels] * (blocks - 1)]
    return nn.Sequential(*[models.BasicBlock(width, channels, stride) for width in widths])


def one_too_many(in_channels, channels, blocks, stride):
    first = models.BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *[models.BasicBlock(channels, channels) for _ in range(blocks)])


def no_stride(in_channels, channels, blocks, stride):
    return stage(in_channels, channels, blocks, 1)


def narrow(in_channels, channels, blocks, stride):
    return stage(in_channels, in_channels, blocks, stride)


def of_preactivation(in_channels, channels, blocks, stride):
    widths = [in_channels, *[channels] * (blocks - 1)]
    return nn.Sequential(*[PreActBlock(C, channels, stride if not i else 1) for i, C in enumerate(widths)])


class WithSoftmax(Head):
    def forward(self, x):
        return ops.softmax(super().forward(x))


class WithRelu(Head):
    def forward(self, x):
        return ops.relu(super().forward(x))


class Largest(Head):
    def forward(self, x):
        return self.fc(ops.max(x, axis=(2, 3)))


class Summed(Head):
    def forward(self, x):
        return self.fc(ops.sum(x, axis=(2, 3)))


class OnePixel(Head):
    def forward(self, x):
        return self.fc(ops.getitem(x, (slice(None), slice(None), 0, 0)))


class ReluBefore(Head):
    def forward(self, x):
        return self.fc(self.pool(ops.relu(x)))


class ReluBetween(Head):
    def forward(self, x):
        return self.fc(ops.relu(self.pool(x)))


class Flattened(Head):
    def __init__(self, channels, classes):
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels * 36, classes)

    def forward(self, x):
        return self.fc(self.flatten(x))


class OneSize(Head):
    def forward(self, x):
        return self.fc(ops.flatten(ops.avg_pool2d(x, 6)))


class NoBias(Head):
    def __init__(self, channels, classes):
        self.pool, self.fc = nn.GlobalAvgPool2d(), nn.Linear(channels, classes, bias=False)


class MadeInForward(Head):
    def forward(self, x):
        return nn.Linear(x.shape[1], 5)(self.pool(x))


RIGHT = {"PreActBlock": PreActBlock, "stage": stage, "Head": Head}

WRONG = [
    ({"PreActBlock": SkipBehindNorm}, "PreActBlock where shapes stay: the skip begins behind the first norm and ReLU"),
    ({"PreActBlock": ReluAfterAddition}, "PreActBlock where shapes stay: after the addition comes ReLU"),
    ({"PreActBlock": ProjectionOfX}, "PreActBlock where shapes change: the projection takes x as it came"),
    ({"PreActBlock": ProjectionBeforeRelu}, "the projection takes what the first norm gives, before the ReLU"),
    ({"PreActBlock": NormOnShortcut}, "behind the projection stands a norm"),
    ({"PreActBlock": BiasInProjection}, "PreActBlock where shapes change: a convolution has a bias"),
    ({"PreActBlock": AlwaysProjected}, "there is no identity path: BatchNorm ReLU Conv2d stands on the shortcut"),
    ({"PreActBlock": WhereChannelsDiffer}, "where the stride alone changes the shape: shortcut and branch have"),
    ({"PreActBlock": OriginalOrder}, "the branch begins with its convolution"),
    ({"PreActBlock": ReluFirst}, "the ReLU comes before its norm"),
    ({"PreActBlock": ReluAtTheEnd}, "the branch ends in a ReLU"),
    ({"PreActBlock": OneReluMissing}, "on the branch there are 2 norms and 1 ReLUs"),
    ({"PreActBlock": OneNormTwice}, "PreActBlock where shapes stay: one batch norm is used twice"),
    ({"PreActBlock": StrideInTheSecond}, r"the strides on the branch are \[\(1, 1\), \(2, 2\)\]"),
    ({"PreActBlock": NormOfItsOwn}, "the projection has a norm and a ReLU of its own"),
    ({"PreActBlock": PlusInstead}, "there are 0 residual additions"),
    ({"stage": one_block_many_times}, "stage of 3 blocks, .*: 3 blocks, but only 2 with weights of their own"),
    ({"stage": all_the_same}, "stage of 2 blocks, .*: 2 blocks, but only 1 with weights of their own"),
    ({"stage": stride_everywhere}, "stage of 3 blocks, .*: the stride is in later blocks too"),
    ({"stage": one_too_many}, "stage of 2 blocks, .*: there are 3 blocks"),
    ({"stage": no_stride}, "stage of 3 blocks, .*: 6×6 pixels become 6×6"),
    ({"stage": narrow}, "stage of 3 blocks, .*: 8 channels come out"),
    ({"stage": of_preactivation}, "stage of 2 blocks, .*: these are not models.BasicBlocks"),
    ({"Head": WithSoftmax}, "Head for 6×6 pixels: these are probabilities"),
    ({"Head": WithRelu}, "Head for 6×6 pixels: a ReLU behind the linear layer"),
    ({"Head": Largest}, "Head for 6×6 pixels: this is made of the largest number of each channel"),
    ({"Head": Summed}, "Head for 6×6 pixels: this is made of the sum of each channel"),
    ({"Head": OnePixel}, "Head for 6×6 pixels: this is made of one pixel of each channel"),
    ({"Head": ReluBefore}, "Head for 6×6 pixels: a ReLU stands before the mean"),
    ({"Head": ReluBetween}, "Head for 6×6 pixels: a ReLU stands between the mean and the linear layer"),
    ({"Head": Flattened}, r"the linear layer should have one weight \(5, 8\), and 0 are used"),
    ({"Head": OneSize}, "Head for 4×7 pixels: it took 6×6 pixels, and here it stops"),
    ({"Head": NoBias}, "the linear layer should have one bias"),
    ({"Head": MadeInForward}, "the weight is not among parameters"),
]
