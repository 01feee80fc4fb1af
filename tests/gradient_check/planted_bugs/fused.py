"""Fused ops: batch norm with relu, a convolution with all that follows, residual blocks."""

import numpy as np

from minires.kernels import numpy_kernels
from minires.kernels.blocks import block_backward
from minires.ops.fused import (
    BatchNormReLU,
    BatchNormReLUInference,
    ConvBatchNormReLU,
    ConvBatchNormReLUInference,
    ResidualBlock,
)
from planted_bugs.normalization import norm_gradients
from planted_bugs.planting import planted

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
    grad_filters = numpy_kernels.conv2d_grad_weight(grad_z, x, filters.shape, stride, padding)
    return grad_x, grad_filters, grad_weight, grad_bias, None


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
