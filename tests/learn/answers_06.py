"""Chapter 6: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_06 import dilated_conv2d, max_pool2d, places


def read_at(x, weight, stride, padding, dilation, apart, corner, holes):
    """A convolution of windows `apart` from each other, taps `holes` apart, of an image at `corner` of its frame."""
    (N, C, H, W), (F, _, KH, KW) = x.shape, weight.shape
    I = places(H, KH, stride[0], padding[0], dilation[0])
    J = places(W, KW, stride[1], padding[1], dilation[1])
    framed = np.zeros((N, C, H + 60, W + 60), x.dtype)
    framed[:, :, corner[0] : corner[0] + H, corner[1] : corner[1] + W] = x
    y = np.zeros((N, F, I, J), x.dtype)
    for i, j in np.ndindex(I, J):
        top, left = i * apart[0], j * apart[1]
        seen = framed[:, :, top : top + holes[0] * KH : holes[0], left : left + holes[1] * KW : holes[1]]
        y[:, :, i, j] = np.einsum("ncuv,fcuv->nf", seen, weight)
    return y


def holes_forgotten(x, weight, stride, padding, dilation):
    return dilated_conv2d(x, weight, stride, padding, (1, 1))


def hole_behind_the_last_tap(x, weight, stride, padding, dilation):
    (H, W), (KH, KW), (DH, DW) = x.shape[2:], weight.shape[2:], dilation
    I = (H + 2 * padding[0] - KH * DH) // stride[0] + 1
    J = (W + 2 * padding[1] - KW * DW) // stride[1] + 1
    return dilated_conv2d(x, weight, stride, padding, dilation)[:, :, :I, :J]


def taps_side_by_side(x, weight, stride, padding, dilation):
    return read_at(x, weight, stride, padding, dilation, stride, padding, (1, 1))


def dilations_exchanged(x, weight, stride, padding, dilation):
    return read_at(x, weight, stride, padding, dilation, stride, padding, dilation[::-1])


def one_dilation(x, weight, stride, padding, dilation):
    return read_at(x, weight, stride, padding, dilation, stride, padding, (dilation[0], dilation[0]))


def dilation_moves_the_windows(x, weight, stride, padding, dilation):
    apart = stride[0] * dilation[0], stride[1] * dilation[1]
    return read_at(x, weight, stride, padding, dilation, apart, padding, (1, 1))


def stride_ignored(x, weight, stride, padding, dilation):
    return read_at(x, weight, stride, padding, dilation, (1, 1), padding, dilation)


def strides_exchanged(x, weight, stride, padding, dilation):
    return read_at(x, weight, stride, padding, dilation, stride[::-1], padding, dilation)


def image_in_the_corner(x, weight, stride, padding, dilation):
    return read_at(x, weight, stride, padding, dilation, stride, (0, 0), dilation)


def turned(x, weight, stride, padding, dilation):
    return dilated_conv2d(x, weight[:, :, ::-1, ::-1], stride, padding, dilation)


def last_tap_stays(x, weight, stride, padding, dilation):
    weight = weight.copy()
    last = weight[:, :, -1, -1].copy()
    weight[:] = 0
    weight[:, :, -1, -1] = last
    return dilated_conv2d(x, weight, stride, padding, dilation)


def mean_over_the_channels(x, weight, stride, padding, dilation):
    return dilated_conv2d(x, weight, stride, padding, dilation) / x.shape[1]


def fence_post(x, weight, stride, padding, dilation):
    return dilated_conv2d(x, weight, stride, padding, dilation)[:, :, :-1, :-1]


def channels_kept_apart(x, weight, stride, padding, dilation):
    y = dilated_conv2d(x, weight, stride, padding, dilation)
    return np.repeat(y, x.shape[1], axis=1)


def always_float64(x, weight, stride, padding, dilation):
    return dilated_conv2d(x, weight, stride, padding, dilation).astype(np.float64)


def frame_of_zeros(x, kernel_size, stride, padding):
    (PH, PW) = padding
    return max_pool2d(np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW))), kernel_size, stride, (0, 0))


def begins_at_zero(x, kernel_size, stride, padding):
    return np.maximum(max_pool2d(x, kernel_size, stride, padding), 0)


def smallest(x, kernel_size, stride, padding):
    return -max_pool2d(-x, kernel_size, stride, padding)


def largest_by_size(x, kernel_size, stride, padding):
    return max_pool2d(np.abs(x), kernel_size, stride, padding)


def mean_of_the_window(x, kernel_size, stride, padding):
    C = x.shape[1]
    weight = np.zeros((C, C, *kernel_size), x.dtype)
    weight[range(C), range(C)] = 1 / (kernel_size[0] * kernel_size[1])
    return dilated_conv2d(x, weight, stride, padding, (1, 1))


def pool_without_stride(x, kernel_size, stride, padding):
    I, J = max_pool2d(x, kernel_size, stride, padding).shape[2:]
    return max_pool2d(x, kernel_size, (1, 1), padding)[:, :, :I, :J]


def pool_padded_on_one_side(x, kernel_size, stride, padding):
    (H, W), (KH, KW), (PH, PW) = x.shape[2:], kernel_size, padding
    I, J = places(H + PH, KH, stride[0], 0), places(W + PW, KW, stride[1], 0)
    return max_pool2d(x, kernel_size, stride, padding)[:, :, :I, :J]


def pool_in_float64(x, kernel_size, stride, padding):
    return max_pool2d(x, kernel_size, stride, padding) + np.zeros(1)


def by_places(x, weight, stride, padding, dilation):
    """Right, place by place, its numbers in another order of memory."""
    return np.asfortranarray(read_at(x, weight, stride, padding, dilation, stride, padding, dilation))


def through_a_filter_with_zeros(x, weight, stride, padding, dilation):
    """Right: the holes are weights that are 0."""
    F, C, KH, KW = weight.shape
    (DH, DW) = dilation
    filled = np.zeros((F, C, (KH - 1) * DH + 1, (KW - 1) * DW + 1), weight.dtype)
    filled[:, :, ::DH, ::DW] = weight
    return dilated_conv2d(x, filled, stride, padding, (1, 1))


def pool_by_views(x, kernel_size, stride, padding):
    """Right: a view of all windows, channels last."""
    framed = np.pad(x, ((0, 0), (0, 0), *[(one, one) for one in padding]), constant_values=-np.inf)
    seen = np.lib.stride_tricks.sliding_window_view(framed.transpose(0, 2, 3, 1), kernel_size, axis=(1, 2))
    return seen.max(axis=(4, 5))[:, :: stride[0], :: stride[1]].transpose(0, 3, 1, 2)


RIGHT = {"dilated_conv2d": dilated_conv2d, "max_pool2d": max_pool2d}
ALSO_RIGHT = [
    {"dilated_conv2d": by_places},
    {"dilated_conv2d": through_a_filter_with_zeros},
    {"max_pool2d": pool_by_views},
]

WRONG = [
    ({"dilated_conv2d": holes_forgotten}, "dilation 2: I and J are not right: the holes of the filter are not counted"),
    ({"dilated_conv2d": hole_behind_the_last_tap}, "dilation 2: I and J are not right: the filter is taken to cover K"),
    ({"dilated_conv2d": taps_side_by_side}, "dilation 2: the filter has no holes"),
    ({"dilated_conv2d": dilations_exchanged}, r"dilation \(3, 2\): the dilations are exchanged"),
    ({"dilated_conv2d": one_dilation}, r"dilation \(3, 2\): the dilation of the height is used for the width"),
    ({"dilated_conv2d": dilation_moves_the_windows}, "dilation 2: the dilation moves the windows; it should"),
    ({"dilated_conv2d": stride_ignored}, r"stride \(2, 3\), dilation \(1, 2\): the stride is ignored"),
    ({"dilated_conv2d": strides_exchanged}, r"stride \(2, 3\), dilation \(1, 2\): the strides are exchanged"),
    ({"dilated_conv2d": image_in_the_corner}, "the padding is at the wrong sides: the image begins PH rows and"),
    ({"dilated_conv2d": turned}, "dilated_conv2d, 2×3: the filter is turned by 180°"),
    ({"dilated_conv2d": last_tap_stays}, "dilated_conv2d, 2×3: only the last tap of the filter counts"),
    ({"dilated_conv2d": mean_over_the_channels}, "dilated_conv2d, 2×3: divided by C once too often"),
    ({"dilated_conv2d": fence_post}, "dilated_conv2d, 2×3: I and J are not right: one place too few"),
    ({"dilated_conv2d": channels_kept_apart}, r"dilated_conv2d, 2×3: the shape is"),
    ({"dilated_conv2d": always_float64}, "dilated_conv2d, 2×3: right, but of float32 arrays it makes float64"),
    ({"max_pool2d": frame_of_zeros}, r"max_pool2d, 3×3, padding \(1, 0\): the frame wins"),
    ({"max_pool2d": begins_at_zero}, "max_pool2d, 2×2, stride 2: what y begins with wins"),
    ({"max_pool2d": smallest}, "max_pool2d, 2×2, stride 2: it is the smallest"),
    ({"max_pool2d": largest_by_size}, "max_pool2d, 2×2, stride 2: it is the largest by size"),
    ({"max_pool2d": mean_of_the_window}, "max_pool2d, 2×2, stride 2: it is the mean"),
    ({"max_pool2d": pool_without_stride}, "max_pool2d, 2×2, stride 2: the stride is ignored"),
    ({"max_pool2d": pool_padded_on_one_side}, r"max_pool2d, 3×3, padding \(1, 0\): I and J are not right: the padd"),
    ({"max_pool2d": pool_in_float64}, "max_pool2d, 2×2, stride 2: right, but of float32 arrays it makes float64"),
]
