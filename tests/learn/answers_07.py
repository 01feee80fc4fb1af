"""Chapter 7: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_07 import conv2d_grad_input, conv2d_grad_weight, max_pool2d_backward, seen


def filter_turned(grad_y, weight, x_shape, stride, padding, dilation):
    return conv2d_grad_input(grad_y, weight[:, :, ::-1, ::-1], x_shape, stride, padding, dilation)


def windows_overwrite(grad_y, weight, x_shape, stride, padding, dilation):
    (N, C, H, W), (PH, PW) = x_shape, padding
    I, J = grad_y.shape[2:]
    grad_padded = np.zeros((N, C, H + 2 * PH, W + 2 * PW), grad_y.dtype)
    for u in range(weight.shape[2]):
        for v in range(weight.shape[3]):
            share = np.einsum("nfij,fc->ncij", grad_y, weight[:, :, u, v])
            grad_padded[seen(u, v, I, J, stride, dilation)] = share
    return grad_padded[:, :, PH : PH + H, PW : PW + W]


def rim_at_one_side(grad_y, weight, x_shape, stride, padding, dilation):
    (N, C, H, W), (PH, PW) = x_shape, padding
    whole = conv2d_grad_input(grad_y, weight, (N, C, H + 2 * PH, W + 2 * PW), stride, (0, 0), dilation)
    return whole[:, :, :H, :W]


def input_without_holes(grad_y, weight, x_shape, stride, padding, dilation):
    return conv2d_grad_input(grad_y, weight, x_shape, stride, padding, (1, 1))


def input_with_one_dilation(grad_y, weight, x_shape, stride, padding, dilation):
    """The dilation of the height for both, in an image that is large enough for it."""
    N, C, H, W = x_shape
    both = dilation[0], dilation[0]
    return conv2d_grad_input(grad_y, weight, (N, C, H, W + 20), stride, padding, both)[:, :, :, :W]


def input_without_stride(grad_y, weight, x_shape, stride, padding, dilation):
    return conv2d_grad_input(grad_y, weight, x_shape, (1, 1), padding, dilation)


def last_window_stays(grad_y, weight, x_shape, stride, padding, dilation):
    (N, C, H, W), (KH, KW), (DH, DW) = x_shape, weight.shape[2:], dilation
    grad_padded = np.zeros((N, C, H + 2 * padding[0], W + 2 * padding[1]), grad_y.dtype)
    for i, j in np.ndindex(grad_y.shape[2:]):
        window = np.einsum("nf,fcuv->ncuv", grad_y[:, :, i, j], weight)
        top, left = i * stride[0], j * stride[1]
        grad_padded[:, :, top : top + (KH - 1) * DH + 1 : DH, left : left + (KW - 1) * DW + 1 : DW] = window
    return grad_padded[:, :, padding[0] : padding[0] + H, padding[1] : padding[1] + W]


def last_filter(grad_y, weight, x_shape, stride, padding, dilation):
    return conv2d_grad_input(grad_y[:, -1:], weight[-1:], x_shape, stride, padding, dilation)


def mean_of_filters(grad_y, weight, x_shape, stride, padding, dilation):
    return conv2d_grad_input(grad_y, weight, x_shape, stride, padding, dilation) / len(weight)


def weight_without_holes(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, x, weight_shape, stride, padding, (1, 1))


def weight_with_exchanged_dilations(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, larger(x), weight_shape, stride, padding, dilation[::-1])


def larger(x):
    return np.pad(x, ((0, 0), (0, 0), (0, 20), (0, 20)))


def stride_ignored(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, x, weight_shape, (1, 1), padding, dilation)


def strides_exchanged(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, larger(x), weight_shape, stride[::-1], padding, dilation)


def averaged_over_images(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, x, weight_shape, stride, padding, dilation) / len(x)


def weight_flipped(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, x, weight_shape, stride, padding, dilation)[:, :, ::-1, ::-1]


def first_image(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y[:1], x[:1], weight_shape, stride, padding, dilation)


def padding_at_the_end(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, larger(x), weight_shape, stride, (0, 0), dilation)


def pair_exchanged(grad_y, x, weight_shape, stride, padding, dilation):
    return conv2d_grad_weight(grad_y, larger(x), weight_shape, stride, padding[::-1], dilation)


def all_the_largest(grad_y, x, kernel_size, stride, padding):
    """All that are as large as the largest get it."""
    (PH, PW), (H, W) = padding, x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), constant_values=-np.inf)
    grad = np.zeros(padded.shape, grad_y.dtype)
    for i, j in np.ndindex(grad_y.shape[2:]):
        top, left = i * stride[0], j * stride[1]
        place = np.s_[:, :, top : top + kernel_size[0], left : left + kernel_size[1]]
        window = padded[place]
        grad[place] += (window == window.max(axis=(2, 3), keepdims=True)) * grad_y[:, :, i, j, None, None]
    return grad[:, :, PH : PH + H, PW : PW + W]


def shared_out(grad_y, x, kernel_size, stride, padding, count=1):
    """Every pixel of a window gets it."""
    C = x.shape[1]
    weight = np.zeros((C, C, *kernel_size), x.dtype)
    weight[range(C), range(C)] = 1 / count
    return conv2d_grad_input(grad_y, weight, x.shape, stride, padding, (1, 1))


def as_a_mean(grad_y, x, kernel_size, stride, padding):
    return shared_out(grad_y, x, kernel_size, stride, padding, kernel_size[0] * kernel_size[1])


def smallest_gets_it(grad_y, x, kernel_size, stride, padding):
    return max_pool2d_backward(grad_y, -x, kernel_size, stride, padding)


def frame_of_zeros(grad_y, x, kernel_size, stride, padding):
    (PH, PW), (H, W) = padding, x.shape[2:]
    framed = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    return max_pool2d_backward(grad_y, framed, kernel_size, stride, (0, 0))[:, :, PH : PH + H, PW : PW + W]


def largest_of_two_windows(grad_y, x, kernel_size, stride, padding):
    """A pixel that is the largest of several windows keeps what came last."""
    (N, C, H, W), (PH, PW) = x.shape, padding
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), constant_values=-np.inf)
    grad = np.zeros(padded.shape, grad_y.dtype)
    n, c = np.ogrid[:N, :C]
    for i, j in np.ndindex(grad_y.shape[2:]):
        top, left = i * stride[0], j * stride[1]
        window = padded[:, :, top : top + kernel_size[0], left : left + kernel_size[1]]
        u, v = np.divmod(window.reshape(N, C, -1).argmax(axis=2), kernel_size[1])
        grad[n, c, top + u, left + v] = grad_y[:, :, i, j]
    return grad[:, :, PH : PH + H, PW : PW + W]


def pool_in_float64(grad_y, x, kernel_size, stride, padding):
    return max_pool2d_backward(grad_y.astype(np.float64), x, kernel_size, stride, padding)


def through_a_turned_filter(grad_y, weight, x_shape, stride, padding, dilation):
    """Right: what arrives, spread out by the stride, in a frame, convolved with the turned filters."""
    (N, F, I, J), (KH, KW), (N, C, H, W) = grad_y.shape, weight.shape[2:], x_shape
    (SH, SW), (PH, PW), (DH, DW) = stride, padding, dilation
    rim = (KH - 1) * DH, (KW - 1) * DW
    framed = np.zeros((N, F, H + 2 * PH + rim[0], W + 2 * PW + rim[1]), grad_y.dtype)
    framed[:, :, rim[0] : rim[0] + SH * I : SH, rim[1] : rim[1] + SW * J : SW] = grad_y
    grad_x = np.zeros((N, H, W, C), grad_y.dtype)
    for u in range(KH):
        for v in range(KW):
            top, left = PH + rim[0] - u * DH, PW + rim[1] - v * DW
            grad_x += np.einsum("nfhw,fc->nhwc", framed[:, :, top : top + H, left : left + W], weight[:, :, u, v])
    return grad_x.transpose(0, 3, 1, 2)


def place_by_place(grad_y, x, weight_shape, stride, padding, dilation):
    """Right, in another order of memory."""
    return np.asfortranarray(conv2d_grad_weight(grad_y, x, weight_shape, stride, padding, dilation))


RIGHT = {
    "conv2d_grad_input": conv2d_grad_input,
    "conv2d_grad_weight": conv2d_grad_weight,
    "max_pool2d_backward": max_pool2d_backward,
}
ALSO_RIGHT = [{"conv2d_grad_input": through_a_turned_filter}, {"conv2d_grad_weight": place_by_place}]

WRONG = [
    ({"conv2d_grad_input": filter_turned}, "grad_input, 3×3: the filter is turned by 180°"),
    ({"conv2d_grad_input": windows_overwrite}, "grad_input, 3×3: windows overwrite each other: a pixel"),
    ({"conv2d_grad_input": rim_at_one_side}, r"grad_input, padding \(1, 2\): the rim is cut off at the wrong sides"),
    ({"conv2d_grad_input": input_without_holes}, r"grad_input, dilation \(2, 1\): the filter has no holes"),
    ({"conv2d_grad_input": input_with_one_dilation}, r"grad_input, dilation \(2, 1\): the dilation of the height"),
    ({"conv2d_grad_input": input_without_stride}, r"grad_input, stride \(2, 3\): the stride is ignored"),
    ({"conv2d_grad_input": last_window_stays}, "grad_input, 3×3: windows overwrite each other, the last one"),
    ({"conv2d_grad_input": last_filter}, "grad_input, 3×3: only the last place along axis 1 of what arrives counts"),
    ({"conv2d_grad_input": mean_of_filters}, "grad_input, 3×3: divided by F once too often"),
    ({"conv2d_grad_weight": weight_without_holes}, r"grad_weight, dilation \(2, 1\): the filter has no holes"),
    ({"conv2d_grad_weight": weight_with_exchanged_dilations}, r"grad_weight, .*: the dilations are exchanged"),
    ({"conv2d_grad_weight": averaged_over_images}, "grad_weight, 3×3: divided by N once too often"),
    ({"conv2d_grad_weight": weight_flipped}, r"grad_weight, 3×3(.|\n)*flipped along axes 2 and 3"),
    ({"conv2d_grad_weight": stride_ignored}, r"grad_weight, stride \(2, 3\): the stride is ignored"),
    ({"conv2d_grad_weight": first_image}, "grad_weight, 3×3: only the first image of the batch counts"),
    (
        {"conv2d_grad_weight": padding_at_the_end},
        "grad_weight, padding .* the padding is at the wrong sides: the image beg",
    ),
    ({"conv2d_grad_weight": pair_exchanged}, "grad_weight, padding .* the padding is at the wrong sides: PH and PW"),
    ({"conv2d_grad_weight": strides_exchanged}, r"grad_weight, stride \(2, 3\): the strides are exchanged"),
    ({"max_pool2d_backward": all_the_largest}, "max_pool2d_backward, three equals"),
    ({"max_pool2d_backward": shared_out}, "stride 2: every pixel of the window gets the gradient"),
    ({"max_pool2d_backward": as_a_mean}, "stride 2: every pixel of the window gets a mean's share"),
    ({"max_pool2d_backward": smallest_gets_it}, "stride 2: the smallest pixel gets the gradient"),
    ({"max_pool2d_backward": frame_of_zeros}, r"padding \(1, 0\): the frame wins"),
    ({"max_pool2d_backward": largest_of_two_windows}, "windows that overlap: windows overwrite each other"),
    ({"max_pool2d_backward": pool_in_float64}, "stride 2: right in float64; but what comes in as float32"),
]
