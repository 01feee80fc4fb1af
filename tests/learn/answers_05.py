"""Chapter 5: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_05 import cross_entropy_backward, linear_backward


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


def float64_of_full(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full((N, K), label_smoothing / K)
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def over_K(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    return cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing) * N / K


def over_K_minus_1(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / (K - 1))
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def others_share(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / (K - 1))
    q[np.arange(N), labels] = 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def label_keeps_all(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / K)
    q[np.arange(N), labels] += 1
    return grad_loss * (probabilities - q) / N


def plus(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, -label_smoothing / K)
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities + q) / N


def first_image(grad_loss, probabilities, labels, label_smoothing):
    grad = cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing)
    grad[1:] = 0
    return grad


def first_of_the_batch(grad_y, x, weight):
    return grad_y @ weight, grad_y[:1].T @ x[:1], grad_y.sum(axis=0)


RIGHT = {"linear_backward": linear_backward, "cross_entropy_backward": cross_entropy_backward}

WRONG = [
    ({"linear_backward": bias_mean}, "gradient of bias: a mean over the images"),
    ({"linear_backward": weight_mean}, "gradient of weight: divided by N: it is a mean"),
    ({"linear_backward": weight_transposed}, r"the gradient of weight has shape \(6, 4\)"),
    ({"linear_backward": bias_of_the_wrong_axis}, r"the gradient of bias has shape \(5,\), and should have \(4,\)"),
    ({"linear_backward": two_gradients}, "gives back 2 gradients, and should give 3"),
    ({"cross_entropy_backward": without_mean}, "smoothing 0.1: the mean over the images is forgotten"),
    ({"cross_entropy_backward": without_smoothing}, "smoothing 0.1: label smoothing is ignored"),
    (
        {"cross_entropy_backward": label_without_its_share},
        "smoothing 0.1: the label keeps 1 − s, but it gets its share",
    ),
    ({"cross_entropy_backward": logarithm_alone}, "this is −q/p, the gradient of the logarithm alone"),
    ({"cross_entropy_backward": sign}, "the gradient of the loss's opposite: the sign is wrong"),
    ({"cross_entropy_backward": float64}, r"here float64 arises\n +line \d+, `q = np\.eye"),
    ({"cross_entropy_backward": float64_of_full}, r"here float64 arises\n +line \d+, `q = np\.full\("),
    ({"cross_entropy_backward": over_K}, "divided by K where it should be N"),
    ({"cross_entropy_backward": over_K_minus_1}, r"s / K, the share of every class: divided by K − 1 where"),
    ({"cross_entropy_backward": others_share}, "s is shared among the K − 1 other classes"),
    ({"cross_entropy_backward": label_keeps_all}, "the label keeps all of its 1"),
    ({"cross_entropy_backward": plus}, "the 1 − s of the label: the sign is wrong"),
    ({"cross_entropy_backward": first_image}, "only the first place along axis 0 is filled"),
    ({"linear_backward": first_of_the_batch}, "gradient of weight: only the first image of the batch counts"),
    ({"cross_entropy_backward": grad_loss_forgotten}, "what arrives at the loss, grad_loss, is forgotten"),
]
