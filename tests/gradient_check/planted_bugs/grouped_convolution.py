"""Convolution with groups and dilation: groups mixed up, taps at the wrong distance."""

import numpy as np

from minires.kernels import numpy_kernels
from minires.ops.grouped_convolution import GroupedConv2d
from planted_bugs.planting import planted

right_grad_input = numpy_kernels.grouped_conv2d_grad_input
right_grad_weight = numpy_kernels.grouped_conv2d_grad_weight


@planted(GroupedConv2d, "conv2d, 2 groups", kernel="grouped_conv2d_grad_input", says="with respect to x")
def groups_in_reverse(grad_y, weight, x_shape, stride, padding, dilation, groups):
    return right_grad_input(grad_y, weight, x_shape, stride, padding, dilation, groups)[:, ::-1]


@planted(GroupedConv2d, "conv2d, 2 groups", kernel="grouped_conv2d_grad_input", says="with respect to x")
def groups_dealt_out_in_turn(grad_y, weight, x_shape, stride, padding, dilation, groups):
    F = grad_y.shape[1]
    order = np.arange(F).reshape(F // groups, groups).T.reshape(-1)  # filters 0, 2, 4 in the first group
    return right_grad_input(grad_y[:, order], weight[order], x_shape, stride, padding, dilation, groups)


@planted(GroupedConv2d, "conv2d, depthwise, stride 2", kernel="grouped_conv2d_grad_input", says="with respect to x")
def first_group_alone(grad_y, weight, x_shape, stride, padding, dilation, groups):
    grad_x = right_grad_input(grad_y, weight, x_shape, stride, padding, dilation, groups)
    grad_x[:, weight.shape[1] :] = 0
    return grad_x


@planted(GroupedConv2d, "conv2d, dilation 2", kernel="grouped_conv2d_grad_input", says="with respect to x")
def taps_side_by_side(grad_y, weight, x_shape, stride, padding, dilation, groups):
    grad_x = numpy_kernels.padded_zeros(x_shape, padding, grad_y.dtype)
    for u, v in np.ndindex(weight.shape[2:]):
        place = numpy_kernels.tap(u, v, *grad_y.shape[2:], stride)
        grad_x[place] += np.einsum("nfij,fc->ncij", grad_y, weight[:, :, u, v])
    return numpy_kernels.crop_images(grad_x, x_shape, padding)


@planted(
    GroupedConv2d,
    "conv2d, 2 groups, 2×3, stride (1, 2), dilation (3, 2)",
    kernel="grouped_conv2d_grad_input",
    says="with respect to x",
)
def taps_overwrite(grad_y, weight, x_shape, stride, padding, dilation, groups):
    CG, FG = weight.shape[1], weight.shape[0] // groups
    grad_x = numpy_kernels.padded_zeros(x_shape, padding, grad_y.dtype)
    for u, v in np.ndindex(weight.shape[2:]):
        place = numpy_kernels.tap(u * dilation[0], v * dilation[1], *grad_y.shape[2:], stride)
        for g in range(groups):
            filters, channels = slice(g * FG, (g + 1) * FG), slice(g * CG, (g + 1) * CG)
            share = np.einsum("nfij,fc->ncij", grad_y[:, filters], weight[filters, :, u, v])
            grad_x[place][:, channels] = share
    return numpy_kernels.crop_images(grad_x, x_shape, padding)


@planted(
    GroupedConv2d,
    "conv2d, 2 groups, 2×3, stride (1, 2), dilation (3, 2)",
    kernel="grouped_conv2d_grad_weight",
    says="with respect to weight|raised",
)
def dilations_exchanged(grad_y, x, weight_shape, stride, padding, dilation, groups):
    wide = np.pad(x, ((0, 0), (0, 0), (0, 9), (0, 9)))
    grad_weight = np.empty(weight_shape)
    CG, FG, (I, J) = weight_shape[1], weight_shape[0] // groups, grad_y.shape[2:]
    padded = np.pad(wide, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    for f, c, u, v in np.ndindex(weight_shape):
        seen = padded[numpy_kernels.tap(u * dilation[1], v * dilation[0], I, J, stride)]
        grad_weight[f, c, u, v] = (grad_y[:, f] * seen[:, f // FG * CG + c]).sum()
    return grad_weight


@planted(GroupedConv2d, "conv2d, 2 groups, no bias", kernel="grouped_conv2d_grad_weight", says="with respect to weight")
def mean_over_the_groups(grad_y, x, weight_shape, stride, padding, dilation, groups):
    return right_grad_weight(grad_y, x, weight_shape, stride, padding, dilation, groups) / groups


@planted(GroupedConv2d, "conv2d, dilation 2", kernel="grouped_conv2d_grad_weight", says="with respect to weight")
def filter_flipped(grad_y, x, weight_shape, stride, padding, dilation, groups):
    grad_weight = right_grad_weight(grad_y, x, weight_shape, stride, padding, dilation, groups)
    return grad_weight[:, :, ::-1, ::-1]


@planted(GroupedConv2d, "conv2d, depthwise, stride 2", says="with respect to bias")
def bias_of_the_first_row(self, grad_y):
    window = self.stride, self.padding, self.dilation, self.groups
    grad_x = self.kernels.grouped_conv2d_grad_input(grad_y, self.weight, self.x.shape, *window)
    grad_weight = self.kernels.grouped_conv2d_grad_weight(grad_y, self.x, self.weight.shape, *window)
    return grad_x, grad_weight, grad_y[:, :, 0].sum(axis=(0, 2))
