"""Chapter 10: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_10 import identity_filter, plain_backward


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


value_for_slope = backward_through(lambda grad, before, after, weight: (grad * after) @ weight.T)
with_a_skip = backward_through(lambda grad, before, after, weight: grad + (grad * (after > 0)) @ weight.T)


def in_order(weights_of, masks_of):
    def mistaken(grad_h, x, weights):
        hs = [x]
        for weight in weights:
            hs.append(np.maximum(hs[-1] @ weight, 0))
        grads = [grad_h]
        for weight, h in zip(weights_of(weights), masks_of(hs[1:]), strict=True):
            grads.append((grads[-1] * (h > 0)) @ weight.T)
        return grads[::-1]

    return mistaken


weights_not_reversed = in_order(list, lambda hs: hs[::-1])
masks_not_reversed = in_order(lambda weights: weights[::-1], list)


def mean_of_channels(channels, kernel_size):
    return all_channels(channels, kernel_size) / channels


def share(channels, kernel_size):
    return identity_filter(channels, kernel_size) / channels


def blurred(channels, kernel_size):
    weight = np.zeros((channels, channels, kernel_size, kernel_size))
    weight[range(channels), range(channels)] = 1 / kernel_size**2
    return weight


def channels_exchanged(channels, kernel_size):
    return identity_filter(channels, kernel_size)[::-1]


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
    ({"identity_filter": mean_of_channels}, r"identity_filter\(4, 3\): every output is the mean of all channels"),
    ({"identity_filter": share}, r"identity_filter\(4, 3\): each filter has 1/channels"),
    ({"identity_filter": blurred}, r"identity_filter\(1, 3\): every tap is 1/K²"),
    ({"identity_filter": channels_exchanged}, r"identity_filter\(4, 3\): the image is copied, and its channels"),
    ({"plain_backward": weights_not_reversed}, "3 layers: the weights are taken in forward order"),
    ({"plain_backward": masks_not_reversed}, "3 layers: the masks are taken in forward order"),
    ({"plain_backward": value_for_slope}, "it is multiplied by the ReLU's output"),
    ({"plain_backward": with_a_skip}, "as if there were a skip"),
    ({"plain_backward": not_turned_round}, "the list begins with grad_h itself"),
    ({"plain_backward": without_the_input}, "3 gradients, and should have 4"),
    ({"plain_backward": between_not_kept}, r"plain_backward, 3 layers, dL/dh_1: \d+ of \d+ numbers are wrong"),
]
