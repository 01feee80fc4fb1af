"""Chains of convolution, batch norm and relu as one op, with a shortcut before the last relu."""

import numpy as np

from minires.kernels import numpy_kernels
from minires.kernels.chain import Skip, total_stride
from minires.ops.chain import ConvChain
from planted_bugs.normalization import norm_gradients
from planted_bugs.planting import planted

ONE, GIVEN, ALONE = "one layer, 3×3, stride 2, padding 1", "one layer, 3×2, shortcut", "one layer, identity"
IDENTITY, OPTION_A, BOTTLENECK, NO_SHORTCUT = "identity", "option A, stride 2", "bottleneck", "no shortcut"


def mask_of(grad, y, i, last):
    return grad * (y > 0)


def same(array, i, last):
    return array


def gradients(
    grad_y, saved, layers, shortcut, with_x,
    mask=mask_of, norm=norm_gradients, filters=same, bias=same, between=same, residual=same,
):  # fmt: skip
    """The right gradients; each planted bug puts something else in the place of a part."""
    grad, grads, last = grad_y, [], len(layers) - 1
    for i in range(last, -1, -1):
        layer, kept = layers[i], saved[i]
        masked = mask(grad, kept.y, i, i == last)
        if i == last:
            grad_shortcut = grad_y * (kept.y > 0)
        grad_z, grad_weight, grad_bias = norm(masked, kept.z, layer.weight, kept.mean, kept.var, layer.eps)
        window = layer.stride, layer.padding
        grad_filters = numpy_kernels.conv2d_grad_weight(grad_z, kept.x, layer.filters.shape, *window)
        grads.insert(0, (filters(grad_filters, i, i == last), grad_weight, bias(grad_bias, i, i == last)))
        grad = between(numpy_kernels.conv2d_grad_input(grad_z, layer.filters, kept.x.shape, *window), i, i == last)
    if not isinstance(shortcut, Skip):
        return grad, grads, residual(grad_shortcut, 0, False)
    if shortcut is Skip.IDENTITY:
        grad = grad + residual(grad_shortcut, 0, False)
    if shortcut is Skip.OPTION_A:
        back = numpy_kernels.option_a_backward(grad_shortcut, grad.shape, total_stride(layers))
        grad = grad + residual(back, 0, False)
    return grad, grads, None


def planted_in_chain(case, part, says):
    """Plant a wrong part into a chain's backward."""

    def plant(wrong_part):
        def wrong(*given):
            return gradients(*given, **{part: wrong_part})

        wrong.__name__ = wrong_part.__name__
        planted(ConvChain, f"conv_chain, {case}", says, "chain_backward")(wrong)
        return wrong_part

    return plant


# One layer


@planted_in_chain(ONE, "mask", "the mask of the last relu is forgotten")
def mask_of_the_layer_forgotten(grad, y, i, last):
    return grad


@planted_in_chain(ONE, "filters", "respect to filters1.*\n.*flipped along axes 2 and 3")
def filters_gradient_flipped(grad_filters, i, last):
    return grad_filters[:, :, ::-1, ::-1]


@planted_in_chain(ONE, "bias", "with respect to bias1")
def bias_gradient_of_the_layer_doubled(grad_bias, i, last):
    return 2 * grad_bias


@planted_in_chain(ONE, "norm", "the statistics are taken for constants")
def statistics_of_the_layer_taken_for_constants(*given):
    return norm_gradients(*given, mean_term=0, x_hat_term=0)


@planted_in_chain(
    GIVEN,
    "residual",
    "with respect to shortcut.*\n.*it is 0 everywhere.*\n.*right with respect to: x, filters1, weight1, bias1",
)
def shortcut_gradient_forgotten(grad_shortcut, i, last):
    return np.zeros_like(grad_shortcut)


@planted_in_chain(ALONE, "residual", "right with respect to: filters1, weight1, bias1")
def identity_beside_one_layer_forgotten(grad_shortcut, i, last):
    return 0 * grad_shortcut


@planted(ConvChain, f"conv_chain, {GIVEN}", "the mask of the last relu is forgotten", "chain_backward")
def shortcut_gradient_unmasked(grad_y, *given):
    grad_x, grads, _ = gradients(grad_y, *given)
    return grad_x, grads, grad_y


@planted(ConvChain, f"conv_chain, {GIVEN}", "the last relu's mask is made without the shortcut", "chain_backward")
def mask_without_the_shortcut(grad_y, saved, layers, *given):
    def mask(grad, y, i, last):
        without = numpy_kernels.batch_norm_inference(
            saved[i].z, layers[i].weight, layers[i].bias, saved[i].mean, saved[i].var, layers[i].eps
        )
        return grad * (without > 0)

    return gradients(grad_y, saved, layers, *given, mask=mask)


# Several layers


@planted_in_chain(
    IDENTITY,
    "residual",
    "what comes over the shortcut is missing(\n.*)*right with respect to: filters1, weight1, bias1",
)
def residual_not_added(grad_shortcut, i, last):
    return 0 * grad_shortcut


@planted_in_chain(
    BOTTLENECK,
    "residual",
    "what comes over the shortcut: counted twice(\n.*)*right with respect to: filters1, weight1, bias1",
)
def residual_added_twice(grad_shortcut, i, last):
    return 2 * grad_shortcut


@planted_in_chain(OPTION_A, "residual", "what comes over the shortcut is missing")
def option_a_forgotten(back, i, last):
    return 0 * back


@planted_in_chain(IDENTITY, "between", "right with respect to: filters2, weight2, bias2")
def gradient_between_the_layers_flipped(grad_x, i, last):
    return grad_x[:, :, ::-1] if last else grad_x


@planted_in_chain(
    BOTTLENECK,
    "mask",
    "the relus between the layers are forgotten(\n.*)*right with respect to: filters3, weight3, bias3",
)
def masks_of_inner_layers_forgotten(grad, y, i, last):
    return grad * (y > 0) if last else grad


@planted_in_chain(OPTION_A, "filters", "with respect to filters1.*\n.*flipped along axes 2 and 3")
def filters_gradients_flipped(grad_filters, i, last):
    return grad_filters[:, :, ::-1, ::-1]


@planted_in_chain(BOTTLENECK, "bias", "with respect to bias3.*\n.*this is twice what it should be")
def last_bias_counted_twice(grad_bias, i, last):
    return 2 * grad_bias if last else grad_bias


@planted_in_chain(NO_SHORTCUT, "norm", "in the norms the variance's term is missing")
def x_hat_term_of_the_chain_dropped(*given):
    return norm_gradients(*given, x_hat_term=0)


@planted(ConvChain, f"conv_chain, {IDENTITY}", "respect to filters1", "chain_backward")
def layers_the_wrong_way_round(*given):
    grad_x, grads, grad_shortcut = gradients(*given)
    return grad_x, grads[::-1], grad_shortcut
