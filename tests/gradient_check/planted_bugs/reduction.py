"""Sums, means and maxima over axes."""

import numpy as np

from minires.ops.reduction import Max, Mean, Sum, Var
from planted_bugs.planting import planted


@planted(Sum, "sum, axis 1", says="divided by n once too often: this is 1/n times")
def sum_divided(self, grad_y):
    return (self.spread(grad_y / self.x_shape[1], self.x_shape),)


@planted(Sum, "sum, all", says=r"gradient of shape \(\) for input 0 of shape \(3, 4\)")
def sum_not_spread(self, grad_y):
    return (grad_y,)


@planted(
    Mean,
    "mean, all",
    says="not divided by n: this is n times",
)
def one_over_n_forgotten(self, grad_y):
    return (self.spread(grad_y, self.x_shape),)


@planted(Mean, "mean, axis 1", says="divided by x.size where it should be n")
def divided_by_the_whole_size(self, grad_y):
    return (self.spread(grad_y / np.prod(self.x_shape), self.x_shape),)


@planted(Max, "max, axis 1", says="numbers are wrong, those marked X")
def all_to_the_last(self, grad_y):
    grad_x = np.zeros(self.is_max.shape)
    grad_x[:, -1] = grad_y
    return (grad_x,)


@planted(Max, "max, ties", says="the worst at all elements moved together")
def all_of_it_to_every_tie(self, grad_y):
    return (grad_y[:, None] * self.is_max,)


@planted(Var, "var, all", says="this is n/2 times|this is 6 times")
def two_over_n_forgotten(self, grad_y):
    return (grad_y * self.centred,)


@planted(Var, "var, axes 0 and −1, keepdims", says="the mean's term .* is missing")
def mean_not_subtracted(self, grad_y):
    return (self.spread(grad_y, self.centred.shape) * 2 / self.count(self.centred.shape) * self.inputs[0].data,)


@planted(Var, "var, all", says="divided by n − 1 where it should be n")
def n_minus_one(self, grad_y):
    return (grad_y * 2 / (self.centred.size - 1) * self.centred,)
