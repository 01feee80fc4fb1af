"""Sums, means and maxima over axes."""

import numpy as np

from minires.ops.reduction import Max, Mean, Sum, Var
from planted_bugs.planting import planted


@planted(Sum, "sum, axis 1", says="1/4 of the gradient: a factor 4 is missing .4 is the size of the argument's axis 1.")
def sum_divided(self, grad_y):
    return (self.spread(grad_y / 4, self.x_shape),)


@planted(Sum, "sum, all", says=r"gradient of shape \(\) for input 0 of shape \(3, 4\)")
def sum_not_spread(self, grad_y):
    return (grad_y,)


@planted(
    Mean,
    "mean, all",
    says="12 times the gradient: a factor 1/12 is missing .12 is the size of the argument's axes 0 and 1",
)
def one_over_n_forgotten(self, grad_y):
    return (self.spread(grad_y, self.x_shape),)


@planted(Mean, "mean, axis 1", says="1/6 of the gradient: a factor 6 is missing .* axes 0 and 2")
def divided_by_the_whole_size(self, grad_y):
    return (self.spread(grad_y / 24, self.x_shape),)


@planted(Max, "max, axis 1", says="the right numbers in the wrong places")
def all_to_the_last(self, grad_y):
    grad_x = np.zeros(self.is_max.shape)
    grad_x[:, -1] = grad_y
    return (grad_x,)


@planted(Max, "max, ties", says="the worst at all elements moved together")
def all_of_it_to_every_tie(self, grad_y):
    return (grad_y[:, None] * self.is_max,)


@planted(Var, "var, all", says="6 times the gradient: a factor 1/6 is missing")
def two_over_n_forgotten(self, grad_y):
    return (grad_y * self.centred,)


@planted(Var, "var, axes 0 and −1, keepdims", says="off by a constant, as when a mean")
def mean_not_subtracted(self, grad_y):
    return (grad_y * 2 / 6 * self.inputs[0].data,)


@planted(Var, "var, all", says=r"1\.09091 times the gradient")
def n_minus_one(self, grad_y):
    return (grad_y * 2 / 11 * self.centred,)
