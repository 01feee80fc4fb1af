"""Chapter 10: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_10 import fold_batch_norm, widen


def not_shared(w1, w2, copies):
    return np.repeat(w1, copies, axis=1), np.repeat(w2, copies, axis=0)


def divided_before(w1, w2, copies):
    return np.repeat(w1 / np.array(copies), copies, axis=1), np.repeat(w2, copies, axis=0)


def divided_twice(w1, w2, copies):
    return np.repeat(w1 / np.array(copies), copies, axis=1), widen(w1, w2, copies)[1]


def by_the_mean(w1, w2, copies):
    return np.repeat(w1, copies, axis=1), np.repeat(w2 / np.mean(copies), copies, axis=0)


def by_the_root(w1, w2, copies):
    return np.repeat(w1, copies, axis=1), np.repeat(w2 / np.sqrt(copies)[:, None], copies, axis=0)


def one_copy_sends(w1, w2, copies):
    starts = np.cumsum([0, *copies[:-1]])
    new_w2 = np.zeros((sum(copies), w2.shape[1]))
    new_w2[starts] = w2
    return np.repeat(w1, copies, axis=1), new_w2


def with_zeros(w1, w2, copies):
    starts = np.cumsum([0, *copies[:-1]])
    new_w1, new_w2 = np.zeros((len(w1), sum(copies))), np.zeros((sum(copies), w2.shape[1]))
    new_w1[:, starts], new_w2[starts] = w1, w2
    return new_w1, new_w2


def orders_differ(w1, w2, copies):
    places = [f for turn in range(max(copies)) for f, count in enumerate(copies) if turn < count]
    return np.repeat(w1, copies, axis=1), (w2 / np.array(copies)[:, None])[places]


def rows_repeated(w1, w2, copies):
    new_w1, new_w2 = widen(w1, w2, copies)
    return new_w1.T, new_w2


def w2_alone(w1, w2, copies):
    return widen(w1, w2, copies)[1]


def counts_are_float64(w1, w2, copies):
    return np.repeat(w1, copies, axis=1), np.repeat(w2 / np.array(copies)[:, None], copies, axis=0)


def into_w2(w1, w2, copies):
    w2 /= np.array(copies, w2.dtype)[:, None]
    return np.repeat(w1, copies, axis=1), np.repeat(w2, copies, axis=0)


def fold(scale=lambda gamma, var, eps: gamma / np.sqrt(var + eps), bias=None):
    def mistaken(weight, gamma, beta, mean, var, eps):
        new_weight, new_bias = fold_batch_norm(weight, gamma, beta, mean, var, eps)
        if bias is not None:
            return new_weight, bias(beta, mean, gamma / np.sqrt(var + eps))
        return weight * scale(gamma, var, eps)[:, None, None, None], new_bias

    return mistaken


def unit_by_unit(w1, w2, copies):
    columns, rows = [], []
    for f, count in enumerate(copies):
        columns += [w1[:, f]] * count
        rows += [w2[f] / count] * count
    return [np.array(columns).T, np.array(rows)]


def with_an_einsum(weight, gamma, beta, mean, var, eps):
    std = np.sqrt(var + eps)
    return np.asfortranarray(np.einsum("fckl,f->fckl", weight, gamma / std)), (beta * std - mean * gamma) / std


RIGHT = {"widen": widen, "fold_batch_norm": fold_batch_norm}

ALSO_RIGHT = [{"widen": unit_by_unit}, {"fold_batch_norm": with_an_einsum}]

WRONG = [
    ({"widen": not_shared}, r"copies \[3, 1, 2\]: what each copy sends on is not divided"),
    ({"widen": divided_before}, "what goes into the copies is divided"),
    ({"widen": divided_twice}, "both weights are divided"),
    ({"widen": by_the_mean}, "every unit is divided by the same number, the mean"),
    ({"widen": by_the_root}, "it is divided by the root"),
    ({"widen": one_copy_sends}, "one copy sends all, the others nothing"),
    ({"widen": with_zeros}, "the copies are handed nothing"),
    ({"widen": orders_differ}, "the two new weights have their units in different orders"),
    ({"widen": rows_repeated}, r"the shape of new_w1 is \(6, "),
    ({"widen": w2_alone}, "gives back two arrays: return new_w1, new_w2"),
    ({"widen": counts_are_float64}, "float32 came in, and float64 goes out"),
    ({"widen": into_w2}, "the function writes into what it was handed"),
    ({"fold_batch_norm": fold(lambda gamma, var, eps: 1 / np.sqrt(var + eps))}, "new_weight: gamma is missing"),
    ({"fold_batch_norm": fold(lambda gamma, var, eps: gamma)}, "new_weight: it is not divided by √"),
    ({"fold_batch_norm": fold(lambda gamma, var, eps: gamma / (var + eps))}, "new_weight: the root is missing"),
    ({"fold_batch_norm": fold(lambda gamma, var, eps: gamma / np.sqrt(var))}, "new_weight: eps is missing"),
    ({"fold_batch_norm": fold(lambda gamma, var, eps: np.ones_like(var))}, "new_weight: the weight is as it was"),
    ({"fold_batch_norm": fold(bias=lambda beta, mean, scale: beta)}, "new_bias: beta alone"),
    ({"fold_batch_norm": fold(bias=lambda beta, mean, scale: beta - mean)}, "new_bias: the mean is not scaled"),
    ({"fold_batch_norm": fold(bias=lambda beta, mean, scale: (beta - mean) * scale)}, "new_bias: beta is scaled"),
    ({"fold_batch_norm": fold(bias=lambda beta, mean, scale: beta + mean * scale)}, "new_bias: the mean is added"),
    ({"fold_batch_norm": fold(bias=lambda beta, mean, scale: -mean * scale)}, "new_bias: beta is missing"),
]
