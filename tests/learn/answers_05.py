"""Chapter 5: right and typical wrong answers."""

import numpy as np


def linear_backward(grad_y, x, weight):
    return grad_y @ weight, grad_y.T @ x, grad_y.sum(axis=0)


def cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / K)
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def bias_mean(grad_y, x, weight):
    return grad_y @ weight, grad_y.T @ x, grad_y.mean(axis=0)


def weight_mean(grad_y, x, weight):
    return grad_y @ weight, grad_y.T @ x / len(x), grad_y.sum(axis=0)


def weight_transposed(grad_y, x, weight):
    return grad_y @ weight, x.T @ grad_y, grad_y.sum(axis=0)


def bias_of_the_wrong_axis(grad_y, x, weight):
    return grad_y @ weight, grad_y.T @ x, grad_y.sum(axis=1)


def two_gradients(grad_y, x, weight):
    return grad_y @ weight, grad_y.T @ x


def without_mean(grad_loss, probabilities, labels, label_smoothing):
    return cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing) * len(labels)


def without_smoothing(grad_loss, probabilities, labels, label_smoothing):
    return cross_entropy_backward(grad_loss, probabilities, labels, 0)


def label_without_its_share(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / K)
    q[np.arange(N), labels] = 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def logarithm_alone(grad_loss, probabilities, labels, label_smoothing):
    q = probabilities - len(labels) * cross_entropy_backward(1, probabilities, labels, label_smoothing)
    return -grad_loss * q / probabilities / len(labels)


def sign(grad_loss, probabilities, labels, label_smoothing):
    return -cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing)


def float64(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.eye(K)[labels] * (1 - label_smoothing) + label_smoothing / K
    return grad_loss * (probabilities - q) / N


def grad_loss_forgotten(grad_loss, probabilities, labels, label_smoothing):
    return cross_entropy_backward(1, probabilities, labels, label_smoothing)


RIGHT = {"linear_backward": linear_backward, "cross_entropy_backward": cross_entropy_backward}

WRONG = [
    ({"linear_backward": bias_mean}, "linear_backward: the bias's gradient is a mean"),
    ({"linear_backward": weight_mean}, "linear_backward: the weight's gradient is divided by N"),
    ({"linear_backward": weight_transposed}, r"the gradient of weight has shape \(5, 3\)"),
    ({"linear_backward": bias_of_the_wrong_axis}, r"the gradient of bias has shape \(4,\), and should have \(3,\)"),
    ({"linear_backward": two_gradients}, "gives back 2 gradients, and should give 3"),
    ({"cross_entropy_backward": without_mean}, "smoothing 0.0: the mean over the images is forgotten"),
    ({"cross_entropy_backward": without_smoothing}, "smoothing 0.1: label smoothing is ignored"),
    (
        {"cross_entropy_backward": label_without_its_share},
        "smoothing 0.1: the label keeps 1 − s, but it gets its share",
    ),
    ({"cross_entropy_backward": logarithm_alone}, "this is −q/p, the gradient of the logarithm alone"),
    ({"cross_entropy_backward": sign}, "the sign is wrong"),
    ({"cross_entropy_backward": float64}, "right in float64, but for float32 arrays"),
    ({"cross_entropy_backward": grad_loss_forgotten}, "what arrives at the loss, grad_loss, is forgotten"),
]
