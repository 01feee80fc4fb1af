"""Chapter 6: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_06 import flat, im2col, output_size, six_indices


def fence_post(x_shape, kernel_size, stride, padding):
    I, J = output_size(x_shape, kernel_size, stride, padding)
    return I - 1, J - 1


def padded_on_one_side(x_shape, kernel_size, stride, padding):
    H, W = x_shape[2:]
    return (
        (H + padding[0] - kernel_size[0]) // stride[0] + 1,
        (W + padding[1] - kernel_size[1]) // stride[1] + 1,
    )


def width_first(x_shape, kernel_size, stride, padding):
    return output_size(x_shape, kernel_size, stride, padding)[::-1]


def patches_as_rows(x, kernel_size, stride, padding):
    return np.ascontiguousarray(im2col(x, kernel_size, stride, padding).swapaxes(1, 2))


def channels_last(x, kernel_size, stride, padding):
    cols = six_indices(x, kernel_size, stride, padding)
    return cols.transpose(0, 2, 3, 1, 4, 5).reshape(flat(cols).shape)


def places_by_columns(x, kernel_size, stride, padding):
    cols = six_indices(x, kernel_size, stride, padding)
    return cols.swapaxes(4, 5).reshape(flat(cols).shape)


def one_stride(x, kernel_size, stride, padding):
    (N, C), (KH, KW), S = x.shape[:2], kernel_size, stride[0]
    I, J = output_size(x.shape, kernel_size, stride, padding)
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    padded = np.pad(padded, ((0, 0), (0, 0), (0, 0), (0, S * J)))
    cols = np.zeros((N, C, KH, KW, I, J), x.dtype)
    for i in range(I):
        for j in range(J):
            cols[:, :, :, :, i, j] = padded[:, :, i * S : i * S + KH, j * S : j * S + KW]
    return flat(cols)


def edge_repeated(x, kernel_size, stride, padding):
    (PH, PW) = padding
    return im2col(np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), mode="edge"), kernel_size, stride, (0, 0))


def always_float64(x, kernel_size, stride, padding):
    return im2col(x, kernel_size, stride, padding).astype(np.float64)


def stride_forgotten(x_shape, kernel_size, stride, padding):
    return output_size(x_shape, kernel_size, (1, 1), padding)


def rounded_up(x_shape, kernel_size, stride, padding):
    H, W = x_shape[2:]
    I = -((kernel_size[0] - H - 2 * padding[0]) // stride[0]) + 1
    J = -((kernel_size[1] - W - 2 * padding[1]) // stride[1]) + 1
    return I, J


def not_rounded(x_shape, kernel_size, stride, padding):
    return tuple(float(size) for size in output_size(x_shape, kernel_size, stride, padding))


def read_at(x, kernel_size, stride, padding, apart, corner):
    """Columns of windows `apart` from each other, of an image that lies at `corner` of its frame."""
    I, J = output_size(x.shape, kernel_size, stride, padding)
    (KH, KW), (SH, SW), (N, C, H, W) = kernel_size, apart, x.shape
    framed = np.zeros((N, C, H + 40, W + 40), x.dtype)
    framed[:, :, corner[0] : corner[0] + H, corner[1] : corner[1] + W] = x
    cols = np.zeros((N, C, KH, KW, I, J), x.dtype)
    for i in range(I):
        for j in range(J):
            cols[:, :, :, :, i, j] = framed[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW]
    return flat(cols)


def without_stride(x, kernel_size, stride, padding):
    return read_at(x, kernel_size, stride, padding, (1, 1), padding)


def image_in_the_corner(x, kernel_size, stride, padding):
    return read_at(x, kernel_size, stride, padding, stride, (0, 0))


def paddings_exchanged(x, kernel_size, stride, padding):
    return read_at(x, kernel_size, stride, padding, stride, padding[::-1])


def taps_turned(x, kernel_size, stride, padding):
    return flat(six_indices(x, kernel_size, stride, padding)[:, :, ::-1, ::-1])


def u_and_v(x, kernel_size, stride, padding):
    cols = six_indices(x, kernel_size, stride, padding)
    return cols.swapaxes(2, 3).reshape(flat(cols).shape)


def one_image(x, kernel_size, stride, padding):
    cols = im2col(x, kernel_size, stride, padding)
    cols[1:] = 0
    return cols


RIGHT = {"output_size": output_size, "im2col": im2col}

WRONG = [
    ({"output_size": fence_post}, "output_size, 2×2: one place too few"),
    ({"output_size": width_first}, "output_size, 2×2: height and width are exchanged"),
    ({"output_size": padded_on_one_side}, r"output_size, padding \(1, 2\): the padding is counted on one side"),
    ({"im2col": patches_as_rows}, "each patch is a row"),
    ({"im2col": channels_last}, "the channel runs fastest"),
    ({"im2col": places_by_columns}, "the places are in the wrong order"),
    ({"im2col": one_stride}, r"im2col, stride \(2, 3\): the stride of the height is used for the width"),
    ({"im2col": edge_repeated}, "the frame is not"),
    ({"output_size": stride_forgotten}, r"output_size, stride \(2, 3\): the stride is ignored"),
    ({"output_size": rounded_up}, "it is rounded up, not down"),
    ({"output_size": not_rounded}, "are no integers"),
    ({"im2col": without_stride}, r"im2col, stride \(2, 3\): the stride is ignored"),
    ({"im2col": image_in_the_corner}, r"im2col, padding \(1, 2\): the padding is at the wrong sides: the image begins"),
    ({"im2col": paddings_exchanged}, r"im2col, padding \(1, 2\): the padding is at the wrong sides: PH and PW"),
    ({"im2col": taps_turned}, "the taps are turned by 180°"),
    ({"im2col": u_and_v}, "u and v are exchanged within a patch: v runs"),
    ({"im2col": one_image}, "only the first place along axis 0 is filled"),
    ({"im2col": always_float64}, "the columns of float32 images are float64"),
]
