"""Stochastic gradient descent with momentum: chapter 5."""

import numpy as np

# Chapter 5: a step downhill
# --------------------------


class SGD:
    """v ← momentum · v + grad + weight_decay · w, then w ← w − lr · v, for every weight w; v begins at 0."""

    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters, self.lr, self.momentum, self.weight_decay = parameters, lr, momentum, weight_decay
        self.velocities = [np.zeros_like(parameter.data) for parameter in parameters]

    def step(self):
        for i, parameter in enumerate(self.parameters):
            # gap: the two assignments of the docstring, into self.velocities[i] and parameter.data
            grad = parameter.grad + self.weight_decay * parameter.data
            self.velocities[i] = self.momentum * self.velocities[i] + grad
            parameter.data = parameter.data - self.lr * self.velocities[i]
            # end of gap

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None
