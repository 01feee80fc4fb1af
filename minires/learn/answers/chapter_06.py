"""Chapter 6: a right answer."""

import numpy as np


def places(size, kernel, stride, padding, dilation=1):
    covered = (kernel - 1) * dilation + 1
    return (size + 2 * padding - covered) // stride + 1


def dilated_conv2d(x, weight, stride, padding, dilation):
    (N, _, H, W), (F, _, KH, KW) = x.shape, weight.shape
    (SH, SW), (PH, PW), (DH, DW) = stride, padding, dilation
    I, J = places(H, KH, SH, PH, DH), places(W, KW, SW, PW, DW)
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    y = np.zeros((N, F, I, J), x.dtype)
    for u in range(KH):
        for v in range(KW):
            seen = padded[:, :, u * DH : u * DH + SH * I : SH, v * DW : v * DW + SW * J : SW]
            y += np.einsum("ncij,fc->nfij", seen, weight[:, :, u, v])
    return y


def max_pool2d(x, kernel_size, stride, padding):
    (N, C, H, W), (KH, KW) = x.shape, kernel_size
    (SH, SW), (PH, PW) = stride, padding
    I, J = places(H, KH, SH, PH), places(W, KW, SW, PW)
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), constant_values=-np.inf)
    y = np.full((N, C, I, J), -np.inf, x.dtype)
    for u in range(KH):
        for v in range(KW):
            y = np.maximum(y, padded[:, :, u : u + SH * I : SH, v : v + SW * J : SW])
    return y
