"""Chapter 13: right and typical wrong answers; among these, the functions as they stand in the reader's file."""

import numpy as np

from minires import backward_order
from minires.learn.exercises import chapter_13

AS_WRITTEN = {}
exec(chapter_13.TEXT, AS_WRITTEN)


def finder(
    is_bad=lambda grad: not np.isfinite(grad).all(),
    add=np.add,
    inputs=slice(None),
    answer=lambda number, name, position, order: (number, name, position),
):
    def first_bad(loss):
        loss.grad = np.ones_like(loss.data)
        order = backward_order(loss)
        for number, tensor in enumerate(order):
            grads = tensor.op.backward(tensor.grad)
            for position, (source, grad) in enumerate(zip(tensor.op.inputs, grads, strict=True)):
                if grad is not None:
                    if position in range(2)[inputs] and is_bad(grad):
                        return answer(number, type(tensor.op).__name__, position, order)
                    source.grad = grad if source.grad is None else add(source.grad, grad)
        return None

    return first_bad


def norm_is_bad(grad):
    return not np.isfinite(np.linalg.norm(grad))


def where_it_arrives(loss):
    loss.grad = np.ones_like(loss.data)
    for number, tensor in enumerate(backward_order(loss)):
        if not np.isfinite(tensor.grad).all():
            return number, type(tensor.op).__name__, 0
        for source, grad in zip(tensor.op.inputs, tensor.op.backward(tensor.grad), strict=True):
            if grad is not None:
                source.grad = grad if source.grad is None else source.grad + grad
    return None


def the_last(loss):
    loss.grad, found = np.ones_like(loss.data), None
    for number, tensor in enumerate(backward_order(loss)):
        finite = np.isfinite(tensor.grad).all()
        for position, (source, grad) in enumerate(zip(tensor.op.inputs, tensor.op.backward(tensor.grad), strict=True)):
            if grad is not None:
                if not np.isfinite(grad).all() and (finite or type(tensor.op).__name__ in ("Planted", "Sick")):
                    found = (number, type(tensor.op).__name__, position)
                source.grad = grad if source.grad is None else source.grad + grad
    return found


def without_none(loss):
    loss.grad = np.ones_like(loss.data)
    for number, tensor in enumerate(backward_order(loss)):
        for position, grad in enumerate(tensor.op.backward(tensor.grad)):
            if not np.isfinite(grad).all():
                return number, type(tensor.op).__name__, position
            source = tensor.op.inputs[position]
            source.grad = grad if source.grad is None else source.grad + grad
    return None


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


def chapters_walk(loss):
    """The chapter's own walk, pasted."""
    loss.grad = np.ones_like(loss.data)
    for tensor in backward_order(loss):
        arrived = tensor.grad
        for source, grad in zip(tensor.op.inputs, tensor.op.backward(arrived), strict=True):
            if grad is not None:
                source.grad = grad if source.grad is None else source.grad + grad
        yield tensor.op, arrived


def pool_backward(count):
    def global_avg_pool_backward(grad_y, x_shape):
        pixels = count(*x_shape[2:])
        return np.broadcast_to((grad_y / pixels)[:, :, None, None], x_shape).astype(grad_y.dtype)

    return global_avg_pool_backward


RIGHT = {
    "first_bad": finder(),
    "log_softmax_backward": log_softmax_backward,
    "batch_norm_backward": norm_backward(),
    "global_avg_pool_backward": pool_backward(lambda H, W: H * W),
}

ALSO_RIGHT = [
    {"first_bad": finder(answer=lambda n, name, p, order: [np.int64(n), name, np.int64(p)])},
    {"first_bad": finder(is_bad=lambda grad: bool(np.isnan(grad).any() or np.isinf(grad).any()))},
]

WRONG = [
    ({"first_bad": AS_WRITTEN["first_bad"]}, "a NaN in a chain: None, though a NaN is born"),
    ({"first_bad": chapters_walk}, "a NaN in a chain: 'a generator' should be three things"),
    ({"first_bad": where_it_arrives}, "a NaN in a chain: at operation .*, the bad number arrives"),
    ({"first_bad": the_last}, "three guilty operations: at operation 6, Planted, the bad number arrives"),
    ({"first_bad": finder(is_bad=lambda grad: np.isnan(grad).any())}, "an infinity in a chain: None"),
    ({"first_bad": finder(inputs=slice(1))}, "a NaN for the second input: "),
    ({"first_bad": finder(add=replace)}, "where two ways meet: None, .* none replaces the other"),
    ({"first_bad": finder(add=in_place)}, "backward gave back is changed in place"),
    ({"first_bad": finder(is_bad=norm_is_bad)}, "such numbers overflows"),
    ({"first_bad": without_none}, "beside a constant|it stops at"),
    ({"first_bad": finder(answer=lambda n, name, p, order: (len(order) - 1 - n, name, p))}, "from the input on"),
    ({"first_bad": finder(answer=lambda n, name, p, order: (n + 1, name, p))}, "the number is one too large"),
    ({"first_bad": finder(answer=lambda n, name, p, order: (n, name, p + 1))}, "the operation is right, and input 1"),
    ({"first_bad": finder(answer=lambda n, name, p, order: (n, order[n].op, p))}, "'a tuple of int, Sick, int'"),
    ({"first_bad": finder(answer=lambda n, name, p, order: name)}, "'Sick' should be three things"),
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
