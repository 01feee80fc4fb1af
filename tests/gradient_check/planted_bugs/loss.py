"""Losses."""

import numpy as np

from minires.kernels import numpy_kernels
from minires.ops.loss import CrossEntropy, MSELoss
from planted_bugs.planting import planted

right_cross_entropy = numpy_kernels.cross_entropy_backward


@planted(
    CrossEntropy,
    "cross_entropy",
    kernel="cross_entropy_backward",
    says="5 times the gradient: a factor 1/5 is missing .5 is the size of the argument's axis 0",
)
def batch_size_forgotten(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) * 5


@planted(CrossEntropy, "cross_entropy, smoothing 0.1", kernel="cross_entropy_backward")
def label_smoothing_forgotten(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, 0.0, ignore_index)


@planted(
    CrossEntropy,
    "cross_entropy, smoothing 0.1, some ignored",
    kernel="cross_entropy_backward",
    says=r"0\.6 times the gradient: a constant factor",
)
def ignored_labels_counted(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) * 3 / 5


@planted(
    CrossEntropy,
    "cross_entropy, smoothing 0.1, some ignored",
    kernel="cross_entropy_backward",
    says="12 of 20 elements are right.*the wrong ones are at 1, 3 of 0…4 along axis 0",
)
def ignored_labels_pull(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    labels = np.where(labels == ignore_index, 0, labels)
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) * 5 / 3


@planted(CrossEntropy, "cross_entropy", kernel="cross_entropy_backward", says="the sign is wrong")
def label_minus_probability(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return -right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index)


@planted(
    CrossEntropy,
    "cross_entropy",
    kernel="cross_entropy_backward",
    says="times the gradient: a constant factor is wrong",
)
def incoming_gradient_ignored(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(np.ones(()), probabilities, labels, label_smoothing, ignore_index)


@planted(MSELoss, "mse_loss", says="1/2 of the gradient: a factor 2 is missing")
def two_forgotten(self, grad_loss):
    grad = grad_loss / self.difference.size * self.difference
    return grad, -grad


@planted(MSELoss, "mse_loss", says="12 times the gradient")
def size_forgotten(self, grad_loss):
    grad = grad_loss * 2 * self.difference
    return grad, -grad


@planted(MSELoss, "mse_loss", says="with respect to target.*\n.*the sign is wrong")
def sign_of_the_target_forgotten(self, grad_loss):
    grad = grad_loss * 2 / self.difference.size * self.difference
    return grad, grad
