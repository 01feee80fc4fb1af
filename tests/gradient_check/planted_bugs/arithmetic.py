"""Arithmetic, element by element and broadcast."""

import numpy as np

from minires.ops.arithmetic import Abs, Add, Divide, Exp, Log, Multiply, Negative, Power, Sqrt, Subtract, Where
from planted_bugs.planting import planted


@planted(Add, "add, broadcast", says="the forward pass broadcast this input, so its gradient must be summed")
def broadcasting_not_undone(self, grad_y):
    return grad_y, grad_y


@planted(Add, "add, broadcast", says="1/3 of the gradient: a factor 3 is missing")
def broadcasting_undone_by_a_mean(self, grad_y):
    return grad_y.mean(axis=1, keepdims=True), grad_y.sum(axis=(0, 2)).reshape(self.b_shape)


@planted(Subtract, "subtract", says="with respect to b.*\n.*the sign is wrong")
def sign_of_the_second_forgotten(self, grad_y):
    return grad_y, grad_y


@planted(Multiply, "multiply")
def own_factor_instead_of_the_other(self, grad_y):
    return grad_y * self.a, grad_y * self.b


@planted(Multiply, "multiply", says="backward gave no gradient for input 1")
def second_gradient_forgotten(self, grad_y):
    return grad_y * self.b, None


@planted(Divide, "divide", says="with respect to b.*\n.*the sign is wrong")
def sign_of_the_denominator_forgotten(self, grad_y):
    return grad_y / self.b, grad_y * self.y / self.b


@planted(Divide, "divide")
def denominator_not_squared(self, grad_y):
    return grad_y / self.b, -grad_y * self.y


@planted(Power, "power", says="with respect to a.*\n.*there is a factor too many: the argument")
def exponent_not_lowered(self, grad_y):
    return grad_y * self.b * self.y, grad_y * self.y * np.log(self.a)


@planted(Power, "power, tensor ** 3", says="1/3 of the gradient: a factor 3 is missing")
def exponent_not_brought_down(self, grad_y):
    return grad_y * self.a ** (self.b - 1), None


@planted(Power, "power, 2 ** tensor", says=r"backward gives 1\.4427 times the gradient")
def logarithm_forgotten(self, grad_y):
    return None, grad_y * self.y


@planted(Negative, "negative", says="the sign is wrong")
def not_negated(self, grad_y):
    return (grad_y,)


@planted(Negative, "negative", says="2 times the gradient: a factor 1/2 is missing, or it was added twice")
def added_twice(self, grad_y):
    return (-(grad_y + grad_y),)


@planted(Exp, "exp", says="a factor is missing: the output")
def exp_forgotten(self, grad_y):
    return (grad_y,)


@planted(Log, "log")
def log_multiplies(self, grad_y):
    return (grad_y * self.x,)


@planted(Sqrt, "sqrt", says="2 times the gradient")
def one_half_forgotten(self, grad_y):
    return (grad_y / self.y,)


@planted(Sqrt, "sqrt", says="not finite at 12 of 12")
def not_a_number(self, grad_y):
    return (grad_y * np.nan,)


@planted(Abs, "abs", says="at the others the sign is wrong")
def sign_forgotten(self, grad_y):
    return (grad_y,)


@planted(Where, "where")
def masks_swapped(self, grad_y):
    return np.where(self.condition, 0, grad_y), np.where(self.condition, grad_y, 0)


@planted(Where, "where", says="elements are right")
def mask_forgotten(self, grad_y):
    return grad_y, grad_y
