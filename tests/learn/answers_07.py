"""Chapter 7: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_07 import conv2d_grad_input, conv2d_grad_weight


def filter_turned(grad_y, weight, x_shape, stride, padding):
    return conv2d_grad_input(grad_y, weight[:, :, ::-1, ::-1], x_shape, stride, padding)


def windows_overwrite(grad_y, weight, x_shape, stride, padding):
    (N, C, H, W), (SH, SW), (PH, PW) = x_shape, stride, padding
    I, J = grad_y.shape[2:]
    grad_padded = np.zeros((N, C, H + 2 * PH, W + 2 * PW), grad_y.dtype)
    for u in range(weight.shape[2]):
        for v in range(weight.shape[3]):
            terms = np.einsum("nfij,fc->ncij", grad_y, weight[:, :, u, v])
            grad_padded[:, :, u : u + SH * I : SH, v : v + SW * J : SW] = terms
    return grad_padded[:, :, PH : PH + H, PW : PW + W]


def rim_at_one_side(grad_y, weight, x_shape, stride, padding):
    (N, C, H, W), (PH, PW) = x_shape, padding
    whole = conv2d_grad_input(grad_y, weight, (N, C, H + 2 * PH, W + 2 * PW), stride, (0, 0))
    return whole[:, :, :H, :W]


def stride_ignored(grad_y, x, weight_shape, stride, padding):
    return conv2d_grad_weight(grad_y, x, weight_shape, (1, 1), padding)


def averaged_over_images(grad_y, x, weight_shape, stride, padding):
    return conv2d_grad_weight(grad_y, x, weight_shape, stride, padding) / len(x)


def weight_flipped(grad_y, x, weight_shape, stride, padding):
    return conv2d_grad_weight(grad_y, x, weight_shape, stride, padding)[:, :, ::-1, ::-1]


def first_image(grad_y, x, weight_shape, stride, padding):
    return conv2d_grad_weight(grad_y[:1], x[:1], weight_shape, stride, padding)


def read_at(grad_y, x, weight_shape, stride, corner):
    (I, J), (H, W) = grad_y.shape[2:], x.shape[2:]
    padded = np.zeros((*x.shape[:2], H + 40, W + 40), x.dtype)
    padded[:, :, corner[0] : corner[0] + H, corner[1] : corner[1] + W] = x
    grad_weight = np.zeros(weight_shape, grad_y.dtype)
    for u in range(weight_shape[2]):
        for v in range(weight_shape[3]):
            seen = padded[:, :, u : u + stride[0] * I : stride[0], v : v + stride[1] * J : stride[1]]
            grad_weight[:, :, u, v] = np.einsum("nfij,ncij->fc", grad_y, seen)
    return grad_weight


def padding_at_the_end(grad_y, x, weight_shape, stride, padding):
    return read_at(grad_y, x, weight_shape, stride, (0, 0))


def pair_exchanged(grad_y, x, weight_shape, stride, padding):
    return read_at(grad_y, x, weight_shape, stride, padding[::-1])


def strides_exchanged(grad_y, x, weight_shape, stride, padding):
    return read_at(grad_y, x, weight_shape, stride[::-1], padding)


def input_without_stride(grad_y, weight, x_shape, stride, padding):
    return conv2d_grad_input(grad_y, weight, x_shape, (1, 1), padding)


def last_window_stays(grad_y, weight, x_shape, stride, padding):
    (N, C, H, W), (KH, KW), (I, J) = x_shape, weight.shape[2:], grad_y.shape[2:]
    grad_padded = np.zeros((N, C, H + 2 * padding[0], W + 2 * padding[1]), grad_y.dtype)
    for i in range(I):
        for j in range(J):
            window = np.einsum("nf,fcuv->ncuv", grad_y[:, :, i, j], weight)
            grad_padded[:, :, i * stride[0] : i * stride[0] + KH, j * stride[1] : j * stride[1] + KW] = window
    return grad_padded[:, :, padding[0] : padding[0] + H, padding[1] : padding[1] + W]


def last_filter(grad_y, weight, x_shape, stride, padding):
    return conv2d_grad_input(grad_y[:, -1:], weight[-1:], x_shape, stride, padding)


def mean_of_filters(grad_y, weight, x_shape, stride, padding):
    return conv2d_grad_input(grad_y, weight, x_shape, stride, padding) / len(weight)


RIGHT = {"conv2d_grad_input": conv2d_grad_input, "conv2d_grad_weight": conv2d_grad_weight}

WRONG = [
    ({"conv2d_grad_input": filter_turned}, "grad_input, 3×3: the filter is turned by 180°"),
    ({"conv2d_grad_input": windows_overwrite}, "grad_input, 3×3: windows overwrite each other: a pixel"),
    ({"conv2d_grad_input": rim_at_one_side}, r"grad_input, padding \(1, 2\): the rim is cut off at the wrong sides"),
    (
        {"conv2d_grad_weight": averaged_over_images},
        r"grad_weight, 3×3: divided by N once too often",
    ),
    ({"conv2d_grad_weight": weight_flipped}, r"grad_weight, 3×3(.|\n)*flipped along axes 2 and 3"),
    ({"conv2d_grad_weight": stride_ignored}, r"grad_weight, stride \(2, 3\): the stride is ignored"),
    ({"conv2d_grad_weight": first_image}, "grad_weight, 3×3: only the first image of the batch counts"),
    (
        {"conv2d_grad_weight": padding_at_the_end},
        "grad_weight, padding .* the padding is at the wrong sides: the image beg",
    ),
    ({"conv2d_grad_weight": pair_exchanged}, "grad_weight, padding .* the padding is at the wrong sides: PH and PW"),
    ({"conv2d_grad_weight": strides_exchanged}, r"grad_weight, stride \(2, 3\): the strides are exchanged"),
    ({"conv2d_grad_input": input_without_stride}, r"grad_input, stride \(2, 3\): the stride is ignored"),
    ({"conv2d_grad_input": last_window_stays}, "grad_input, 3×3: windows overwrite each other, the last one"),
    ({"conv2d_grad_input": last_filter}, "grad_input, 3×3: only the last place along axis 1 of what arrives counts"),
    ({"conv2d_grad_input": mean_of_filters}, "grad_input, 3×3: divided by F once too often"),
]
