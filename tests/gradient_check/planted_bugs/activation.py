"""Activations, softmax and dropout."""

import numpy as np

from minires.ops.activation import ELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from minires.ops.regularization import Dropout
from planted_bugs.planting import planted


@planted(ReLU, "relu", says="all gets through: where r is 0, it does not move with h")
def passes_everything(self, grad_y):
    return (grad_y,)


@planted(ReLU, "relu", kernel="relu_backward")
def passes_the_negative(grad_y, y):
    return np.where(y > 0, 0, grad_y)


@planted(ReLU, "relu", says="backward gave a ndarray instead of a tuple")
def no_tuple(self, grad_y):
    return np.where(self.y > 0, grad_y, 0)


@planted(LeakyReLU, "leaky_relu, slope 0.2", says="the slope below 0 is missing: nothing comes back")
def slope_forgotten(self, grad_y):
    return (np.where(self.x > 0, grad_y, 0),)


@planted(LeakyReLU, "leaky_relu, slope 0.2")
def slope_on_the_other_side(self, grad_y):
    return (np.where(self.x > 0, self.negative_slope * grad_y, grad_y),)


@planted(ELU, "elu, alpha 0.7", says="below 0 this is the value, not the slope")
def alpha_forgotten(self, grad_y):
    return (grad_y * np.where(self.slope == 1, 1, self.slope - self.alpha),)


@planted(ELU, "elu, alpha 0.7", says="numbers are wrong, those marked X")
def derivative_of_the_wrong_side(self, grad_y):
    x = self.inputs[0].data
    return (grad_y * np.where(x > 0, self.alpha * np.exp(x), self.slope),)


@planted(ELU, "selu", says="the scale is missing")
def scale_forgotten(self, grad_y):
    return (grad_y * self.slope / self.scale,)


@planted(ELU, "selu", says="wrote into the gradient it was handed")
def scaled_in_place(self, grad_y):
    grad_y *= self.slope
    return (grad_y,)


@planted(Tanh, "tanh", says="1 − y stands for the slope")
def one_minus_y(self, grad_y):
    return (grad_y * (1 - np.tanh(self.inputs[0].data)),)


@planted(Tanh, "tanh", says="dtype float32 for input 0 of dtype float64")
def another_dtype(self, grad_y):
    return ((grad_y * self.slope).astype(np.float32),)


@planted(Tanh, "tanh", says="changes what forward saved")
def squares_what_it_saved(self, grad_y):
    self.slope *= self.slope
    return (grad_y * self.slope,)


@planted(Sigmoid, "sigmoid", says="y itself stands for the slope")
def one_minus_y_forgotten(self, grad_y):
    return (grad_y * self.y,)


@planted(Softmax, "softmax", says=r"the term of the sum \(y · Σ dy·y\) is missing")
def softmax_sum_forgotten(self, grad_y):
    return (grad_y * self.y,)


@planted(Softmax, "softmax", says="it is 0 everywhere: nothing comes back")
def softmax_gives_zero(self, grad_y):
    return (np.zeros_like(grad_y),)


@planted(Softmax, "softmax, axis 1", says="the sum runs along the wrong axis")
def softmax_sum_over_another_axis(self, grad_y):
    return (self.y * (grad_y - (grad_y * self.y).sum(axis=2, keepdims=True)),)


@planted(LogSoftmax, "log_softmax", says=r"the term of the sum \(softmax · Σ dy\) is missing")
def log_softmax_sum_forgotten(self, grad_y):
    return (grad_y,)


@planted(LogSoftmax, "log_softmax", says="the sum stands alone, without the softmax in front")
def probabilities_forgotten(self, grad_y):
    return (grad_y - grad_y.sum(axis=-1, keepdims=True),)


@planted(Dropout, "dropout, p 0.4", says=r"what was kept is not scaled by 1 / \(1 − p\)")
def kept_not_scaled(self, grad_y):
    return (grad_y * self.kept,)


@planted(Dropout, "dropout, p 0.4", says="what was dropped gets a gradient, too")
def dropped_passes_too(self, grad_y):
    return (grad_y / 0.6,)
