"""Modules, which hold weights; the linear layer, and the loss: chapter 5."""

import numpy as np

from .tensor import Op, ReLU, Reshape, Tensor

# Chapter 5: layers and a loss
# ----------------------------


class Module:
    """Something with weights: tensors, and modules, alone or in lists, as its attributes."""

    training = True

    def parameters(self):
        """List the tensors that are trained, in the order in which they were made."""
        return [value for value in self.walk() if isinstance(value, Tensor)]

    def modules(self):
        return [self, *[value for value in self.walk() if isinstance(value, Module)]]

    def walk(self):
        found = []
        for value in vars(self).values():
            for one in value if isinstance(value, list) else [value]:
                found.append(one)
                found += one.walk() if isinstance(one, Module) else []
        return found

    def train(self, training=True):
        for module in self.modules():
            module.training = training


class Sequential(Module):
    def __init__(self, *layers):
        self.layers = list(layers)

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Linear(Module):
    """y = x @ weight + bias for x (N, C), weight (C, F), bias (F,)."""

    def __init__(self, C, F, rng):
        self.weight = Tensor((rng.standard_normal((C, F)) / C**0.5).astype(np.float32))
        self.bias = Tensor(np.zeros(F, np.float32))

    def __call__(self, x):
        # gap: y, with the operators that tensors have
        return x @ self.weight + self.bias
        # end of gap


class Flatten(Module):
    def __call__(self, x):
        return Reshape(len(x.data), -1)(x)


class Activation(Module):
    def __call__(self, x):
        return ReLU()(x)


class CrossEntropy(Op):
    """L = −Σₙ log p[n, labelₙ] / N, where p = softmax(logits), (N, K)."""

    def __init__(self, labels):
        self.labels = labels

    def forward(self, logits):
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self.p = np.exp(log_p)
        return -log_p[np.arange(len(logits)), self.labels].mean()

    def backward(self, grad_loss):
        # gap: dL/dlogits (N, K), a tuple of one: what was said minus what should have been said, over N
        grad = self.p.copy()
        grad[np.arange(len(grad)), self.labels] -= 1
        return (grad_loss * grad / len(grad),)
        # end of gap
