"""Convolution: its two gradients, and the way between images and columns.

Three mistakes are those that the diagnosis knows; they stand there.
"""

import numpy as np

from minires.gradient_check.known.convolution import filter_turned, rim_at_one_side, windows_overwrite
from minires.kernels import numpy_kernels
from minires.ops.convolution import Conv2d
from planted_bugs.planting import planted

right_grad_weight = numpy_kernels.conv2d_grad_weight


for case, mistake in [
    ("conv2d, 3×3", filter_turned),
    ("conv2d, 3×3", windows_overwrite),
    ("conv2d, no bias", rim_at_one_side),
]:
    names = "the filter is turned|windows overwrite each other|the rim is cut off at the wrong sides"
    planted(Conv2d, case, kernel="conv2d_grad_input", says=names)(mistake)


@planted(Conv2d, "conv2d, 3×3, stride 2, padding 1", kernel="col2im", says="the stride is ignored")
def col2im_ignores_the_stride(cols, x_shape, kernel_size, stride, padding):
    (N, C, _, _), (KH, KW) = x_shape, kernel_size
    I, J = numpy_kernels.output_size(x_shape, kernel_size, stride, padding)
    cols = cols.reshape(N, C, KH, KW, I, J)
    x = numpy_kernels.padded_zeros(x_shape, padding, cols.dtype)
    for u in range(KH):
        for v in range(KW):
            x[numpy_kernels.tap(u, v, I, J, (1, 1))] += cols[:, :, u, v]
    return numpy_kernels.crop_images(x, x_shape, padding)


@planted(Conv2d, "conv2d, 3×2, stride (2, 1), padding (1, 2)", kernel="crop_images", says="PH and PW are exchanged")
def padding_swapped(padded, x_shape, padding):
    P, Q = padding[1], padding[0]
    cropped = padded[:, :, P : P + x_shape[2], Q : Q + x_shape[3]]
    missing = [(0, wanted - got) for wanted, got in zip(x_shape, cropped.shape, strict=True)]
    return np.pad(cropped, missing)


@planted(Conv2d, "conv2d, 3×3", kernel="conv2d_grad_weight", says="it is flipped along axes 2 and 3")
def weight_gradient_flipped(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y, x, weight_shape, stride, padding)[:, :, ::-1, ::-1]


@planted(
    Conv2d,
    "conv2d, 3×2, stride (2, 1), padding (1, 2)",
    kernel="conv2d_grad_weight",
    says="transposed: axes 2 and 3 are exchanged",
)
def height_and_width_swapped(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y, x, weight_shape, stride, padding).swapaxes(2, 3).reshape(weight_shape)


@planted(Conv2d, "conv2d, 3×3", kernel="conv2d_grad_weight", says="only the first image of the batch counts")
def first_image_only(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y[:1], x[:1], weight_shape, stride, padding)


@planted(Conv2d, "conv2d, no bias", kernel="conv2d_grad_weight", says="backward raised ValueError")
def padding_forgotten(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y, x, weight_shape, stride, (0, 0))


@planted(Conv2d, "conv2d, 3×3", says="with respect to bias.*\n.*divided by N once too often")
def bias_averaged_over_images(self, grad_y):
    grad_x = self.kernels.conv2d_grad_input(grad_y, self.weight, self.x.shape, self.stride, self.padding)
    grad_weight = self.kernels.conv2d_grad_weight(grad_y, self.x, self.weight.shape, self.stride, self.padding)
    return grad_x, grad_weight, grad_y.mean(axis=0).sum(axis=(1, 2))


@planted(
    Conv2d, "conv2d, no bias", says="backward gave 1 gradients instead of a tuple of one gradient for each of the 2"
)
def gradients_not_needed_left_out(self, grad_y):
    grads = []
    if self.needs_grad[0]:
        grads += [self.kernels.conv2d_grad_input(grad_y, self.weight, self.x.shape, self.stride, self.padding)]
    if self.needs_grad[1]:
        grads += [self.kernels.conv2d_grad_weight(grad_y, self.x, self.weight.shape, self.stride, self.padding)]
    return tuple(grads)
