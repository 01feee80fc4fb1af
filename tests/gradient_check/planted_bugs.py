"""Wrong backward passes, one mistake each: what the gradient checker must catch.

Each names the case of minires/gradient_check/cases.py whose shapes reveal it, and, where the checker can tell what kind
of mistake it is, what the message must say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.engine import Op
from minires.kernels import numpy_kernels
from minires.kernels.blocks import block_backward
from minires.ops.activation import ELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from minires.ops.affine import Linear, MatMul
from minires.ops.arithmetic import Abs, Add, Divide, Exp, Log, Multiply, Negative, Power, Sqrt, Subtract, Where
from minires.ops.convolution import Conv2d
from minires.ops.fused import (
    BatchNormReLU,
    BatchNormReLUInference,
    ConvBatchNormReLU,
    ConvBatchNormReLUInference,
    ResidualBlock,
)
from minires.ops.loss import CrossEntropy, MSELoss
from minires.ops.normalization import BatchNorm, BatchNormInference
from minires.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from minires.ops.reduction import Max, Mean, Sum, Var
from minires.ops.regularization import Dropout
from minires.ops.shape import Concatenate, Getitem, Pad, Reshape, Transpose
from minires.ops.shortcut import OptionA, ResidualAdd


@dataclass
class Bug:
    op: type[Op]
    case: str
    wrong: Callable[..., Any]
    kernel: str | None  # the kernel that is replaced; None: the op's backward
    says: str  # a regular expression for the checker's message

    @property
    def name(self) -> str:
        return f"{self.op.__name__}-{self.wrong.__name__}"


BUGS: list[Bug] = []


def planted(op: type[Op], case: str, says: str = "", kernel: str | None = None) -> Callable[..., Any]:
    def plant(wrong: Callable[..., Any]) -> Callable[..., Any]:
        BUGS.append(Bug(op, case, wrong, kernel, says))
        return wrong

    return plant


# Arithmetic


@planted(Add, "add, broadcast", says="the forward pass broadcast this input, so its gradient must be summed")
def broadcasting_not_undone(self, grad_y):
    return grad_y, grad_y


@planted(Add, "add, broadcast", says="1/3 of the gradient: a factor 3 is missing")
def broadcasting_undone_by_a_mean(self, grad_y):
    return grad_y.mean(axis=1, keepdims=True), grad_y.sum(axis=(0, 2)).reshape(self.b_shape)


@planted(Subtract, "subtract", says="with respect to b.*\n.*the sign is wrong")
def sign_of_the_second_forgotten(self, grad_y):
    return grad_y, grad_y


@planted(Multiply, "multiply")
def own_factor_instead_of_the_other(self, grad_y):
    return grad_y * self.a, grad_y * self.b


@planted(Multiply, "multiply", says="backward gave no gradient for input 1")
def second_gradient_forgotten(self, grad_y):
    return grad_y * self.b, None


@planted(Divide, "divide", says="with respect to b.*\n.*the sign is wrong")
def sign_of_the_denominator_forgotten(self, grad_y):
    return grad_y / self.b, grad_y * self.y / self.b


@planted(Divide, "divide")
def denominator_not_squared(self, grad_y):
    return grad_y / self.b, -grad_y * self.y


@planted(Power, "power", says="with respect to a.*\n.*there is a factor too many: the argument")
def exponent_not_lowered(self, grad_y):
    return grad_y * self.b * self.y, grad_y * self.y * np.log(self.a)


@planted(Power, "power, tensor ** 3", says="1/3 of the gradient: a factor 3 is missing")
def exponent_not_brought_down(self, grad_y):
    return grad_y * self.a ** (self.b - 1), None


@planted(Power, "power, 2 ** tensor", says=r"backward gives 1\.4427 times the gradient")
def logarithm_forgotten(self, grad_y):
    return None, grad_y * self.y


@planted(Negative, "negative", says="the sign is wrong")
def not_negated(self, grad_y):
    return (grad_y,)


@planted(Negative, "negative", says="2 times the gradient: a factor 1/2 is missing, or it was added twice")
def added_twice(self, grad_y):
    return (-(grad_y + grad_y),)


@planted(Exp, "exp", says="a factor is missing: the output")
def exp_forgotten(self, grad_y):
    return (grad_y,)


@planted(Log, "log")
def log_multiplies(self, grad_y):
    return (grad_y * self.x,)


@planted(Sqrt, "sqrt", says="2 times the gradient")
def one_half_forgotten(self, grad_y):
    return (grad_y / self.y,)


@planted(Sqrt, "sqrt", says="not finite at 12 of 12")
def not_a_number(self, grad_y):
    return (grad_y * np.nan,)


@planted(Abs, "abs", says="at the others the sign is wrong")
def sign_forgotten(self, grad_y):
    return (grad_y,)


@planted(Where, "where")
def masks_swapped(self, grad_y):
    return np.where(self.condition, 0, grad_y), np.where(self.condition, grad_y, 0)


@planted(Where, "where", says="elements are right")
def mask_forgotten(self, grad_y):
    return grad_y, grad_y


# Reductions


@planted(Sum, "sum, axis 1", says="1/4 of the gradient: a factor 4 is missing .4 is the size of the argument's axis 1.")
def sum_divided(self, grad_y):
    return (self.spread(grad_y / 4, self.x_shape),)


@planted(Sum, "sum, all", says=r"gradient of shape \(\) for input 0 of shape \(3, 4\)")
def sum_not_spread(self, grad_y):
    return (grad_y,)


@planted(
    Mean,
    "mean, all",
    says="12 times the gradient: a factor 1/12 is missing .12 is the size of the argument's axes 0 and 1",
)
def one_over_n_forgotten(self, grad_y):
    return (self.spread(grad_y, self.x_shape),)


@planted(Mean, "mean, axis 1", says="1/6 of the gradient: a factor 6 is missing .* axes 0 and 2")
def divided_by_the_whole_size(self, grad_y):
    return (self.spread(grad_y / 24, self.x_shape),)


@planted(Max, "max, axis 1", says="the right numbers in the wrong places")
def all_to_the_last(self, grad_y):
    grad_x = np.zeros(self.is_max.shape)
    grad_x[:, -1] = grad_y
    return (grad_x,)


@planted(Max, "max, ties", says="the worst at all elements moved together")
def all_of_it_to_every_tie(self, grad_y):
    return (grad_y[:, None] * self.is_max,)


@planted(Var, "var, all", says="6 times the gradient: a factor 1/6 is missing")
def two_over_n_forgotten(self, grad_y):
    return (grad_y * self.centred,)


@planted(Var, "var, axes 0 and −1, keepdims", says="off by a constant, as when a mean")
def mean_not_subtracted(self, grad_y):
    return (grad_y * 2 / 6 * self.inputs[0].data,)


@planted(Var, "var, all", says=r"1\.09091 times the gradient")
def n_minus_one(self, grad_y):
    return (grad_y * 2 / 11 * self.centred,)


# Shapes


@planted(Reshape, "reshape", says="the right numbers in the wrong places")
def columns_first(self, grad_y):
    return (grad_y.reshape(self.x_shape, order="F"),)


@planted(Transpose, "transpose", says="the gradient is transposed")
def forward_permutation_again(self, grad_y):
    return (grad_y.transpose(self.axes),)


@planted(Transpose, "transpose, reversed", says="transposed: axes 0 and 1 are swapped")
def reshaped_instead_of_transposed(self, grad_y):
    return (grad_y.reshape(2, 3),)


@planted(Pad, "pad", says="shifted by [+]1 along axis 1")
def cropped_one_column_off(self, grad_y):
    return (grad_y[1:4, 1:5],)


@planted(Concatenate, "concatenate, axis 1", says="with respect to b")
def every_part_from_the_start(self, grad_y):
    return tuple([grad_y[:, :size] for size in self.sizes])


@planted(Concatenate, "concatenate, axis 1", says=r"gradient of shape \(2, 2\) for input 0 of shape \(2, 3\)")
def parts_in_reverse(self, grad_y):
    return grad_y[:, 4:], grad_y[:, 3:4], grad_y[:, :3]


@planted(
    Getitem, "getitem, repeated rows", says="8 of 12 elements are right; the wrong ones are at 2 of 0…2 along axis 0"
)
def assigned_instead_of_added(self, grad_y):
    grad_x = np.zeros(self.x_shape)
    grad_x[self.index] = grad_y
    return (grad_x,)


# Activations


@planted(ReLU, "relu", says="elements are right")
def passes_everything(self, grad_y):
    return (grad_y,)


@planted(ReLU, "relu", kernel="relu_backward")
def passes_the_negative(grad_y, y):
    return np.where(y > 0, 0, grad_y)


@planted(ReLU, "relu", says="backward gave a ndarray instead of a tuple")
def no_tuple(self, grad_y):
    return np.where(self.y > 0, grad_y, 0)


@planted(LeakyReLU, "leaky_relu, slope 0.2", says="at the others backward gives 0")
def slope_forgotten(self, grad_y):
    return (np.where(self.x > 0, grad_y, 0),)


@planted(LeakyReLU, "leaky_relu, slope 0.2")
def slope_on_the_other_side(self, grad_y):
    return (np.where(self.x > 0, self.negative_slope * grad_y, grad_y),)


@planted(ELU, "elu, alpha 0.7", says="elements are right")
def alpha_forgotten(self, grad_y):
    return (grad_y * np.where(self.slope == 1, 1, self.slope - self.alpha),)


@planted(ELU, "elu, alpha 0.7", says="elements are right")
def derivative_of_the_wrong_side(self, grad_y):
    x = self.inputs[0].data
    return (grad_y * np.where(x > 0, self.alpha * np.exp(x), self.slope),)


@planted(ELU, "selu", says=r"0\.9517.* times the gradient")
def scale_forgotten(self, grad_y):
    return (grad_y * self.slope / self.scale,)


@planted(ELU, "selu", says="wrote into the gradient it was handed")
def scaled_in_place(self, grad_y):
    grad_y *= self.slope
    return (grad_y,)


@planted(Tanh, "tanh")
def one_minus_y(self, grad_y):
    return (grad_y * (1 - self.y),)


@planted(Tanh, "tanh", says="dtype float32 for input 0 of dtype float64")
def another_dtype(self, grad_y):
    return ((grad_y * (1 - self.y**2)).astype(np.float32),)


@planted(Tanh, "tanh", says="changes what forward saved")
def squares_what_it_saved(self, grad_y):
    self.y *= self.y
    return (grad_y * (1 - self.y),)


@planted(Sigmoid, "sigmoid", says="a factor is missing: 1 minus the output")
def one_minus_y_forgotten(self, grad_y):
    return (grad_y * self.y,)


@planted(Softmax, "softmax", says="multiple of the output, as when softmax's sum is dropped")
def softmax_sum_forgotten(self, grad_y):
    return (grad_y * self.y,)


@planted(Softmax, "softmax", says="backward's gradient is zero")
def softmax_gives_zero(self, grad_y):
    return (np.zeros_like(grad_y),)


@planted(Softmax, "softmax, axis 1")
def softmax_sum_over_another_axis(self, grad_y):
    return (self.y * (grad_y - (grad_y * self.y).sum(axis=2, keepdims=True)),)


@planted(LogSoftmax, "log_softmax", says="multiple of e to the output, as when log_softmax's sum is dropped")
def log_softmax_sum_forgotten(self, grad_y):
    return (grad_y,)


@planted(LogSoftmax, "log_softmax")
def probabilities_forgotten(self, grad_y):
    return (grad_y - grad_y.sum(axis=-1, keepdims=True),)


@planted(Dropout, "dropout, p 0.4", says=r"0\.6 times the gradient")
def kept_not_scaled(self, grad_y):
    return (grad_y * (self.mask > 0),)


@planted(Dropout, "dropout, p 0.4", says="elements are right")
def dropped_passes_too(self, grad_y):
    return (grad_y / 0.6,)


# Matrix products


@planted(MatMul, "matmul, square", says="right with respect to: b")
def b_not_transposed(self, grad_y):
    return grad_y @ self.b, self.a.T @ grad_y


@planted(MatMul, "matmul, square", says="with respect to b.*\n.*transposed: axes 0 and 1 are swapped")
def grad_b_transposed(self, grad_y):
    return grad_y @ self.b.T, grad_y.T @ self.a


@planted(MatMul, "matmul, batches, broadcast", says="must be summed over the repeated axes")
def batches_not_summed(self, grad_y):
    return grad_y @ self.b.swapaxes(-1, -2), self.a.swapaxes(-1, -2) @ grad_y


@planted(Linear, "linear, square", says="with respect to bias")
def bias_summed_over_the_wrong_axis(self, grad_y):
    return grad_y @ self.weight, grad_y.T @ self.x, grad_y.sum(axis=1)


@planted(Linear, "linear", says="with respect to bias.*\n.*1/4 of the gradient: a factor 4 is missing")
def bias_averaged(self, grad_y):
    return grad_y @ self.weight, grad_y.T @ self.x, grad_y.mean(axis=0)


@planted(Linear, "linear, square", says="with respect to weight.*\n.*transposed: axes 0 and 1 are swapped")
def weight_transposed(self, grad_y):
    return grad_y @ self.weight, self.x.T @ grad_y, grad_y.sum(axis=0)


@planted(Linear, "linear", says=r"gradient of shape \(3, 2\) for input 1 of shape \(2, 3\): the gradient is transposed")
def weight_of_the_wrong_shape(self, grad_y):
    return grad_y @ self.weight, self.x.T @ grad_y, grad_y.sum(axis=0)


# Convolution

right_grad_input = numpy_kernels.conv2d_grad_input
right_grad_weight = numpy_kernels.conv2d_grad_weight


@planted(Conv2d, "conv2d, 3×3", kernel="conv2d_grad_input", says="with respect to x")
def filter_turned_once_too_often(grad_y, weight, x_shape, stride, padding):
    return right_grad_input(grad_y, np.ascontiguousarray(weight[:, :, ::-1, ::-1]), x_shape, stride, padding)


@planted(Conv2d, "conv2d, 3×3", kernel="col2im", says="with respect to x")
def col2im_overwrites(cols, x_shape, kernel_size, stride, padding):
    (N, C, _, _), (KH, KW) = x_shape, kernel_size
    I, J = numpy_kernels.output_size(x_shape, kernel_size, stride, padding)
    cols = cols.reshape(N, C, KH, KW, I, J)
    x = numpy_kernels.padded_zeros(x_shape, padding, cols.dtype)
    for u in range(KH):
        for v in range(KW):
            x[numpy_kernels.tap(u, v, I, J, stride)] = cols[:, :, u, v]
    return numpy_kernels.crop_images(x, x_shape, padding)


@planted(Conv2d, "conv2d, 3×3, stride 2, padding 1", kernel="col2im", says="with respect to x")
def col2im_ignores_the_stride(cols, x_shape, kernel_size, stride, padding):
    (N, C, _, _), (KH, KW) = x_shape, kernel_size
    I, J = numpy_kernels.output_size(x_shape, kernel_size, stride, padding)
    cols = cols.reshape(N, C, KH, KW, I, J)
    x = numpy_kernels.padded_zeros(x_shape, padding, cols.dtype)
    for u in range(KH):
        for v in range(KW):
            x[numpy_kernels.tap(u, v, I, J, (1, 1))] += cols[:, :, u, v]
    return numpy_kernels.crop_images(x, x_shape, padding)


@planted(Conv2d, "conv2d, no bias", kernel="crop_images", says="with respect to x")
def padding_cropped_at_one_corner(padded, x_shape, padding):
    return padded[:, :, : x_shape[2], : x_shape[3]]


@planted(Conv2d, "conv2d, 3×2, stride (2, 1), padding (1, 2)", kernel="crop_images", says="with respect to x")
def padding_swapped(padded, x_shape, padding):
    P, Q = padding[1], padding[0]
    cropped = padded[:, :, P : P + x_shape[2], Q : Q + x_shape[3]]
    missing = [(0, wanted - got) for wanted, got in zip(x_shape, cropped.shape, strict=True)]
    return np.pad(cropped, missing)


@planted(Conv2d, "conv2d, 3×3", kernel="conv2d_grad_weight", says="the gradient is flipped along axes 2 and 3")
def weight_gradient_flipped(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y, x, weight_shape, stride, padding)[:, :, ::-1, ::-1]


@planted(
    Conv2d,
    "conv2d, 3×2, stride (2, 1), padding (1, 2)",
    kernel="conv2d_grad_weight",
    says="transposed: axes 2 and 3 are swapped",
)
def height_and_width_swapped(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y, x, weight_shape, stride, padding).swapaxes(2, 3).reshape(weight_shape)


@planted(Conv2d, "conv2d, 3×3", kernel="conv2d_grad_weight", says="with respect to weight")
def first_image_only(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y[:1], x[:1], weight_shape, stride, padding)


@planted(Conv2d, "conv2d, no bias", kernel="conv2d_grad_weight", says="backward raised ValueError")
def padding_forgotten(grad_y, x, weight_shape, stride, padding):
    return right_grad_weight(grad_y, x, weight_shape, stride, (0, 0))


@planted(Conv2d, "conv2d, 3×3", says="with respect to bias.*\n.*1/2 of the gradient: a factor 2 is missing")
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


# Batch normalization


def norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=1.0, x_hat_term=1.0):
    """The right gradients, from which each planted bug takes something away."""
    axes, spread = numpy_kernels.channel_axes(x)
    M = x.size // x.shape[1]
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean.reshape(spread)) * inv_std.reshape(spread)
    grad_bias = grad_y.sum(axis=axes)
    grad_weight = (grad_y * x_hat).sum(axis=axes)
    inner = (
        grad_y - mean_term * (grad_bias / M).reshape(spread) - x_hat_term * x_hat * (grad_weight / M).reshape(spread)
    )
    return inner * (weight * inv_std).reshape(spread), grad_weight, grad_bias


@planted(
    BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="off by a constant, as when a mean or a sum"
)
def mean_term_dropped(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=0)


@planted(
    BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="as when a normalization's x̂ term is dropped"
)
def x_hat_term_dropped(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps, x_hat_term=0)


@planted(BatchNorm, "batch_norm, rows", kernel="batch_norm_backward", says="takes its batch's statistics for constants")
def evaluation_formula_in_training(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=0, x_hat_term=0)


@planted(BatchNorm, "batch_norm, rows", kernel="batch_norm_backward", says="counts its numbers wrongly")
def sums_divided_by_m_minus_one(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=6 / 5, x_hat_term=6 / 5)


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="with respect to weight")
def unbiased_variance(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var * 40 / 39, eps)


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="a factor that depends on axis 1 alone")
def weight_forgotten(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return grad_x / weight.reshape(1, -1, 1, 1), grad_weight, grad_bias


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="with respect to weight")
def eps_forgotten(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, 0)


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="right with respect to: x, bias")
def weight_gradient_from_x(grad_y, x, weight, mean, var, eps):
    grad_x, _, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return grad_x, (grad_y * x).sum(axis=(0, 2, 3)), grad_bias


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="backward's gradient is zero")
def no_gradient_to_x(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return 0 * grad_x, grad_weight, grad_bias


@planted(
    BatchNormInference,
    "batch_norm, given statistics",
    kernel="batch_norm_inference_backward",
    says="a multiple of x minus its mean",
)
def training_formula_in_evaluation(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps)


@planted(
    BatchNormInference,
    "batch_norm, given statistics",
    kernel="batch_norm_inference_backward",
    says="a factor that depends on axis 1 alone",
)
def deviation_forgotten(grad_y, x, weight, mean, var, eps):
    _, grad_weight, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return grad_y * weight.reshape(1, -1, 1, 1), grad_weight, grad_bias


# Batch norm fused with relu


@planted(BatchNormReLU, "batch_norm_relu, images", kernel="batch_norm_relu_backward")
def relu_mask_forgotten(grad_y, y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps)


@planted(BatchNormReLU, "batch_norm_relu, images", kernel="batch_norm_relu_backward", says="with respect to x")
def mask_on_the_wrong_side(grad_y, y, x, weight, mean, var, eps):
    grad_x, _, _ = norm_gradients(grad_y, x, weight, mean, var, eps)
    _, grad_weight, grad_bias = norm_gradients(grad_y * (y > 0), x, weight, mean, var, eps)
    return grad_x * (y > 0), grad_weight, grad_bias


@planted(BatchNormReLU, "batch_norm_relu, images", kernel="batch_norm_relu_backward", says="with respect to bias")
def bias_gradient_unmasked(grad_y, y, x, weight, mean, var, eps):
    grad_x, grad_weight, _ = norm_gradients(grad_y * (y > 0), x, weight, mean, var, eps)
    return grad_x, grad_weight, grad_y.sum(axis=(0, 2, 3))


@planted(BatchNormReLUInference, "batch_norm_relu, given statistics", says="with respect to x")
def mask_forgotten_in_evaluation(self, grad_y):
    return self.kernels.batch_norm_inference_backward(grad_y, self.x, self.weight, self.mean, self.var, self.eps)


# A convolution fused with batch norm, the residual add and relu. The arguments of its backward are grad_y, y, z, x,
# filters, weight, bias, mean, var, stride, padding, eps, with_x, with_shortcut, residual

right_layer = numpy_kernels.conv2d_batch_norm_relu_backward
LAYER, WITH_SHORTCUT = "conv2d_batch_norm_relu, 3×3, stride 2, padding 1", "conv2d_batch_norm_relu, 3×2, shortcut"
layer_kernel = "conv2d_batch_norm_relu_backward"


@planted(ConvBatchNormReLU, LAYER, kernel=layer_kernel, says="with respect to x")
def mask_of_the_layer_forgotten(grad_y, y, *given):
    return right_layer(grad_y, np.ones_like(y), *given)


@planted(ConvBatchNormReLU, WITH_SHORTCUT, kernel=layer_kernel, says="with respect to x")
def mask_without_the_shortcut(grad_y, y, z, x, filters, weight, bias, mean, var, *given):
    without = numpy_kernels.batch_norm_inference(z, weight, bias, mean, var, 1e-5)
    grads = right_layer(grad_y, without, z, x, filters, weight, bias, mean, var, *given)
    return *grads[:4], grad_y * (y > 0)


@planted(ConvBatchNormReLU, WITH_SHORTCUT, kernel=layer_kernel, says="with respect to shortcut")
def shortcut_gradient_unmasked(grad_y, *given):
    return *right_layer(grad_y, *given)[:4], grad_y


@planted(
    ConvBatchNormReLU,
    WITH_SHORTCUT,
    kernel=layer_kernel,
    says="with respect to shortcut.*\n.*gradient is zero.*\n.*right with respect to: x, filters, weight, bias",
)
def shortcut_gradient_forgotten(grad_y, *given):
    return *right_layer(grad_y, *given)[:4], np.zeros_like(grad_y)


@planted(ConvBatchNormReLU, LAYER, kernel=layer_kernel, says="respect to filters.*\n.*flipped along axes 2 and 3")
def filters_gradient_flipped(*given):
    grad_x, grad_filters, *others = right_layer(*given)
    return grad_x, grad_filters[:, :, ::-1, ::-1], *others


@planted(ConvBatchNormReLU, LAYER, kernel=layer_kernel, says="right with respect to: x, filters, weight\\b")
def bias_gradient_of_the_layer_unmasked(grad_y, *given):
    grads = right_layer(grad_y, *given)
    return *grads[:3], grad_y.sum(axis=(0, 2, 3)), grads[4]


@planted(ConvBatchNormReLU, LAYER, kernel=layer_kernel, says="with respect to x")
def statistics_of_the_layer_taken_for_constants(grad_y, y, z, x, filters, weight, bias, mean, var, stride, padding, *_):
    norm = grad_y * (y > 0), z, weight, mean, var, 1e-5
    grad_z, grad_weight, grad_bias = norm_gradients(*norm, mean_term=0, x_hat_term=0)
    grad_x = numpy_kernels.conv2d_grad_input(grad_z, filters, x.shape, stride, padding)
    return grad_x, right_grad_weight(grad_z, x, filters.shape, stride, padding), grad_weight, grad_bias, None


GIVEN = "conv2d_batch_norm_relu, given statistics, shortcut, 3×3, stride (2, 1), padding (1, 0)"
right_inference = ConvBatchNormReLUInference.backward


@planted(ConvBatchNormReLUInference, GIVEN, kernel="relu_backward", says="with respect to x")
def mask_of_the_layer_forgotten_in_evaluation(grad_y, y):
    return grad_y


@planted(ConvBatchNormReLUInference, GIVEN, kernel="batch_norm_inference_backward", says="with respect to x")
def training_formula_for_the_layer_in_evaluation(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps)


@planted(ConvBatchNormReLUInference, GIVEN, says="with respect to shortcut.*\n.*a factor that depends on axis 1 alone")
def shortcut_scaled_like_the_branch(self, grad_y):
    scale = self.weight / np.sqrt(self.var + self.eps)
    grads = right_inference(self, grad_y)
    return *grads[:4], grads[4] * scale.reshape(1, -1, 1, 1)


@planted(
    ConvBatchNormReLUInference,
    "conv2d_batch_norm_relu, given statistics, 3×2",
    says="with respect to filters.*\n.*backward's gradient is zero",
)
def no_gradient_to_the_filters_in_evaluation(self, grad_y):
    grad_x, grad_filters, *others = right_inference(self, grad_y)
    return grad_x, np.zeros_like(grad_filters), *others


# Residual blocks: the chain as it is, of layers that do something wrong. The last two of a layer's arguments are
# with_shortcut, which says whether it is the block's last, and residual, what came through an identity


def planted_in_block(case, says):
    """Plant a wrong layer into the chain of a residual block."""

    def plant(layer):
        def wrong(*given):
            return block_backward(layer, numpy_kernels.add_option_a_backward, *given)

        wrong.__name__ = layer.__name__
        planted(ResidualBlock, f"residual_block, {case}", says, "residual_block_backward")(wrong)
        return layer

    return plant


@planted_in_block("identity", "with respect to x.*(\n.*)*right with respect to: filters1, weight1, bias1, filters2")
def residual_not_added(*given):
    return right_layer(*given[:-1], None)


@planted_in_block("bottleneck", "with respect to x.*(\n.*)*right with respect to: filters1, weight1, bias1, filters2")
def residual_added_twice(*given):
    residual = given[-1]
    return right_layer(*given[:-1], residual if residual is None else 2 * residual)


@planted_in_block("identity", "right with respect to: filters2, weight2, bias2")
def gradient_between_the_layers_flipped(*given):
    grad_x, *others = right_layer(*given)
    return grad_x[:, :, ::-1] if given[-2] else grad_x, *others


@planted_in_block("bottleneck", "right with respect to: filters3, weight3, bias3")
def masks_of_inner_layers_forgotten(grad_y, y, *given):
    return right_layer(grad_y, y if given[-2] else np.ones_like(y), *given)


@planted_in_block("option A, stride 2", "with respect to filters1.*\n.*flipped along axes 2 and 3")
def filters_gradients_flipped(*given):
    grad_x, grad_filters, *others = right_layer(*given)
    return grad_x, grad_filters[:, :, ::-1, ::-1], *others


@planted_in_block("bottleneck", "with respect to bias3.*\n.*2 times the gradient")
def last_bias_counted_twice(*given):
    *others, grad_bias, grad_shortcut = right_layer(*given)
    return *others, 2 * grad_bias if given[-2] else grad_bias, grad_shortcut


@planted(ResidualBlock, "residual_block, option A, stride 2", kernel="residual_block_backward", says="respect to x")
def option_a_forgotten(*given):
    return block_backward(right_layer, lambda grad_x, grad_y, stride: None, *given)


@planted(ResidualBlock, "residual_block, identity", kernel="residual_block_backward", says="respect to filters1")
def layers_the_wrong_way_round(*given):
    grad_x, grads = block_backward(right_layer, numpy_kernels.add_option_a_backward, *given)
    return grad_x, grads[::-1]


# Pooling

right_max_pool = numpy_kernels.max_pool2d_backward
right_avg_pool = numpy_kernels.avg_pool2d_backward


@planted(MaxPool2d, "max_pool2d, 2×2", kernel="max_pool2d_backward", says="the right numbers in the wrong places")
def last_of_the_window_wins(grad_y, winners, x_shape, kernel_size, stride, padding):
    return right_max_pool(grad_y, np.full_like(winners, 3), x_shape, kernel_size, stride, padding)


@planted(
    MaxPool2d,
    "max_pool2d, 2×3, stride (1, 2), padding (0, 1)",
    kernel="max_pool2d_backward",
    says="67 of 80 elements are right",
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


@planted(
    AvgPool2d, "avg_pool2d, 2×2", kernel="avg_pool2d_backward", says="4 times the gradient: a factor 1/4 is missing"
)
def window_size_forgotten(grad_y, x_shape, kernel_size, stride, padding):
    return 4 * right_avg_pool(grad_y, x_shape, kernel_size, stride, padding)


@planted(AvgPool2d, "avg_pool2d, 3×3, stride 2, padding 1", kernel="avg_pool2d_backward", says="elements are right")
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
    says="20 times the gradient: .* .20 is the size of the argument's axes 2 and 3",
)
def image_size_forgotten(self, grad_y):
    return (np.broadcast_to(grad_y[:, :, None, None], self.x.shape),)


@planted(GlobalAvgPool2d, "global_avg_pool2d", says=r"1\.25 times the gradient: a constant factor is wrong")
def divided_by_the_height_twice(self, grad_y):
    return (np.broadcast_to(grad_y[:, :, None, None] / 16, self.x.shape),)


@planted(AdaptiveAvgPool2d, "adaptive_avg_pool2d, 2×3", says="elements are right")
def adaptive_windows_overwrite(self, grad_y):
    grad_x = np.zeros(self.x_shape)
    for i, j, rows, columns in self.windows():
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        grad_x[:, :, rows, columns] = grad_y[:, :, i : i + 1, j : j + 1] / size
    return (grad_x,)


@planted(AdaptiveAvgPool2d, "adaptive_avg_pool2d, 2×3")
def all_windows_of_one_size(self, grad_y):
    grad_x = np.zeros(self.x_shape)
    for i, j, rows, columns in self.windows():
        grad_x[:, :, rows, columns] += grad_y[:, :, i : i + 1, j : j + 1] * 6 / 35
    return (grad_x,)


# Shortcuts


@planted(ResidualAdd, "residual_add", says="with respect to branch.*\n.*backward's gradient is zero")
def branch_forgotten(self, grad_y):
    return grad_y, np.zeros_like(grad_y)


@planted(ResidualAdd, "residual_add, x + tanh x", says="the culprit is the backward of ResidualAdd .* input 0")
def shortcut_forgotten(self, grad_y):
    return np.zeros_like(grad_y), grad_y


@planted(ResidualAdd, "residual_add", says="wrote into the gradient it was handed")
def shared_gradient_written(self, grad_y):
    grad_branch = grad_y
    grad_branch *= 0.5
    return grad_y, grad_branch


@planted(ResidualAdd, "residual_add", says="1/2 of the gradient")
def gradient_split_in_halves(self, grad_y):
    return grad_y / 2, grad_y / 2


@planted(OptionA, "option_a, stride 2", kernel="option_a_backward", says="shifted by [+]1 along axis 1")
def zero_channels_behind_only(grad_y, x_shape, stride):
    grad_x = np.zeros(x_shape)
    grad_x[:, :, ::stride, ::stride] = grad_y[:, : x_shape[1]]
    return grad_x


@planted(OptionA, "option_a, stride 2", kernel="option_a_backward")
def packed_into_the_corner(grad_y, x_shape, stride):
    grad_x = np.zeros(x_shape)
    grad_x[:, :, : grad_y.shape[2], : grad_y.shape[3]] = grad_y[:, 1 : 1 + x_shape[1]]
    return grad_x


@planted(OptionA, "option_a, stride 2", kernel="option_a_backward")
def spread_over_the_neighbours(grad_y, x_shape, stride):
    grown = grad_y[:, 1 : 1 + x_shape[1]].repeat(2, axis=2).repeat(2, axis=3)
    return np.ascontiguousarray(grown[:, :, : x_shape[2], : x_shape[3]])


# Losses

right_cross_entropy = numpy_kernels.cross_entropy_backward


@planted(
    CrossEntropy,
    "cross_entropy",
    kernel="cross_entropy_backward",
    says="5 times the gradient: a factor 1/5 is missing .5 is the size of the argument's axis 0",
)
def batch_size_forgotten(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) * 5


@planted(CrossEntropy, "cross_entropy, smoothing 0.1", kernel="cross_entropy_backward")
def label_smoothing_forgotten(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, 0.0, ignore_index)


@planted(
    CrossEntropy,
    "cross_entropy, smoothing 0.1, some ignored",
    kernel="cross_entropy_backward",
    says=r"0\.6 times the gradient: a constant factor",
)
def ignored_labels_counted(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) * 3 / 5


@planted(
    CrossEntropy,
    "cross_entropy, smoothing 0.1, some ignored",
    kernel="cross_entropy_backward",
    says="12 of 20 elements are right.*the wrong ones are at 1, 3 of 0…4 along axis 0",
)
def ignored_labels_pull(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    labels = np.where(labels == ignore_index, 0, labels)
    return right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index) * 5 / 3


@planted(CrossEntropy, "cross_entropy", kernel="cross_entropy_backward", says="the sign is wrong")
def label_minus_probability(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return -right_cross_entropy(grad_loss, probabilities, labels, label_smoothing, ignore_index)


@planted(
    CrossEntropy,
    "cross_entropy",
    kernel="cross_entropy_backward",
    says="times the gradient: a constant factor is wrong",
)
def incoming_gradient_ignored(grad_loss, probabilities, labels, label_smoothing, ignore_index):
    return right_cross_entropy(np.ones(()), probabilities, labels, label_smoothing, ignore_index)


@planted(MSELoss, "mse_loss", says="1/2 of the gradient: a factor 2 is missing")
def two_forgotten(self, grad_loss):
    grad = grad_loss / self.difference.size * self.difference
    return grad, -grad


@planted(MSELoss, "mse_loss", says="12 times the gradient")
def size_forgotten(self, grad_loss):
    grad = grad_loss * 2 * self.difference
    return grad, -grad


@planted(MSELoss, "mse_loss", says="with respect to target.*\n.*the sign is wrong")
def sign_of_the_target_forgotten(self, grad_loss):
    grad = grad_loss * 2 / self.difference.size * self.difference
    return grad, grad
