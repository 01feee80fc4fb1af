"""Chapter 8: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_08 import group_norm_backward, layer_norm_backward


def batch_norm_backward(grad_y, x, weight, eps):
    """The chapter's own formula, pasted."""
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    spread = (1, -1) + (1,) * (x.ndim - 2)
    inv_std = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=axes, keepdims=True)) * inv_std
    middle, last = grad_y.mean(axis=axes, keepdims=True), (grad_y * x_hat).mean(axis=axes, keepdims=True)
    return weight.reshape(spread) * inv_std * (grad_y - middle - x_hat * last)


def batch_norm_pasted(grad_y, x, weight, eps):
    return batch_norm_backward(grad_y, x, weight, eps), *layer_norm_backward(grad_y, x, weight, eps)[1:]


def batch_norms_x_hat(grad_y, x, weight, eps):
    grad_x, _, grad_bias = layer_norm_backward(grad_y, x, weight, eps)
    return grad_x, (grad_y * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)).sum(axis=0), grad_bias


def layer(
    weight_inside=True, mean=1.0, var=1.0, front=True, std_axis=1, sum_axis=1, eps_factor=1.0, ddof=0, weighted=True
):
    """A layer norm's backward with something else in one place of dL/dx."""

    def backward(grad_y, x, weight, eps):
        inv_std = 1 / np.sqrt(x.var(axis=std_axis, keepdims=True, ddof=ddof) + eps_factor * eps)
        x_hat = (x - x.mean(axis=std_axis, keepdims=True)) * inv_std
        g = grad_y * weight if weight_inside and weighted else grad_y
        grad_x = g - mean * g.mean(axis=sum_axis, keepdims=True)
        grad_x = grad_x - var * x_hat * (g * x_hat).mean(axis=sum_axis, keepdims=True)
        grad_x = grad_x * inv_std if front else grad_x
        grad_x = grad_x if weight_inside or not weighted else grad_x * weight
        return grad_x, *layer_norm_backward(grad_y, x, weight, eps)[1:]

    return backward


def sums_not_divided(grad_y, x, weight, eps):
    C = x.shape[1]
    return layer(mean=C, var=C)(grad_y, x, weight, eps)


def divided_by_images(grad_y, x, weight, eps):
    share = x.shape[1] / len(x)
    return layer(mean=share, var=share)(grad_y, x, weight, eps)


def weight_per_image(grad_y, x, weight, eps):
    grad_x, _, grad_bias = layer_norm_backward(grad_y, x, weight, eps)
    return grad_x, (grad_y * x).sum(axis=1), grad_bias


def x_for_x_hat(grad_y, x, weight, eps):
    grad_x, _, grad_bias = layer_norm_backward(grad_y, x, weight, eps)
    return grad_x, (grad_y * x).sum(axis=0), grad_bias


def mean_for_sum(grad_y, x, weight, eps):
    grad_x, grad_weight, grad_bias = layer_norm_backward(grad_y, x, weight, eps)
    return grad_x, grad_weight, grad_bias / len(x)


def writes_into_grad_y(grad_y, x, weight, eps):
    grads = layer_norm_backward(grad_y, x, weight, eps)
    grad_y *= weight
    return grads


def grad_x_alone(grad_y, x, weight, eps):
    return layer_norm_backward(grad_y, x, weight, eps)[0]


def in_float64(grad_y, x, weight, eps):
    return layer_norm_backward(grad_y.astype(np.float64), x.astype(np.float64), weight.astype(np.float64), eps)


def regrouped(groups_of):
    def backward(grad_y, x, weight, groups, eps):
        _, grad_weight, grad_bias = group_norm_backward(grad_y, x, weight, groups, eps)
        return group_norm_backward(grad_y, x, weight, groups_of(x.shape[1], groups), eps)[0], grad_weight, grad_bias

    return backward


def dealt_out(grad_y, x, weight, groups, eps):
    """Groups of the channels 0, G, 2 G, …: the two numbers in a reshape exchanged."""
    order = np.arange(x.shape[1]).reshape(-1, groups).T.ravel()
    _, grad_weight, grad_bias = group_norm_backward(grad_y, x, weight, groups, eps)
    grad_x = np.empty_like(x)
    grad_x[:, order] = group_norm_backward(grad_y[:, order], x[:, order], weight[order], groups, eps)[0]
    return grad_x, grad_weight, grad_bias


def group_from_batch(grad_y, x, weight, groups, eps):
    _, grad_weight, grad_bias = group_norm_backward(grad_y, x, weight, groups, eps)
    return batch_norm_backward(grad_y, x, weight, eps), grad_weight, grad_bias


def weight_outside_groups(grad_y, x, weight, groups, eps):
    grad_x, grad_weight, grad_bias = group_norm_backward(grad_y, x, np.ones_like(weight), groups, eps)
    return grad_x * weight[:, None, None], grad_weight, grad_bias


def bias_of_the_first_pixel(grad_y, x, weight, groups, eps):
    grad_x, grad_weight, _ = group_norm_backward(grad_y, x, weight, groups, eps)
    return grad_x, grad_weight, grad_y[:, :, 0, 0].sum(axis=0)


def by_the_jacobian(grad_y, x, weight, eps):
    """dL/dx of each image through the whole matrix of derivatives; a list, and columns that lie together in memory."""
    C, rows = x.shape[1], []
    for grad, one in zip(grad_y * weight, x, strict=True):
        std = np.sqrt(one.var() + eps)
        x_hat = (one - one.mean()) / std
        jacobian = (np.eye(C) - 1 / C - np.outer(x_hat, x_hat) / C) / std
        rows.append(grad @ jacobian)
    grad_x = np.asfortranarray(np.array(rows, x.dtype))
    return [grad_x, *layer_norm_backward(grad_y, x, weight, eps)[1:]]


def group_by_group(grad_y, x, weight, groups, eps):
    """Layer norm's answer for each group, of arrays cut out of x."""
    size, grads = x.shape[1] // groups, [[], [], []]
    for start in range(0, x.shape[1], size):
        one = slice(start, start + size)
        N, pixels = len(x), x[0, 0].size
        flat = [array[:, one].reshape(N, -1) for array in (grad_y, x)]
        grad_x, grad_weight, grad_bias = layer_norm_backward(*flat, np.repeat(weight[one], pixels), eps)
        grads[0].append(grad_x.reshape(x[:, one].shape))
        grads[1].append(grad_weight.reshape(size, -1).sum(axis=1))
        grads[2].append(grad_bias.reshape(size, -1).sum(axis=1))
    return np.concatenate(grads[0], axis=1), np.concatenate(grads[1]), np.concatenate(grads[2])


RIGHT = {"layer_norm_backward": layer_norm_backward, "group_norm_backward": group_norm_backward}

ALSO_RIGHT = [{"layer_norm_backward": by_the_jacobian}, {"group_norm_backward": group_by_group}]

WRONG = [
    ({"layer_norm_backward": batch_norm_pasted}, "layer_norm_backward, dL/dx: this is batch norm"),
    ({"layer_norm_backward": layer(weight_inside=False)}, "layer_norm_backward, dL/dx: the weight stands before"),
    ({"layer_norm_backward": layer(weighted=False)}, "dL/dx: the factor weight is missing"),
    ({"layer_norm_backward": layer(mean=0.0)}, r"dL/dx: the mean's term .* is missing"),
    ({"layer_norm_backward": layer(var=0.0)}, r"dL/dx: the variance's term .* is missing"),
    ({"layer_norm_backward": layer(mean=0.0, var=0.0)}, "dL/dx: mean and variance are taken for constants"),
    ({"layer_norm_backward": layer(var=-1.0)}, r"dL/dx: the variance's term .*: the sign is wrong"),
    ({"layer_norm_backward": layer(front=False)}, r"dL/dx: the factor 1/√\(var \+ eps\) is missing"),
    ({"layer_norm_backward": layer(sum_axis=0)}, "dL/dx: the sums run over the images, as in batch norm"),
    ({"layer_norm_backward": layer(eps_factor=0.0)}, "dL/dx: eps is missing under the root"),
    ({"layer_norm_backward": layer(ddof=1)}, "dL/dx: the variance is divided by M − 1"),
    ({"layer_norm_backward": sums_not_divided}, "dL/dx: .*: not divided by M"),
    ({"layer_norm_backward": divided_by_images}, "dL/dx: .*: divided by N where it should be M"),
    ({"layer_norm_backward": weight_per_image}, r"dL/dweight: the gradient of weight has shape"),
    ({"layer_norm_backward": batch_norms_x_hat}, "dL/dweight: x̂ is batch norm's"),
    ({"layer_norm_backward": x_for_x_hat}, "dL/dweight: x is taken for x̂"),
    ({"layer_norm_backward": mean_for_sum}, "dL/dbias: divided by N once too often"),
    ({"layer_norm_backward": writes_into_grad_y}, "writes into the gradient it was handed"),
    ({"layer_norm_backward": grad_x_alone}, "gives back three gradients"),
    ({"layer_norm_backward": in_float64}, "float32 came in, and float64 goes out|here float64 arises"),
    ({"group_norm_backward": group_from_batch}, "6 channels in 2 groups, dL/dx: this is batch norm"),
    ({"group_norm_backward": regrouped(lambda C, groups: 1)}, "dL/dx: the groups are not cut"),
    ({"group_norm_backward": regrouped(lambda C, groups: C)}, "dL/dx: each channel is a group of its own"),
    ({"group_norm_backward": regrouped(lambda C, groups: C // groups)}, "dL/dx: there are C/groups groups"),
    ({"group_norm_backward": dealt_out}, "dL/dx: the channels are dealt out in turn"),
    ({"group_norm_backward": weight_outside_groups}, "2 groups, dL/dx: the weight stands before the sums"),
    ({"group_norm_backward": bias_of_the_first_pixel}, "2 groups, dL/dbias"),
]
