"""Chapter 13: right and typical wrong answers; among these, the functions as they stand in the reader's file."""

import numpy as np

from minires import backward_order
from minires.learn.exercises import chapter_13

AS_WRITTEN = {}
exec(chapter_13.TEXT, AS_WRITTEN)


def walker(start=np.ones_like, norm=np.linalg.norm, add=np.add, arrange=list):
    def walk(loss):
        loss.grad = start(loss.data)
        found = []
        for tensor in backward_order(loss):
            grad_y = tensor.grad
            found.append((type(tensor.op).__name__, norm(grad_y)))
            for source, grad in zip(tensor.op.inputs, tensor.op.backward(grad_y), strict=True):
                if grad is not None:
                    source.grad = grad if source.grad is None else add(source.grad, grad)
        return arrange(found)

    return walk


def replace(before, grad):
    return grad


def log_softmax_backward(grad_y, y):
    return grad_y - np.exp(y) * grad_y.sum(axis=1, keepdims=True)


def summed_over_the_batch(grad_y, y):
    return grad_y - np.exp(y) * grad_y.sum(axis=0)


def in_place(before, grad):
    before += grad
    return before


def softmax_for_log_softmax(grad_y, y):
    p = np.exp(y)
    return p * (grad_y - (grad_y * p).sum(axis=1, keepdims=True))


def y_as_softmaxs(grad_y, y):
    return y * (grad_y - (grad_y * y).sum(axis=1, keepdims=True))


def y_for_softmax(grad_y, y):
    return grad_y - y * grad_y.sum(axis=1, keepdims=True)


def sum_alone(grad_y, y):
    return -np.exp(y) * grad_y.sum(axis=1, keepdims=True)


def norm_backward(sign=-1, with_eps=1):
    def batch_norm_backward(grad_y, x, weight, eps):
        inv_std = 1 / np.sqrt(x.var(axis=0) + with_eps * eps)
        x_hat = (x - x.mean(axis=0)) * inv_std
        last = x_hat * (grad_y * x_hat).mean(axis=0)
        return weight * inv_std * (grad_y - grad_y.mean(axis=0) + sign * last)

    return batch_norm_backward


def pool_backward(count):
    def global_avg_pool_backward(grad_y, x_shape):
        pixels = count(*x_shape[2:])
        return np.broadcast_to((grad_y / pixels)[:, :, None, None], x_shape).astype(grad_y.dtype)

    return global_avg_pool_backward


RIGHT = {
    "walk": walker(),
    "log_softmax_backward": log_softmax_backward,
    "batch_norm_backward": norm_backward(),
    "global_avg_pool_backward": pool_backward(lambda H, W: H * W),
}

WRONG = [
    ({"walk": AS_WRITTEN["walk"]}, "walk, a chain: there is nothing yet"),
    ({"walk": walker(arrange=lambda found: found[::-1])}, "walk, a chain: the operations come from the input on"),
    ({"walk": walker(add=replace)}, "walk, a chain: the gradient that is left on x is not"),
    ({"walk": walker(norm=lambda grad: np.sum(grad * grad))}, "walk, a chain: these are the squares"),
    ({"walk": walker(norm=np.max)}, "walk, a chain: these are the largest numbers, not the norms"),
    ({"walk": walker(add=in_place)}, "backward gave back is changed in place"),
    ({"walk": walker(norm=lambda grad: np.abs(grad).max())}, "walk, a chain: these are the largest sizes"),
    ({"walk": walker(norm=lambda grad: np.sqrt(np.mean(grad * grad)))}, "walk, a chain: these are roots of means"),
    ({"log_softmax_backward": softmax_for_log_softmax}, "this is softmax's gradient, y · .*, with the softmax for y"),
    ({"log_softmax_backward": y_for_softmax}, "y stands for the softmax, which is e to the y"),
    ({"log_softmax_backward": y_as_softmaxs}, "this is softmax's gradient, y · .* with y = log_softmax"),
    ({"log_softmax_backward": sum_alone}, "the direct term .* is missing"),
    ({"global_avg_pool_backward": pool_backward(lambda H, W: H + W)}, r"divided by H \+ W"),
    ({"log_softmax_backward": AS_WRITTEN["log_softmax_backward"]}, "where the row's gradients should meet"),
    ({"log_softmax_backward": summed_over_the_batch}, "log_softmax_backward(.|\n)*summed over the batch"),
    ({"batch_norm_backward": AS_WRITTEN["batch_norm_backward"]}, "a mean, not yet multiplied by x̂"),
    ({"batch_norm_backward": norm_backward(with_eps=0)}, "eps is missing under the root, everywhere"),
    ({"batch_norm_backward": norm_backward(sign=1)}, "the variance's term .*: the sign is wrong"),
    (
        {"global_avg_pool_backward": AS_WRITTEN["global_avg_pool_backward"]},
        "backward, H < W: the number of pixels is not H·W: on square images it seems right",
    ),
    ({"global_avg_pool_backward": pool_backward(lambda H, W: W * W)}, "W·W seems right, too"),
    ({"global_avg_pool_backward": pool_backward(lambda H, W: 1)}, "every pixel gets all"),
]
