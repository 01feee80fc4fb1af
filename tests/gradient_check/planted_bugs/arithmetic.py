"""Arithmetic, element by element and broadcast."""

import numpy as np

from minires.ops.arithmetic import Abs, Add, Divide, Exp, Log, Multiply, Negative, Power, Sqrt, Subtract, Where
from planted_bugs.planting import planted


@planted(Add, "add, broadcast", says="the forward pass broadcast this input, so its gradient must be summed")
def broadcasting_not_undone(self, grad_y):
    return grad_y, grad_y


@planted(Add, "add, broadcast", says="a mean is taken over what was broadcast, and should be a sum")
def broadcasting_undone_by_a_mean(self, grad_y):
    return grad_y.mean(axis=1, keepdims=True), grad_y.sum(axis=(0, 2)).reshape(self.b_shape)


@planted(Subtract, "subtract", says="with respect to b.*\n.*the sign is wrong")
def sign_of_the_second_forgotten(self, grad_y):
    return grad_y, grad_y


@planted(Multiply, "multiply", says="multiplied by the number itself, where the other factor belongs")
def own_factor_instead_of_the_other(self, grad_y):
    return grad_y * self.a, grad_y * self.b


@planted(Multiply, "multiply", says="backward gave no gradient for input 1")
def second_gradient_forgotten(self, grad_y):
    return grad_y * self.b, None


@planted(Divide, "divide", says="with respect to b.*\n.*the sign is wrong")
def sign_of_the_denominator_forgotten(self, grad_y):
    return grad_y / self.b, grad_y * self.y / self.b


@planted(Divide, "divide", says="b is not squared in the denominator")
def denominator_not_squared(self, grad_y):
    return grad_y / self.b, -grad_y * self.y


@planted(Power, "power", says="with respect to a.*\n.*the exponent is not lowered")
def exponent_not_lowered(self, grad_y):
    return grad_y * self.b * self.y, grad_y * self.y * np.log(self.a)


@planted(Power, "power, tensor ** 3", says="the exponent does not come down in front")
def exponent_not_brought_down(self, grad_y):
    return grad_y * self.a ** (self.b - 1), None


@planted(Power, "power, 2 ** tensor", says="the factor log a is missing")
def logarithm_forgotten(self, grad_y):
    return None, grad_y * self.y


@planted(Negative, "negative", says="the sign is wrong")
def not_negated(self, grad_y):
    return (grad_y,)


@planted(Negative, "negative", says="this is twice what it should be: counted twice")
def added_twice(self, grad_y):
    return (-(grad_y + grad_y),)


@planted(Exp, "exp", says="all gets through: the slope is missing")
def exp_forgotten(self, grad_y):
    return (grad_y,)


@planted(Log, "log", says="divided by the slope, and should be multiplied")
def log_multiplies(self, grad_y):
    return (grad_y * self.x,)


@planted(Sqrt, "sqrt", says="this is twice what it should be")
def one_half_forgotten(self, grad_y):
    return (grad_y / self.y,)


@planted(Sqrt, "sqrt", says="numbers are not finite")
def not_a_number(self, grad_y):
    return (grad_y * np.nan,)


@planted(Abs, "abs", says="the sign of x is forgotten")
def sign_forgotten(self, grad_y):
    return (grad_y,)


@planted(Where, "where", says="the sides are exchanged")
def masks_swapped(self, grad_y):
    return np.where(self.condition, 0, grad_y), np.where(self.condition, grad_y, 0)


@planted(Where, "where", says="the condition is forgotten")
def mask_forgotten(self, grad_y):
    return grad_y, grad_y
