"""Reshaping, transposing, padding, cutting and joining."""

import numpy as np

from minires.ops.shape import Concatenate, Getitem, Pad, Reshape, Transpose
from planted_bugs.planting import planted


@planted(Reshape, "reshape", says="the numbers are read column by column")
def columns_first(self, grad_y):
    return (grad_y.reshape(self.x_shape, order="F"),)


@planted(Transpose, "transpose", says="the gradient is transposed")
def forward_permutation_again(self, grad_y):
    return (grad_y.transpose(self.axes),)


@planted(Transpose, "transpose, reversed", says="transposed|reshaped, where a transpose belongs")
def reshaped_instead_of_transposed(self, grad_y):
    return (grad_y.reshape(2, 3),)


@planted(Pad, "pad", says="with respect to x")
def cropped_one_column_off(self, grad_y):
    rows, columns = self.inside
    return (grad_y[rows, columns.start - 1 : columns.stop - 1],)


@planted(Concatenate, "concatenate, axis 1", says="respect to b.*\n.*every part is cut out from the start on")
def every_part_from_the_start(self, grad_y):
    return tuple([grad_y[:, :size] for size in self.sizes])


@planted(Concatenate, "concatenate, axis 1", says=r"gradient of shape \(2, 2\) for input 0 of shape \(2, 3\)")
def parts_in_reverse(self, grad_y):
    return grad_y[:, 4:], grad_y[:, 3:4], grad_y[:, :3]


@planted(Getitem, "getitem, repeated rows", says="assigned, and should be added")
def assigned_instead_of_added(self, grad_y):
    grad_x = np.zeros(self.x_shape)
    grad_x[self.index] = grad_y
    return (grad_x,)
