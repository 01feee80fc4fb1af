"""Chapter 7: right and typical wrong answers."""

import numpy as np

from minires.learn.exercises.chapter_07 import filter_turned, rim_at_one_side, windows_overwrite


def conv2d_grad_input(grad_y, weight, x_shape, stride, padding):
    (N, C, H, W), (SH, SW), (PH, PW) = x_shape, stride, padding
    I, J = grad_y.shape[2:]
    grad_padded = np.zeros((N, C, H + 2 * PH, W + 2 * PW), grad_y.dtype)
    for u in range(weight.shape[2]):
        for v in range(weight.shape[3]):
            terms = np.einsum("nfij,fc->ncij", grad_y, weight[:, :, u, v])
            grad_padded[:, :, u : u + SH * I : SH, v : v + SW * J : SW] += terms
    return grad_padded[:, :, PH : PH + H, PW : PW + W]


def conv2d_grad_weight(grad_y, x, weight_shape, stride, padding):
    (SH, SW), (PH, PW) = stride, padding
    I, J = grad_y.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    grad_weight = np.zeros(weight_shape, grad_y.dtype)
    for u in range(weight_shape[2]):
        for v in range(weight_shape[3]):
            window = padded[:, :, u : u + SH * I : SH, v : v + SW * J : SW]
            grad_weight[:, :, u, v] = np.einsum("nfij,ncij->fc", grad_y, window)
    return grad_weight


def stride_ignored(grad_y, x, weight_shape, stride, padding):
    return conv2d_grad_weight(grad_y, x, weight_shape, (1, 1), padding)


def averaged_over_images(grad_y, x, weight_shape, stride, padding):
    return conv2d_grad_weight(grad_y, x, weight_shape, stride, padding) / len(x)


def weight_flipped(grad_y, x, weight_shape, stride, padding):
    return conv2d_grad_weight(grad_y, x, weight_shape, stride, padding)[:, :, ::-1, ::-1]


RIGHT = {"conv2d_grad_input": conv2d_grad_input, "conv2d_grad_weight": conv2d_grad_weight}

WRONG = [
    ({"conv2d_grad_input": filter_turned}, "grad_input, 3×3: the filter is turned by 180°"),
    ({"conv2d_grad_input": windows_overwrite}, "grad_input, 3×3: windows overwrite each other"),
    ({"conv2d_grad_input": rim_at_one_side}, r"grad_input, padding \(1, 2\): the rim is cut off at the wrong sides"),
    (
        {"conv2d_grad_weight": averaged_over_images},
        r"grad_weight, 3×3(.|\n)*1/2 of the gradient: a factor 2 is missing",
    ),
    ({"conv2d_grad_weight": weight_flipped}, r"grad_weight, 3×3(.|\n)*flipped along axes 2 and 3"),
    ({"conv2d_grad_weight": stride_ignored}, r"grad_weight, stride \(2, 1\)(.|\n)*gradient of weight"),
]
