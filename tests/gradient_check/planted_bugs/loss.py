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
    says="the mean over the images is forgotten",
)
def batch_size_forgotten(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) * len(labels)


@planted(
    CrossEntropy, "cross_entropy, smoothing 0.1", kernel="cross_entropy_backward", says="label smoothing is ignored"
)
def label_smoothing_forgotten(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, 0.0, ignore_index)


@planted(
    CrossEntropy,
    "cross_entropy, smoothing 0.1, some ignored",
    kernel="cross_entropy_backward",
    says="divided by all N where it should be N",
)
def ignored_labels_counted(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return (
        right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index)
        * (labels != ignore_index).mean()
    )


@planted(
    CrossEntropy,
    "cross_entropy, smoothing 0.1, some ignored",
    kernel="cross_entropy_backward",
    says="an image whose label is ignored gets a gradient",
)
def ignored_labels_pull(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    share = (labels != ignore_index).mean()
    labels = np.where(labels == ignore_index, 0, labels)
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) / share


@planted(CrossEntropy, "cross_entropy", kernel="cross_entropy_backward", says="the sign is wrong")
def label_minus_probability(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return -right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index)


@planted(
    CrossEntropy,
    "cross_entropy",
    kernel="cross_entropy_backward",
    says="what arrives at the loss, grad_loss, is forgotten",
)
def incoming_gradient_ignored(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(np.ones(()), probabilities, labels, label_smoothing, ignore_index)


@planted(MSELoss, "mse_loss", says="the factor 2 of the square is missing")
def two_forgotten(self, grad_loss):
    grad = grad_loss / self.difference.size * self.difference
    return grad, -grad


@planted(MSELoss, "mse_loss", says="not divided by size")
def size_forgotten(self, grad_loss):
    grad = grad_loss * 2 * self.difference
    return grad, -grad


@planted(MSELoss, "mse_loss", says="with respect to target.*\n.*the sign is wrong")
def sign_of_the_target_forgotten(self, grad_loss):
    grad = grad_loss * 2 / self.difference.size * self.difference
    return grad, grad
