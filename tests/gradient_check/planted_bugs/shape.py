"""Reshaping, transposing, padding, cutting and joining."""

import numpy as np

from minires.ops.shape import Concatenate, Getitem, Pad, Reshape, Transpose
from planted_bugs.planting import planted


@planted(Reshape, "reshape", says="the right numbers in the wrong places")
def columns_first(self, grad_y):
    return (grad_y.reshape(self.x_shape, order="F"),)


@planted(Transpose, "transpose", says="the gradient is transposed")
def forward_permutation_again(self, grad_y):
    return (grad_y.transpose(self.axes),)


@planted(Transpose, "transpose, reversed", says="transposed: axes 0 and 1 are swapped")
def reshaped_instead_of_transposed(self, grad_y):
    return (grad_y.reshape(2, 3),)


@planted(Pad, "pad", says="shifted by [+]1 along axis 1")
def cropped_one_column_off(self, grad_y):
    return (grad_y[1:4, 1:5],)


@planted(Concatenate, "concatenate, axis 1", says="with respect to b")
def every_part_from_the_start(self, grad_y):
    return tuple([grad_y[:, :size] for size in self.sizes])


@planted(Concatenate, "concatenate, axis 1", says=r"gradient of shape \(2, 2\) for input 0 of shape \(2, 3\)")
def parts_in_reverse(self, grad_y):
    return grad_y[:, 4:], grad_y[:, 3:4], grad_y[:, :3]


@planted(
    Getitem, "getitem, repeated rows", says="8 of 12 elements are right; the wrong ones are at 2 of 0…2 along axis 0"
)
def assigned_instead_of_added(self, grad_y):
    grad_x = np.zeros(self.x_shape)
    grad_x[self.index] = grad_y
    return (grad_x,)
