"""Chapter 19: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_19 import combine, max_pool_gradient


def squares_added(na, ma, sa, nb, mb, sb):
    n, mean, _ = combine(na, ma, sa, nb, mb, sb)
    return n, mean, sa + sb


def mean_of_means(na, ma, sa, nb, mb, sb):
    mean = (ma + mb) / 2
    return na + nb, mean, sa + na * (ma - mean) ** 2 + sb + nb * (mb - mean) ** 2


def not_squared(na, ma, sa, nb, mb, sb):
    n, mean, _ = combine(na, ma, sa, nb, mb, sb)
    return n, mean, sa + sb + na * abs(ma - mean) + nb * abs(mb - mean)


def once_for_each_part(na, ma, sa, nb, mb, sb):
    n, mean, _ = combine(na, ma, sa, nb, mb, sb)
    return n, mean, sa + sb + (ma - mean) ** 2 + (mb - mean) ** 2


def product_not_divided(na, ma, sa, nb, mb, sb):
    n, mean, _ = combine(na, ma, sa, nb, mb, sb)
    return n, mean, sa + sb + na * nb * (ma - mb) ** 2


def a_variance(na, ma, sa, nb, mb, sb):
    n, mean, squares = combine(na, ma, sa, nb, mb, sb)
    return n, mean, squares / max(n, 1)


def through_squares_of_numbers(na, ma, sa, nb, mb, sb):
    n = na + nb
    mean = (na * ma + nb * mb) / n
    return n, mean, np.float32(sa + na * ma**2) + np.float32(sb + nb * mb**2) - n * np.float32(mean) ** 2


def without_the_empty_case(na, ma, sa, nb, mb, sb):
    n = na + nb
    mean = (na * ma + nb * mb) / n
    return n, mean, sa + na * (ma - mean) ** 2 + sb + nb * (mb - mean) ** 2


def only_two(na, ma, sa, nb, mb, sb):
    return combine(na, ma, sa, nb, mb, sb)[1:]


def thread(padded=True, won=True, first=False, divisible=True, negative=False, tap=None, wide=True):
    def mistaken(k, grad_y, winners, x_shape, kernel_size, stride, padding):
        _, C, H, W = x_shape
        (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding if padded else (0, 0)
        I, J = grad_y.shape[2:]
        w, h = (k % W, k // W % H) if wide else (k // H % W, k % H)
        c, n = k // W // H % C, k // W // H // C
        total = 0.0
        for u in range(KH):
            for v in range(KW):
                down, across = h + PH - u, w + PW - v
                if not negative and (down < 0 or across < 0):
                    continue
                if divisible and (down % SH or across % SW):
                    continue
                i, j = down // SH, across // SW
                number = tap(u, v, KH, KW) if tap else u * KW + v
                if i >= I or j >= J or (won and winners[n, c, i, j] != number):
                    continue
                if first:
                    return float(grad_y[n, c, i, j])
                total += float(grad_y[n, c, i, j])
        return total

    return mistaken


def whole_image(k, grad_y, winners, x_shape, kernel_size, stride, padding):
    return np.zeros(x_shape)


RIGHT = {"combine": combine, "max_pool_gradient": max_pool_gradient}

WRONG = [
    ({"combine": squares_added}, "combine, two parts: the squares are only added up"),
    ({"combine": mean_of_means}, "the means are averaged as if the parts were of one size"),
    ({"combine": not_squared}, "the distance of the means is not squared"),
    ({"combine": once_for_each_part}, "here once for the part"),
    ({"combine": product_not_divided}, "is to be divided by the count of both"),
    ({"combine": a_variance}, "the third number is the variance"),
    ({"combine": through_squares_of_numbers}, "the squares is"),
    ({"combine": without_the_empty_case}, "ZeroDivisionError"),
    ({"combine": only_two}, "should be three numbers"),
    ({"max_pool_gradient": thread(won=False)}, "only those that it has won should"),
    ({"max_pool_gradient": thread(first=True)}, "the first place that is found"),
    ({"max_pool_gradient": thread(padded=False)}, "the padding is ignored"),
    ({"max_pool_gradient": thread(divisible=False)}, "must be divisible by the stride"),
    ({"max_pool_gradient": thread(negative=True)}, "Python allows negative indices"),
    ({"max_pool_gradient": thread(tap=lambda u, v, KH, KW: v * KH + u)}, r"here it is v·KH \+ u"),
    ({"max_pool_gradient": thread(wide=False)}, "height and width are exchanged in taking k apart"),
    ({"max_pool_gradient": whole_image}, "a thread gives back one number"),
]
