"""The residual add, and a shortcut without weights: chapter 11."""

import numpy as np

from .tensor import Op

# Chapter 11: where two paths meet
# --------------------------------


class ResidualAdd(Op):
    """y = shortcut + branch, both of one shape."""

    def forward(self, shortcut, branch):
        if shortcut.shape != branch.shape:
            raise ValueError(f"the shortcut is {shortcut.shape}, the branch {branch.shape}; nothing is stretched here")
        return shortcut + branch

    def backward(self, grad_y):
        # gap: what arrives at the two ends
        return grad_y, grad_y
        # end of gap


class OptionA(Op):
    """Every second pixel of x (N, C, H, W), and zeros for the channels that are missing up to F: half in front."""

    def __init__(self, F):
        self.F = F

    def forward(self, x):
        self.x_shape = x.shape
        N, C, H, W = x.shape
        front = (self.F - C) // 2
        # gap: y (N, F, ⌈H/2⌉, ⌈W/2⌉)
        y = np.zeros((N, self.F, (H + 1) // 2, (W + 1) // 2), x.dtype)
        y[:, front : front + C] = x[:, :, ::2, ::2]
        return y
        # end of gap

    def backward(self, grad_y):
        N, C, H, W = self.x_shape
        front = (self.F - C) // 2
        # gap: dL/dx (N, C, H, W), a tuple of one; the pixels that were left out get 0
        grad_x = np.zeros(self.x_shape, grad_y.dtype)
        grad_x[:, :, ::2, ::2] = grad_y[:, front : front + C]
        return (grad_x,)
        # end of gap
