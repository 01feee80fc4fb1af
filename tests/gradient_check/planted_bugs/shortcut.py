"""The residual add and option A."""

import numpy as np

from minires.ops.shortcut import OptionA, ResidualAdd
from planted_bugs.planting import planted


@planted(ResidualAdd, "residual_add", says="with respect to branch.*\n.*it is 0 everywhere")
def branch_forgotten(self, grad_y):
    return grad_y, np.zeros_like(grad_y)


@planted(ResidualAdd, "residual_add, x + tanh x", says="the culprit is the backward of ResidualAdd .* input 0")
def shortcut_forgotten(self, grad_y):
    return np.zeros_like(grad_y), grad_y


@planted(ResidualAdd, "residual_add", says="wrote into the gradient it was handed")
def shared_gradient_written(self, grad_y):
    grad_branch = grad_y
    grad_branch *= 0.5
    return grad_y, grad_branch


@planted(ResidualAdd, "residual_add", says="this is half of what it should be")
def gradient_split_in_halves(self, grad_y):
    return grad_y / 2, grad_y / 2


@planted(OptionA, "option_a, stride 2", kernel="option_a_backward", says="half of the zeros stand in front")
def zero_channels_behind_only(grad_y, x_shape, stride):
    grad_x = np.zeros(x_shape)
    grad_x[:, :, ::stride, ::stride] = grad_y[:, : x_shape[1]]
    return grad_x


@planted(OptionA, "option_a, stride 2", kernel="option_a_backward", says="the stride is ignored")
def packed_into_the_corner(grad_y, x_shape, stride):
    grad_x = np.zeros(x_shape)
    grad_x[:, :, : grad_y.shape[2], : grad_y.shape[3]] = grad_y[:, 1 : 1 + x_shape[1]]
    return grad_x


@planted(OptionA, "option_a, stride 2", kernel="option_a_backward", says="pixels that were never copied")
def spread_over_the_neighbours(grad_y, x_shape, stride):
    grown = grad_y[:, 1 : 1 + x_shape[1]].repeat(2, axis=2).repeat(2, axis=3)
    return np.ascontiguousarray(grown[:, :, : x_shape[2], : x_shape[3]])
