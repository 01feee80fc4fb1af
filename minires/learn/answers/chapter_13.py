"""Chapter 13: a right answer."""

import numpy as np

from minires import backward_order


def first_bad(loss):
    loss.grad = np.ones_like(loss.data)
    for number, tensor in enumerate(backward_order(loss)):
        grads = tensor.op.backward(tensor.grad)
        for position, (source, grad) in enumerate(zip(tensor.op.inputs, grads, strict=True)):
            if grad is None:
                continue
            if not np.isfinite(grad).all():
                return number, type(tensor.op).__name__, position
            source.grad = grad if source.grad is None else source.grad + grad
    return None


def log_softmax_backward(grad_y, y):
    return grad_y - np.exp(y) * grad_y.sum(axis=1, keepdims=True)


def batch_norm_backward(grad_y, x, weight, eps):
    inv_std = 1 / np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) * inv_std
    return weight * inv_std * (grad_y - grad_y.mean(axis=0) - x_hat * (grad_y * x_hat).mean(axis=0))


def global_avg_pool_backward(grad_y, x_shape):
    H, W = x_shape[2:]
    return np.broadcast_to((grad_y / (H * W))[:, :, None, None], x_shape).astype(grad_y.dtype)
