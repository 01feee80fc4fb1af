"""Chapter 8: right and typical wrong answers."""

from types import SimpleNamespace

import numpy as np

from minires.learn.answers.chapter_08 import AXES, batch_norm_backward, spread


def with_terms(mean_term, var_term, scale=True, gamma=True):
    """A backward whose dL/dx subtracts the two sums times these numbers of 1/M, times N, M and so on."""

    def backward(grad_y, x, weight, mean, var, eps):
        _, grad_weight, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
        inv_std = spread(1 / np.sqrt(var + eps))
        x_hat = (x - spread(mean)) * inv_std
        N, M = x.shape[0], x.size // x.shape[1]
        grad_x = grad_y - spread(grad_bias) * mean_term(N, M) - x_hat * spread(grad_weight) * var_term(N, M)
        if scale:
            grad_x = grad_x * inv_std
        if gamma:
            grad_x = grad_x * spread(weight)
        return grad_x, grad_weight, grad_bias

    return backward


def none(N, M):
    return 0.0


def right(N, M):
    return 1.0 / M


def by_images(N, M):
    return 1.0 / N


def whole_sum(N, M):
    return 1.0


def unbiased(N, M):
    return 1.0 / (M - 1)


def minus(N, M):
    return -1.0 / M


def with_parts(**changes):
    """A backward whose dL/dx has something else in the place of factor, product, inv_std or M."""

    def backward(grad_y, x, weight, mean, var, eps):
        grads = batch_norm_backward(grad_y, x, weight, mean, var, eps)
        p = SimpleNamespace(grad_y=grad_y, x=x, mean=spread(mean), var=spread(var), eps=eps, M=x.size // x.shape[1])
        p.inv_std = 1 / np.sqrt(p.var + eps)
        p.x_hat = (x - p.mean) * p.inv_std
        p.factor, p.product = p.x_hat, grad_y * p.x_hat
        for name, change in changes.items():
            setattr(p, name, change(p))
        last = p.factor * p.product.sum(AXES, keepdims=True) / p.M
        grad_x = spread(weight) * p.inv_std * (grad_y - grad_y.sum(AXES, keepdims=True) / p.M - last)
        return grad_x, *grads[1:]

    return backward


def eps_outside(grad_y, x, weight, mean, var, eps):
    grad_x, _, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, (grad_y * (x - spread(mean)) / (spread(np.sqrt(var)) + eps)).sum(AXES), grad_bias


def x_minus_mean(grad_y, x, weight, mean, var, eps):
    grad_x, _, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, (grad_y * (x - spread(mean))).sum(AXES), grad_bias


def x_for_x_hat(grad_y, x, weight, mean, var, eps):
    grad_x, _, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, (grad_y * x).sum(axis=AXES), grad_bias


def eps_forgotten(grad_y, x, weight, mean, var, eps):
    return batch_norm_backward(grad_y, x, weight, mean, var, 0.0)


def mean_for_sum(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, grad_weight, grad_bias / (x.size // x.shape[1])


def wrong_sign(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, -grad_weight, grad_bias


def writes_into_grad_y(grad_y, x, weight, mean, var, eps):
    grads = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    grad_y -= spread(grad_y.mean(axis=AXES))
    return grads


def grad_x_alone(grad_y, x, weight, mean, var, eps):
    return batch_norm_backward(grad_y, x, weight, mean, var, eps)[0]


RIGHT = {"batch_norm_backward": batch_norm_backward}

WRONG = [
    ({"batch_norm_backward": answer}, says)
    for answer, says in [
        (with_terms(none, right), "the mean's term .* is missing"),
        (with_terms(right, none), "dL/dx: the variance's term .* is missing"),
        (with_terms(none, none), "mean and variance are taken for constants"),
        (with_terms(right, right, gamma=False), "the factor weight is missing"),
        (with_terms(right, right, scale=False), r"the factor 1/√\(var \+ eps\) is missing"),
        (
            with_terms(by_images, by_images),
            r"the mean's term .* and the variance's .*: divided by N where it should be M",
        ),
        (with_terms(whole_sum, whole_sum), "not divided by M"),
        (with_terms(unbiased, unbiased), "divided by M − 1 where it should be M"),
        (x_for_x_hat, "dL/dweight: x is taken for x̂"),
        (eps_forgotten, "dL/dweight: eps is missing"),
        (mean_for_sum, "dL/dbias: divided by M once too often"),
        (wrong_sign, "dL/dweight: the sign is wrong"),
        (with_terms(right, minus), r"dL/dx: the variance's term .*: the sign is wrong"),
        (with_terms(minus, right), r"dL/dx: the mean's term \(Σ dy / M\): the sign is wrong"),
        (with_terms(right, by_images), r"dL/dx: the variance's term .*: divided by N where it should be M"),
        (with_parts(factor=lambda p: p.x), "x stands for x̂, where the last term multiplies"),
        (with_parts(factor=lambda p: 1.0), "a mean, not yet multiplied by x̂"),
        (with_parts(inv_std=lambda p: p.inv_std**2), "is there twice .inv_std²"),
        (with_parts(M=lambda p: p.x.size), "divided by x.size where it should be M"),
        (eps_outside, "dL/dweight: eps is added to the root in x̂"),
        (with_parts(inv_std=lambda p: 1 / (np.sqrt(p.var) + p.eps)), "eps is added to the root in the factor"),
        (x_minus_mean, "dL/dweight: x − mean is taken for x̂"),
        (with_parts(product=lambda p: p.grad_y), "the last term's sum lacks the factor x̂"),
        (with_parts(product=lambda p: p.grad_y * p.x), "x stands for x̂ in the last term's sum"),
        (writes_into_grad_y, "writes into the gradient it was handed"),
        (grad_x_alone, "gives back three gradients"),
    ]
]
