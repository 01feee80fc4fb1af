"""Chapter 10: right and typical wrong answers."""

import numpy as np


def identity_filter(channels, kernel_size):
    weight = np.zeros((channels, channels, kernel_size, kernel_size))
    weight[range(channels), range(channels), kernel_size // 2, kernel_size // 2] = 1
    return weight


def plain_backward(grad_h, x, weights):
    hs = [x]
    for weight in weights:
        hs.append(np.maximum(hs[-1] @ weight, 0))
    grads = [grad_h]
    for weight, h in zip(weights[::-1], hs[:0:-1], strict=True):
        grads.append((grads[-1] * (h > 0)) @ weight.T)
    return grads[::-1]


def all_channels(channels, kernel_size):
    weight = np.zeros((channels, channels, kernel_size, kernel_size))
    weight[:, :, kernel_size // 2, kernel_size // 2] = 1
    return weight


def corner(channels, kernel_size):
    weight = np.zeros((channels, channels, kernel_size, kernel_size))
    weight[range(channels), range(channels), 0, 0] = 1
    return weight


def one_filter(channels, kernel_size):
    return identity_filter(1, kernel_size)[0]


def backward_through(step):
    def mistaken(grad_h, x, weights):
        hs = [x]
        for weight in weights:
            hs.append(np.maximum(hs[-1] @ weight, 0))
        grads = [grad_h]
        for i in reversed(range(len(weights))):
            grads.append(step(grads[-1], hs[i], hs[i + 1], weights[i]))
        return grads[::-1]

    return mistaken


no_relu = backward_through(lambda grad, before, after, weight: grad @ weight.T)
not_transposed = backward_through(lambda grad, before, after, weight: (grad * (after > 0)) @ weight)
mask_of_the_input = backward_through(lambda grad, before, after, weight: (grad * (before > 0)) @ weight.T)
relu_last = backward_through(lambda grad, before, after, weight: (grad @ weight.T) * (after > 0))


def not_turned_round(grad_h, x, weights):
    return plain_backward(grad_h, x, weights)[::-1]


def without_the_input(grad_h, x, weights):
    return plain_backward(grad_h, x, weights)[1:]


def between_not_kept(grad_h, x, weights):
    grads = plain_backward(grad_h, x, weights)
    return [grads[0], *[grad_h for _ in weights]]


RIGHT = {"identity_filter": identity_filter, "plain_backward": plain_backward}

WRONG = [
    ({"identity_filter": all_channels}, r"identity_filter\(4, 3\): every output is the sum of all channels"),
    ({"identity_filter": corner}, r"identity_filter\(1, 3\): the image is copied, and moved"),
    ({"identity_filter": one_filter}, r"identity_filter\(1, 3\): the shape is \(1, 3, 3\)"),
    ({"plain_backward": no_relu}, "the ReLU is left out"),
    ({"plain_backward": not_transposed}, "the weight as it stands"),
    ({"plain_backward": mask_of_the_input}, "mask is that of the layer before"),
    ({"plain_backward": relu_last}, "the two steps are in the wrong order"),
    ({"plain_backward": not_turned_round}, "the list begins with grad_h itself"),
    ({"plain_backward": without_the_input}, "1 gradients, and should have 2"),
    ({"plain_backward": between_not_kept}, r"plain_backward, 2 layers, dL/dh_1: 30 of 30 numbers are wrong"),
]
