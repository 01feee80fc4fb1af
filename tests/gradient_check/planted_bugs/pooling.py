"""Pooling."""

import numpy as np

from minires.kernels import numpy_kernels
from minires.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from planted_bugs.planting import planted

right_max_pool = numpy_kernels.max_pool2d_backward
right_avg_pool = numpy_kernels.avg_pool2d_backward


@planted(MaxPool2d, "max_pool2d, 2×2", kernel="max_pool2d_backward", says="numbers are wrong, those marked X")
def last_of_the_window_wins(grad_y, winners, x_shape, kernel_size, stride, padding):
    return right_max_pool(grad_y, np.full_like(winners, 3), x_shape, kernel_size, stride, padding)


@planted(
    MaxPool2d,
    "max_pool2d, 2×3, stride (1, 2), padding (0, 1)",
    kernel="max_pool2d_backward",
    says="of 80 numbers are wrong, those marked X",
)
def overlapping_windows_overwrite(grad_y, winners, x_shape, kernel_size, stride, padding):
    grad_x = numpy_kernels.padded_zeros(x_shape, padding, grad_y.dtype)
    for which in range(kernel_size[0] * kernel_size[1]):
        u, v = divmod(which, kernel_size[1])
        seen = grad_x[numpy_kernels.tap(u, v, *grad_y.shape[2:], stride)]
        seen[winners == which] = grad_y[winners == which]
    return numpy_kernels.crop_images(grad_x, x_shape, padding)


@planted(MaxPool2d, "max_pool2d, 2×3, stride (1, 2), padding (0, 1)", kernel="max_pool2d_backward")
def winner_read_column_first(grad_y, winners, x_shape, kernel_size, stride, padding):
    u, v = winners % kernel_size[0], winners // kernel_size[0]
    return right_max_pool(grad_y, u * kernel_size[1] + v, x_shape, kernel_size, stride, padding)


@planted(MaxPool2d, "max_pool2d, ties", says="the worst at all elements moved together")
def every_tie_takes_it_all(self, grad_y):
    x = self.inputs[0].data
    grown = grad_y.repeat(2, axis=2).repeat(2, axis=3)
    largest = x.reshape(1, 2, 2, 2, 2, 2).max(axis=(3, 5)).repeat(2, axis=2).repeat(2, axis=3)
    return (np.where(x == largest, grown, 0),)


@planted(AvgPool2d, "avg_pool2d, 2×2", kernel="avg_pool2d_backward", says="not divided by the size of the window")
def window_size_forgotten(grad_y, x_shape, kernel_size, stride, padding):
    return 4 * right_avg_pool(grad_y, x_shape, kernel_size, stride, padding)


@planted(
    AvgPool2d,
    "avg_pool2d, 3×3, stride 2, padding 1",
    kernel="avg_pool2d_backward",
    says="numbers are wrong, those marked X",
)
def padding_not_counted(grad_y, x_shape, kernel_size, stride, padding):
    share = numpy_kernels.avg_pool2d_forward(np.ones(x_shape), kernel_size, stride, padding)
    return right_avg_pool(grad_y / share, x_shape, kernel_size, stride, padding)


@planted(AvgPool2d, "avg_pool2d, 2×3, stride (1, 2), padding (0, 1)", kernel="avg_pool2d_backward")
def strides_swapped(grad_y, x_shape, kernel_size, stride, padding):
    grad_x = np.zeros((*x_shape[:2], 20, 20))
    for u in range(kernel_size[0]):
        for v in range(kernel_size[1]):
            grad_x[numpy_kernels.tap(u, v, *grad_y.shape[2:], stride[::-1])] += grad_y / 6
    return grad_x[:, :, : x_shape[2], 1 : x_shape[3] + 1]


@planted(
    GlobalAvgPool2d,
    "global_avg_pool2d",
    says="every pixel gets all of the gradient",
)
def image_size_forgotten(self, grad_y):
    return (np.broadcast_to(grad_y[:, :, None, None], self.x.shape),)


@planted(GlobalAvgPool2d, "global_avg_pool2d", says="on square images it seems right")
def divided_by_the_height_twice(self, grad_y):
    return (np.broadcast_to(grad_y[:, :, None, None] / self.x.shape[2] ** 2, self.x.shape),)


@planted(AdaptiveAvgPool2d, "adaptive_avg_pool2d, 2×3", says="windows overwrite each other")
def adaptive_windows_overwrite(self, grad_y):
    grad_x = np.zeros(self.x_shape)
    for i, j, rows, columns in self.windows():
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        grad_x[:, :, rows, columns] = grad_y[:, :, i : i + 1, j : j + 1] / size
    return (grad_x,)


@planted(AdaptiveAvgPool2d, "adaptive_avg_pool2d, 2×3", says="all windows are taken to have one size")
def all_windows_of_one_size(self, grad_y):
    grad_x = np.zeros(self.x_shape)
    for i, j, rows, columns in self.windows():
        grad_x[:, :, rows, columns] += grad_y[:, :, i : i + 1, j : j + 1] * 6 / (self.x_shape[2] * self.x_shape[3])
    return (grad_x,)
