"""Residual networks for small pictures: chapter 12. He et al. 2015, section 4.2."""

import numpy as np

from .conv import Conv2d, Pool
from .init import initialize
from .layers import Activation, Linear, Module, Sequential
from .norm import BatchNorm2d
from .residual import OptionA, ResidualAdd

# Chapter 12: blocks, stages, a network
# -------------------------------------


class BasicBlock(Module):
    """relu(shortcut + bn2(conv2(relu(bn1(conv1(x)))))); the shortcut is x itself, or option A where shapes change."""

    def __init__(self, C, F, stride, rng):
        self.conv1, self.bn1 = Conv2d(C, F, 3, rng, stride), BatchNorm2d(F)
        self.conv2, self.bn2 = Conv2d(F, F, 3, rng), BatchNorm2d(F)
        self.relu = Activation()
        self.F, self.same_shape = F, stride == 1 and C == F

    def __call__(self, x):
        # gap: the docstring, line by line; ResidualAdd()(shortcut, branch) adds
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        shortcut = x if self.same_shape else OptionA(self.F)(x)
        return self.relu(ResidualAdd()(shortcut, branch))
        # end of gap


class ResNet(Module):
    """A convolution, three stages of n blocks with 16, 32 and 64 channels, the mean of each channel, a linear layer.

    The second and the third stage begin with a block of stride 2. There are 6 n + 2 layers: n = 3 is ResNet-20.
    """

    def __init__(self, n=3, channels=1, classes=10, seed=0):
        rng = np.random.default_rng(seed)
        self.conv1, self.bn1, self.relu = Conv2d(channels, 16, 3, rng), BatchNorm2d(16), Activation()
        blocks = []
        # gap: put the 3 n blocks into the list, in order: BasicBlock(C, F, stride, rng)
        C = 16
        for F in (16, 32, 64):
            for i in range(n):
                stride = 2 if i == 0 and F > 16 else 1
                blocks.append(BasicBlock(C, F, stride, rng))
                C = F
        # end of gap
        self.blocks = Sequential(*blocks)
        self.pool, self.fc = Pool(), Linear(64, classes, rng)
        initialize(self, seed)

    def __call__(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(self.pool(self.blocks(x)))
