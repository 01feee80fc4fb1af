"""Chapter 18: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_18 import AT, BT, G, fold, winograd_backward


def mistaken(arrives=None, u=None, v=None, back_d=None, back_g=None):
    """The right answer with one ingredient replaced."""

    def backward(grad_y, d, g):
        bt, gg, at = [matrix.astype(d.dtype) for matrix in (BT, G, AT)]
        z = arrives(grad_y, at) if arrives else at.T @ grad_y @ at
        filters = u(g, gg) if u else gg @ g @ gg.T
        patches = v(d, bt) if v else bt @ d @ bt.T
        grad_v = np.einsum("fcpq,tfpq->tcpq", filters, z)
        grad_u = np.einsum("tcpq,tfpq->fcpq", patches, z)
        grad_d = back_d(grad_v, bt) if back_d else bt.T @ grad_v @ bt
        return grad_d, back_g(grad_u, gg) if back_g else gg.T @ grad_u @ gg

    return backward


def zeros_around(grad_y, at):
    return np.pad(grad_y, ((0, 0), (0, 0), (0, 2), (0, 2)))


def exchanged(grad_y, d, g):
    return winograd_backward(grad_y, d, g)[::-1]


def only_patches(grad_y, d, g):
    return winograd_backward(grad_y, d, g)[0]


def mean_over_tiles(grad_y, d, g):
    grad_d, grad_g = winograd_backward(grad_y, d, g)
    return grad_d, grad_g / len(d)


def made_float64(grad_y, d, g):
    u, v, z = G @ g @ G.T, BT @ d @ BT.T, AT.T @ grad_y @ AT
    grad_v, grad_u = np.einsum("fcpq,tfpq->tcpq", u, z), np.einsum("tcpq,tfpq->fcpq", v, z)
    return BT.T @ grad_v @ BT, G.T @ grad_u @ G


def folds(scale=None, bias=None):
    def mistaken(weight, norm_weight, norm_bias, mean, var, eps):
        factor = scale(norm_weight, var, eps) if scale else norm_weight / np.sqrt(var + eps)
        right = norm_weight / np.sqrt(var + eps)
        offset = bias(norm_bias, mean, right) if bias else norm_bias - mean * factor
        return weight * factor[:, None, None, None], offset

    return mistaken


def only_filters(weight, norm_weight, norm_bias, mean, var, eps):
    return fold(weight, norm_weight, norm_bias, mean, var, eps)[0]


def fold_in_float64(weight, norm_weight, norm_bias, mean, var, eps):
    return fold(*[array.astype(float) for array in (weight, norm_weight, norm_bias, mean, var)], eps)


RIGHT = {"winograd_backward": winograd_backward, "fold": fold}

WRONG = [
    (
        {"winograd_backward": mistaken(back_d=lambda grad, bt: bt @ grad @ bt.T)},
        "gradient of d: it goes back through Bᵀ",
    ),
    (
        {"winograd_backward": mistaken(back_d=lambda grad, bt: grad)},
        "it is the gradient of Bᵀ d B, and has not gone back",
    ),
    ({"winograd_backward": mistaken(back_d=lambda grad, bt: bt.T @ grad)}, "it goes back through B on one side alone"),
    (
        {"winograd_backward": mistaken(arrives=zeros_around)},
        "gradients of d and g: what arrives is filled up with zeros",
    ),
    ({"winograd_backward": mistaken(v=lambda d, bt: d)}, "gradient of g: the patches are not transformed"),
    (
        {"winograd_backward": mistaken(back_g=lambda grad, gg: np.linalg.pinv(gg) @ grad @ np.linalg.pinv(gg).T)},
        "pseudo-inverse of G",
    ),
    ({"winograd_backward": mistaken(back_g=lambda grad, gg: grad[:, :, :3, :3])}, "a 3×3 corner is taken"),
    (
        {"winograd_backward": mistaken(u=lambda g, gg: gg @ g[:, :, ::-1, ::-1] @ gg.T)},
        "gradient of d: the filters are turned by 180°",
    ),
    ({"winograd_backward": exchanged}, "the two gradients are exchanged"),
    ({"winograd_backward": only_patches}, "this is one gradient, and d and g each have one"),
    ({"winograd_backward": mean_over_tiles}, "gradient of g: divided by T once too often"),
    ({"winograd_backward": made_float64}, "winograd_backward: right in float64; but what comes in as float32"),
    ({"fold": folds(scale=lambda w, var, eps: w / np.sqrt(var))}, "fold, the filters: eps is forgotten"),
    ({"fold": folds(scale=lambda w, var, eps: w / (var + eps))}, "it is divided by the variance, and not by its root"),
    ({"fold": folds(scale=lambda w, var, eps: 1 / np.sqrt(var + eps))}, "the norm's own weight is forgotten"),
    ({"fold": folds(bias=lambda b, mean, scale: b)}, "fold, the bias: what the mean takes away is missing"),
    ({"fold": folds(bias=lambda b, mean, scale: b + mean * scale)}, "what the mean takes away: the sign is wrong"),
    ({"fold": folds(bias=lambda b, mean, scale: b - mean)}, "the mean is taken away from the norm's bias without"),
    (
        {"fold": folds(bias=lambda b, mean, scale: (b - mean) * scale)},
        "the norm's bias is multiplied by the scale as well",
    ),
    ({"fold": only_filters}, "fold: gives back two arrays"),
    ({"fold": fold_in_float64}, "fold: right, but of float32 arrays"),
]
