"""Chapter 17: right and typical wrong answers."""

import math

import numpy as np

from minires.learn.answers.chapter_17 import curvature, path_shares, skipinit_backward


def by_number(blocks, factor):
    return path_shares(blocks, 1.0)


def not_divided(blocks, factor):
    return np.array([float(math.comb(blocks, i)) * factor**i if blocks < 500 else 0.0 for i in range(blocks + 1)])


def by_all_paths(blocks, factor):
    return not_divided(blocks, factor) / 2.0 ** min(blocks, 500)


def turned(blocks, factor):
    return path_shares(blocks, factor)[::-1]


def one_path(blocks, factor):
    weights = factor ** np.arange(blocks + 1.0)
    return weights / weights.sum()


def fair(blocks, factor):
    return path_shares(blocks, factor / (1 - factor)) if factor < 1 else path_shares(blocks, 1.0)


def squared(blocks, factor):
    return path_shares(blocks, factor * factor)


def one_too_few(blocks, factor):
    return path_shares(blocks, factor)[1:]


def summed_up(blocks, factor):
    return np.cumsum(path_shares(blocks, factor))


def overflowing(blocks, factor):
    logs = np.array([
        math.lgamma(blocks + 1) - math.lgamma(i + 1) - math.lgamma(blocks - i + 1) + i * math.log(factor)
        for i in range(blocks + 1)
    ])  # fmt: skip
    with np.errstate(all="ignore"):
        return np.exp(logs) / np.exp(logs).sum()


def as_a_list(blocks, factor):
    return list(path_shares(blocks, factor))


def backward(scale=lambda alpha: alpha, skip=lambda g, alpha: g, mask=lambda back, z: back * (z > 0), of_alpha=None):
    def skipinit(grad_y, x, w1, w2, alpha):
        z = x @ w1
        a = np.maximum(z, 0)
        grad_f = scale(alpha) * grad_y
        grad_z = mask(grad_f @ w2.T, z)
        grad_alpha = np.sum(grad_y * (a @ w2)).reshape(1)
        if of_alpha is not None:
            grad_alpha = np.asarray(of_alpha(grad_y, a @ w2, x, alpha)).reshape(1)
        return skip(grad_y, alpha) + grad_z @ w1.T, x.T @ grad_z, a.T @ grad_f, grad_alpha

    return skipinit


def divided_at_zero(grad_y, x, w1, w2, alpha):
    with np.errstate(all="ignore"):
        branch = (alpha * (np.maximum(x @ w1, 0) @ w2)) / alpha
    grads = skipinit_backward(grad_y, x, w1, w2, alpha)
    return *grads[:3], np.sum(grad_y * branch).reshape(1)


def one_gradient(*arguments):
    return skipinit_backward(*arguments)[0]


def number_for_alpha(*arguments):
    *grads, grad_alpha = skipinit_backward(*arguments)
    return *grads, grad_alpha[0]


def exchanged(*arguments):
    grad_x, grad_w1, grad_w2, grad_alpha = skipinit_backward(*arguments)
    return grad_x, grad_w2, grad_w1, grad_alpha


def curve(of):
    def mistaken(grad_ahead, grad_behind, direction, eps):
        return of(np.sum((grad_ahead - grad_behind) * direction), np.sum(direction**2), eps)

    return mistaken


def without_v(grad_ahead, grad_behind, direction, eps):
    return np.sum(grad_ahead - grad_behind) / (2 * eps * np.sum(direction**2))


def matrix_product(grad_ahead, grad_behind, direction, eps):
    return np.sum(direction @ ((grad_ahead - grad_behind) / (2 * eps)).T) / np.sum(direction**2)


def size(grad_ahead, grad_behind, direction, eps):
    return np.linalg.norm(grad_ahead - grad_behind) / (2 * eps * np.linalg.norm(direction))


def in_double(grad_ahead, grad_behind, direction, eps):
    return curvature(grad_ahead.astype(np.float64), grad_behind, direction, eps)


RIGHT = {"path_shares": path_shares, "skipinit_backward": skipinit_backward, "curvature": curvature}

WRONG = [
    ({"path_shares": by_number}, "path_shares, 4 blocks, factor 0.4: these are the shares of the paths by number"),
    ({"path_shares": not_divided}, "path_shares, 4 blocks, .*: this is not divided by the sum"),
    ({"path_shares": by_all_paths}, "path_shares, 4 blocks, .*: it is divided by 2"),
    ({"path_shares": turned}, "path_shares, 4 blocks, .*: skips and branches are exchanged"),
    ({"path_shares": one_path}, "path_shares, 4 blocks, .*: this is how the gradient of .one. path falls"),
    ({"path_shares": fair}, "path_shares, 4 blocks, .*: each branch is taken with the share"),
    ({"path_shares": squared}, "path_shares, 4 blocks, .*: each branch is counted twice"),
    ({"path_shares": one_too_few}, "path_shares, 4 blocks, .*: there is one number for each block"),
    ({"path_shares": summed_up}, "path_shares, 4 blocks, .*: these are sums up to each length"),
    ({"path_shares": overflowing}, "path_shares, 2000 blocks, .*: not a finite number comes out"),
    ({"path_shares": as_a_list}, "path_shares, 3 blocks, .*: this is a list"),
    ({"skipinit_backward": backward(scale=lambda alpha: 1 + 0 * alpha)}, "alpha is missing on the way back"),
    ({"skipinit_backward": backward(scale=lambda alpha: alpha**2)}, "alpha is there twice"),
    ({"skipinit_backward": backward(skip=lambda g, alpha: g * alpha)}, "the skip is multiplied by alpha"),
    ({"skipinit_backward": backward(skip=lambda g, alpha: g * (1 - alpha))}, "the skip is multiplied by 1 − alpha"),
    ({"skipinit_backward": backward(skip=lambda g, alpha: 0 * g)}, "nothing comes back through the skip"),
    ({"skipinit_backward": backward(mask=lambda back, z: back)}, "the ReLU is left out"),
    ({"skipinit_backward": backward(mask=lambda back, z: back * (z <= 0))}, "the mask of the ReLU is turned round"),
    ({"skipinit_backward": backward(of_alpha=lambda g, f, x, a: np.mean(g * f))}, "averaged over all elements"),
    ({"skipinit_backward": backward(of_alpha=lambda g, f, x, a: np.sum(g * f) / len(g))}, "averaged over the images"),
    ({"skipinit_backward": backward(of_alpha=lambda g, f, x, a: g.sum())}, "it is the sum of what arrives"),
    ({"skipinit_backward": backward(of_alpha=lambda g, f, x, a: a * np.sum(g * f))}, "it is multiplied by alpha, or"),
    ({"skipinit_backward": backward(of_alpha=lambda g, f, x, a: np.sum(g * x))}, "with x in the place of the branch"),
    ({"skipinit_backward": divided_at_zero}, "skipinit_backward, alpha = 0"),
    ({"skipinit_backward": one_gradient}, "this is one gradient"),
    ({"skipinit_backward": number_for_alpha}, r"the gradient of alpha has shape \(\)"),
    ({"skipinit_backward": exchanged}, "the gradient of w1 has shape"),
    ({"curvature": curve(lambda up, vv, eps: up / (2 * eps))}, "curvature, where .* upwards: not divided by v·v"),
    ({"curvature": curve(lambda up, vv, eps: up / (2 * eps * vv**0.5))}, "divided by the length of v"),
    ({"curvature": curve(lambda up, vv, eps: up / (eps * vv))}, "divided by eps once"),
    ({"curvature": curve(lambda up, vv, eps: up / vv)}, "not divided by 2 · eps"),
    ({"curvature": curve(lambda up, vv, eps: up / (eps * eps * vv))}, "divided by eps²"),
    ({"curvature": curve(lambda up, vv, eps: -up / (2 * eps * vv))}, "ahead comes first"),
    ({"curvature": curve(lambda up, vv, eps: abs(up) / (2 * eps * vv))}, "downwards: this is the absolute value"),
    ({"curvature": without_v}, "the sum of Hv is taken"),
    ({"curvature": size}, "this is the size of Hv"),
    ({"curvature": matrix_product}, "it stops at"),
    ({"curvature": in_double}, "float32 came in, and float64 goes out"),
]
