"""Pools with ceil_mode and without count_include_pad: the last windows' counts, and who gets what of them."""

import numpy as np

from minires.ops.general_pooling import CeilMaxPool2d, GeneralAvgPool2d
from planted_bugs.planting import planted

right_max, right_average = CeilMaxPool2d.backward, GeneralAvgPool2d.backward


@planted(CeilMaxPool2d, "max_pool2d, ceil_mode, 3×3, stride 2", says="with respect to|wrong")
def last_windows_forgotten(self, grad_y):
    inside = grad_y.copy()
    inside[:, :, -1] = 0
    return right_max(self, inside)


@planted(CeilMaxPool2d, "max_pool2d, ceil_mode, 3×3, stride 2")
def winners_read_column_first(self, grad_y):
    right = self.winners
    self.winners = right % 3 * 3 + right // 3
    grads = right_max(self, grad_y)
    self.winners = right
    return grads


@planted(CeilMaxPool2d, "max_pool2d, ceil_mode, ties", says="the worst at all elements moved together")
def every_tie_takes_it_all(self, grad_y):
    x, grad_x = self.inputs[0].data, np.zeros(self.x_shape)
    for i, j in np.ndindex(grad_y.shape[2:]):
        place = (..., slice(3 * i, 3 * i + 2), slice(3 * j, 3 * j + 2))
        largest = x[place].max(axis=(2, 3), keepdims=True)
        grad_x[place] += np.where(x[place] == largest, grad_y[:, :, i : i + 1, j : j + 1], 0)
    return (grad_x,)


def averaged(self, grad_y, count):
    """Share gradients out, window by window; count(rows, columns in the image, those of the window)."""
    grad_x, (KH, KW), (SH, SW), (P, Q) = np.zeros(self.x_shape), self.kernel_size, self.stride, self.padding
    for i, j in np.ndindex(grad_y.shape[2:]):
        h, w = i * SH - P, j * SW - Q
        seen = grad_x[:, :, max(h, 0) : h + KH, max(w, 0) : w + KW]
        seen += grad_y[:, :, i : i + 1, j : j + 1] / count(seen.shape[2:], (KH, KW))
    return (grad_x,)


@planted(GeneralAvgPool2d, "avg_pool2d, ceil_mode, 3×3, stride 2")
def divided_by_the_whole_window(self, grad_y):
    return averaged(self, grad_y, lambda seen, window: window[0] * window[1])


@planted(GeneralAvgPool2d, "avg_pool2d, ceil_mode, padding 1")
def divided_by_the_image_alone(self, grad_y):
    return averaged(self, grad_y, lambda seen, window: seen[0] * seen[1])


@planted(GeneralAvgPool2d, "avg_pool2d, padding not counted")
def padding_counted(self, grad_y):
    return averaged(self, grad_y, lambda seen, window: window[0] * window[1])


@planted(GeneralAvgPool2d, "avg_pool2d, ceil_mode, padding not counted")
def rows_counted_and_columns_not(self, grad_y):
    return averaged(self, grad_y, lambda seen, window: seen[0] * window[1])


@planted(GeneralAvgPool2d, "avg_pool2d, ceil_mode, padding 1", says="times the gradient|with respect to|wrong")
def window_size_lost(self, grad_y):
    return (right_average(self, grad_y)[0] * 9,)
