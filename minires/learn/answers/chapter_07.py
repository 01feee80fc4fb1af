"""Chapter 7: a right answer."""

import numpy as np


def seen(u, v, I, J, stride, dilation):
    """The index of the pixels that lie under tap (u, v), for all places."""
    (SH, SW), (DH, DW) = stride, dilation
    return np.s_[:, :, u * DH : u * DH + SH * I : SH, v * DW : v * DW + SW * J : SW]


def conv2d_grad_input(grad_y, weight, x_shape, stride, padding, dilation):
    (N, C, H, W), (PH, PW) = x_shape, padding
    I, J = grad_y.shape[2:]
    grad_padded = np.zeros((N, C, H + 2 * PH, W + 2 * PW), grad_y.dtype)
    for u in range(weight.shape[2]):
        for v in range(weight.shape[3]):
            share = np.einsum("nfij,fc->ncij", grad_y, weight[:, :, u, v])
            grad_padded[seen(u, v, I, J, stride, dilation)] += share
    return grad_padded[:, :, PH : PH + H, PW : PW + W]


def conv2d_grad_weight(grad_y, x, weight_shape, stride, padding, dilation):
    (PH, PW), (I, J) = padding, grad_y.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    grad_weight = np.zeros(weight_shape, grad_y.dtype)
    for u in range(weight_shape[2]):
        for v in range(weight_shape[3]):
            pixels = padded[seen(u, v, I, J, stride, dilation)]
            grad_weight[:, :, u, v] = np.einsum("nfij,ncij->fc", grad_y, pixels)
    return grad_weight


def max_pool2d_backward(grad_y, x, kernel_size, stride, padding):
    (N, C, H, W), (KH, KW), (SH, SW), (PH, PW) = x.shape, kernel_size, stride, padding
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), constant_values=-np.inf)
    grad_padded = np.zeros(padded.shape, grad_y.dtype)
    n, c = np.ogrid[:N, :C]
    for i in range(grad_y.shape[2]):
        for j in range(grad_y.shape[3]):
            window = padded[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW]
            u, v = np.divmod(window.reshape(N, C, -1).argmax(axis=2), KW)
            grad_padded[n, c, i * SH + u, j * SW + v] += grad_y[:, :, i, j]
    return grad_padded[:, :, PH : PH + H, PW : PW + W]
