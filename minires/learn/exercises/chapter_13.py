"""Chapter 13: a walk through a backward pass, and three functions with a bug planted in each."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor, backward_order
from minires.kernels import Array
from minires.learn.examiner import Backward, Wrong, check_equal, check_gradient, replaced
from minires.learn.exercise import Exercise
from minires.ops.pooling import GlobalAvgPool2d

TEXT = '''"""Chapter 13: walk through a backward pass, and mend three that are wrong.

The first function is a gap. The other three are complete, and each has one bug. Find them, mend them, then run
`minires check 13`. `minires check 13 --hint` helps.
"""

import numpy as np

from minires import backward_order


def walk(loss):
    """Run the backward pass of `loss`, and return a list of (name, norm), one pair per operation, from the loss back.

        name    the operation's class name: type(tensor.op).__name__
        norm    of the gradient that arrived at it: √Σ grad_y²

    The gradient of the loss itself is ones of its shape. backward_order(loss) lists the tensors, each after all that
    use it. tensor.op.backward(grad_y) gives one gradient per tensor of tensor.op.inputs; those for which
    tensor.op.needs_grad holds False are None. Afterwards the leaves have in .grad what loss.backward() leaves there,
    and no gradient may be changed in place.
    """
    ...


def log_softmax_backward(grad_y, y):
    """Return dL/dx of y = log_softmax(x) along axis 1; grad_y, y (N, C)."""
    softmax = np.exp(y)
    return grad_y - softmax * grad_y


def batch_norm_backward(grad_y, x, weight, eps):
    """Return dL/dx of y = weight·x̂ + bias, x̂ = (x − mean)/√(var + eps), mean and var over the batch.

    grad_y, x (N, C); weight (C,).
    """
    N = len(x)
    inv_std = 1 / np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) * inv_std
    return weight * inv_std * (grad_y - grad_y.sum(axis=0) / N - (grad_y * x_hat).sum(axis=0) / N)


def global_avg_pool_backward(grad_y, x_shape):
    """Return dL/dx of y[n,c] = Σ_{h,w} x[n,c,h,w] / (H·W); grad_y (N, C), x_shape (N, C, H, W)."""
    N, C, H, W = x_shape
    return np.broadcast_to((grad_y / (H * H))[:, :, None, None], x_shape).astype(grad_y.dtype)
'''

HINTS = (
    "walk: for each tensor, its gradient is complete when its turn comes, since all that use it came before. Hand it "
    "to the op's backward, and give each input its part: the first is stored, the next is added.",
    "walk: a gradient of None is skipped. Write source.grad + grad, not source.grad += grad: two tensors may hold one "
    "array.",
    "log_softmax: y_i = x_i − log Σ e^x_j. Every x_j moves every y_i through the second term: whose gradients meet "
    "there?",
    "batch norm: hold each term against the formula in chapter 8. What does the last sum multiply?",
    "pooling: try it by hand on an image of 2×3. Where would you notice on one of 3×3?",
)


def check(mine: ModuleType) -> Iterator[str]:
    yield from check_walk(mine)
    rng = np.random.default_rng(0)

    def log_softmax(x: Array) -> Array:
        shifted = x - x.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    yield from check_gradient(
        "log_softmax_backward",
        log_softmax,
        lambda grad_y, x: mine.log_softmax_backward(grad_y, log_softmax(x)),
        {"x": rng.standard_normal((4, 5))},
        {
            "each number's own gradient is multiplied with the softmax, where the row's gradients should meet": (
                lambda grad_y, x: grad_y - np.exp(log_softmax(x)) * grad_y
            ),
            "the gradients are summed over the batch: what meets is a row, one image's": (
                lambda grad_y, x: grad_y - np.exp(log_softmax(x)) * grad_y.sum(axis=0)
            ),
        },
    )

    weight, eps = rng.normal(1, 0.5, 3), 0.1

    def batch_norm(x: Array) -> Array:
        return (weight * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)).astype(x.dtype)

    yield from check_gradient(
        "batch_norm_backward",
        batch_norm,
        lambda grad_y, x: mine.batch_norm_backward(grad_y, x, weight.astype(x.dtype), eps),
        {"x": rng.standard_normal((6, 3))},
        {
            "the last term is a mean, not yet multiplied by x̂": batch_norm_mistake(weight, eps, "x_hat"),
            "the standard deviation lacks eps": batch_norm_mistake(weight, eps, "eps"),
            "the sign of the last term is wrong": batch_norm_mistake(weight, eps, "sign"),
        },
    )

    x = rng.standard_normal((2, 3, 4, 4))
    for name, array in (("4×4", x), ("2×5", rng.standard_normal((2, 3, 2, 5)))):
        yield from check_gradient(
            f"global_avg_pool_backward, {name}",
            lambda x: x.mean(axis=(2, 3)),
            lambda grad_y, x: mine.global_avg_pool_backward(grad_y, x.shape),
            {"x": array},
            {
                "the number of pixels is not H·W: on square images it seems right": pooled(lambda H, W: H * H),
                "the number of pixels is not H·W; on square images W·W seems right, too": pooled(lambda H, W: W * W),
                "every pixel gets all of the gradient; each had only a share in the mean": pooled(lambda H, W: 1),
            },
        )


def check_walk(mine: ModuleType) -> Iterator[str]:
    """Walk two graphs, the second with a skip, and compare names, norms and the gradients of the leaves."""
    for head, skip in (("walk, a chain", False), ("walk, with a skip", True)):
        leaves, loss = graph(skip)
        loss.backward()
        wanted = [leaf.grad for leaf in leaves]
        leaves, loss = graph(skip)
        order = [type(tensor.op).__name__ for tensor in backward_order(loss)]
        norms = norms_of(graph(skip)[1])
        given = mine.walk(loss)
        if given is None or given is ...:
            raise Wrong(f"{head}: there is nothing yet; is the gap (`...`) still there, or a return missing?")
        given = list(given)
        names = [name for name, _ in given]
        if names == order[::-1] and names != order:
            raise Wrong(f"{head}: the operations come from the input on; the walk begins at the loss")
        yield from check_equal(f"{head}: the names", names, order)
        for leaf, grad, name in zip(leaves, wanted, ("x", "weight"), strict=True):
            if leaf.grad is None:
                raise Wrong(f"{head}: no gradient is left on the leaf {name}")
            if grad is not None and not np.allclose(leaf.grad, grad):
                raise Wrong(
                    f"{head}: the gradient that is left on {name} is not that of loss.backward(): at a fork, "
                    "is the one replaced by the other, or an array changed that somebody else holds?"
                )
        squares = [norm * norm for norm in norms]
        found = np.array([float(norm) for _, norm in given])
        if np.allclose(found, squares):
            raise Wrong(f"{head}: these are the squares of the norms")
        yield from check_equal(f"{head}: the norms", found, np.array(norms), "of what arrives at each operation")


def graph(skip: bool) -> tuple[tuple[Tensor, Tensor], Tensor]:
    rng = np.random.default_rng(3)
    x, weight = [Tensor(rng.standard_normal((4, 4)), requires_grad=True) for _ in range(2)]
    h = ops.tanh(x @ weight)
    if skip:
        h = ops.residual_add(h, ops.tanh(h @ weight))
    return (x, weight), ops.mean(h * h * Tensor(rng.standard_normal((4, 4))))


def norms_of(loss: Tensor) -> list[float]:
    grads: dict[Tensor, Array] = {loss: np.ones_like(loss.data)}
    norms = []
    for tensor in backward_order(loss):
        op, grad_y = tensor.op, grads[tensor]
        assert op is not None
        norms.append(float(np.linalg.norm(grad_y)))
        for source, grad in zip(op.inputs, op.backward(grad_y), strict=True):
            if grad is not None:
                grads[source] = grads[source] + grad if source in grads else grad
    return norms


def batch_norm_mistake(weight: Array, eps: float, kind: str) -> Backward:
    def backward(grad_y: Array, x: Array) -> Array:
        inv_std = 1 / np.sqrt(x.var(axis=0) + (0 if kind == "eps" else eps))
        x_hat = (x - x.mean(axis=0)) * inv_std
        last = (grad_y * x_hat).mean(axis=0) * (1 if kind == "x_hat" else x_hat)
        return weight * inv_std * (grad_y - grad_y.mean(axis=0) + (last if kind == "sign" else -last))

    return backward


def pooled(count: Any) -> Backward:
    def backward(grad_y: Array, x: Array) -> Array:
        return np.broadcast_to((grad_y / count(*x.shape[2:]))[:, :, None, None], x.shape)

    return backward


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def backward(self: GlobalAvgPool2d, grad_y: Array) -> tuple[Array]:
        return (mine.global_avg_pool_backward(grad_y, self.x.shape),)

    return replaced(GlobalAvgPool2d, backward=backward)


EXERCISE = Exercise(
    chapter=13,
    name="three_bugs",
    title="A walk through a backward pass, and three planted bugs",
    text=TEXT,
    names=("walk", "log_softmax_backward", "batch_norm_backward", "global_avg_pool_backward"),
    hints=HINTS,
    check=check,
    plug=plug,
)
