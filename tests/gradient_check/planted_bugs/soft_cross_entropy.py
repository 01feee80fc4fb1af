"""Soft labels, weights of classes."""

from minires.ops.soft_cross_entropy import SoftCrossEntropy
from planted_bugs.planting import planted


@planted(SoftCrossEntropy, "cross_entropy, weight", says="the probabilities are not multiplied by Σ t")
def mass_forgotten(self, grad_losses):
    """Right where the targets sum to 1: not with weights."""
    return (grad_losses[:, None] * (self.probabilities - self.targets),)


@planted(SoftCrossEntropy, "cross_entropy, none", says="the probabilities are not multiplied by Σ t")
def mass_forgotten_of_the_ignored(self, grad_losses):
    return (grad_losses[:, None] * (self.probabilities - self.targets),)


@planted(SoftCrossEntropy, "cross_entropy, none, soft labels, weight")
def gradient_of_the_first_image_for_all(self, grad_losses):
    mass = self.targets.sum(axis=1, keepdims=True)
    return (grad_losses[:1, None] * (self.probabilities * mass - self.targets),)


@planted(SoftCrossEntropy, "cross_entropy, soft labels", says="the sign is wrong")
def label_minus_probability(self, grad_losses):
    mass = self.targets.sum(axis=1, keepdims=True)
    return (grad_losses[:, None] * (self.targets - self.probabilities * mass),)


@planted(SoftCrossEntropy, "cross_entropy, soft labels")
def labels_taken_for_hard(self, grad_losses):
    hard = (self.targets == self.targets.max(axis=1, keepdims=True)).astype(self.targets.dtype)
    return (grad_losses[:, None] * (self.probabilities - hard),)
