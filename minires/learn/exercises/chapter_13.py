"""Chapter 13: a walk through a backward pass, and three functions with a bug planted in each."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Op, Tensor, backward_order
from minires.gradient_check.fitting import same
from minires.gradient_check.known.normalization import batch_norm_right
from minires.gradient_check.known.pooling import global_pool_right
from minires.gradient_check.known.probabilities import log_softmax, log_softmax_right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_equal, check_gradient, generator, refuse_nothing, replaced
from minires.learn.exercise import Exercise
from minires.ops.pooling import GlobalAvgPool2d

TEXT = '''"""Chapter 13: walk through a backward pass, and mend three that are wrong.

The first function is a gap. The other three are complete, and each has one bug. Find them, mend them, then run
`minires check 13`. `minires check 13 --hint` helps. Keep the dtype: float32 in, float32 out.
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


def check_walk(mine: Any, seed: int) -> Iterator[str]:
    """Walk graphs without, with one and with several forks; compare names, norms and the gradients of the leaves."""
    for head, kind in (("walk, a chain", 0), ("walk, with a skip", 1), ("walk, a tensor used by three", 2)):
        leaves, loss = graph(kind, seed)
        order = [type(tensor.op).__name__ for tensor in backward_order(loss)]
        norms = norms_of(loss)
        loss.backward()
        walk = mine.walked(kind, seed)
        refuse_nothing(head, walk["found"])
        names, found = walk["names"], walk["norms"]
        if names is None:
            raise Wrong(f"{head}: this is {walk['found']}, and should be a list of pairs (name, norm)")
        if names == order[::-1] and names != order:
            raise Wrong(f"{head}: the operations come from the input on; the walk begins at the loss")
        if sorted(names) == sorted(order) and names != order:
            raise Wrong(f"{head}: the operations come in another order than backward_order's: {', '.join(names)}")
        if len(names) > len(order):
            raise Wrong(f"{head}: there are {len(names)} operations, and should be {len(order)}: is one walked twice?")
        yield from check_equal(f"{head}: the names", names, order)
        for name, before, after in walk["written"]:
            if not np.array_equal(before, after):
                raise Wrong(
                    f"{head}: the gradient that {name}.backward gave back is changed in place, and somebody else may "
                    "hold that array: write source.grad + grad, not source.grad += grad"
                )
        for leaf, grad, name in zip(leaves, walk["grads"], ("x", "weight"), strict=True):
            check_leaf(f"{head}: the gradient that is left on {name}", grad, leaf.grad, kind)
        found = np.array(found, np.float64)
        for sentence, other in other_norms(graph(kind, seed)[1]).items():
            if not np.allclose(other, norms) and np.allclose(found, other):
                raise Wrong(f"{head}: {sentence}")
        yield from check_equal(
            f"{head}: the norms", found, np.array(norms), "of what arrives at each operation", drawn=True
        )


def check_leaf(head: str, given: Any, wanted: Any, kind: int) -> None:
    """`Wrong` for a gradient on a leaf that is not what loss.backward() leaves there."""
    if given is None:
        raise Wrong(f"{head} is missing: .grad is None")
    if np.shape(given) == np.shape(wanted) and np.allclose(given, wanted):
        return
    reason = "at a fork, is the one replaced by the other, or an array changed that somebody else holds?"
    if np.shape(given) == np.shape(wanted) and kind == 0 and same(given, 2 * wanted):
        reason = "it is twice as large: was something there before, or is it added twice?"
    raise Wrong(f"{head} is not that of loss.backward(): {reason}")


def walked(mine: ModuleType, kind: int, seed: int) -> dict[str, Any]:
    """Where the reader's code runs: walk a graph, and keep what every op's backward gave back, before and after."""
    leaves, loss = graph(kind, seed)
    kept: list[tuple[str, Array, Array]] = []

    def recording(op: Op) -> Any:
        backward = op.backward

        def recorded(grad_y: Array) -> Any:
            grads = backward(grad_y)
            kept.extend([(type(op).__name__, grad.copy(), grad) for grad in grads if grad is not None])
            return grads

        return recorded

    for tensor in backward_order(loss):
        assert tensor.op is not None
        tensor.op.backward = recording(tensor.op)
    found = mine.walk(loss)
    pairs = None
    if isinstance(found, list | tuple) and all(isinstance(one, tuple | list) and len(one) == 2 for one in found):
        pairs = [(str(name), float(norm)) for name, norm in found]
    return {
        "found": found if found is None or found is ... else type(found).__name__,
        "names": None if pairs is None else [name for name, _ in pairs],
        "norms": None if pairs is None else [norm for _, norm in pairs],
        "grads": [leaf.grad for leaf in leaves],
        "written": kept,
    }


def graph(kind: int, seed: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Build a chain (0), a skip (1), or a tensor used by three (2), in which two paths hold one array."""
    rng = generator(seed, "graph")
    x, weight = [Tensor(rng.standard_normal((4, 4)), requires_grad=True) for _ in range(2)]
    h = ops.tanh(x @ weight)
    if kind == 1:
        h = ops.residual_add(h, ops.tanh(h @ weight))
    if kind == 2:
        h = ops.residual_add(ops.residual_add(x, ops.tanh(h)), ops.residual_add(h, x))
    return (x, weight), ops.mean(h * h * Tensor(rng.standard_normal((4, 4))))


def grads_of(loss: Tensor) -> list[Array]:
    """Return the gradient that arrives at every op, from the loss back."""
    grads: dict[Tensor, Array] = {loss: np.ones_like(loss.data)}
    for tensor in backward_order(loss):
        op = tensor.op
        assert op is not None
        for source, grad in zip(op.inputs, op.backward(grads[tensor]), strict=True):
            if grad is not None:
                grads[source] = grads[source] + grad if source in grads else grad
    return [grads[tensor] for tensor in backward_order(loss)]


def norms_of(loss: Tensor) -> list[float]:
    return [float(np.linalg.norm(grad)) for grad in grads_of(loss)]


def other_norms(loss: Tensor) -> dict[str, list[float]]:
    """Return what may stand where the norm belongs."""
    arrived = grads_of(loss)
    numbers: dict[str, Callable[[Array], Any]] = {
        "these are the squares of the norms": lambda grad: np.sum(grad * grad),
        "these are the largest sizes, not the norms": lambda grad: np.abs(grad).max(),
        "these are the largest numbers, not the norms": np.max,
        "these are the sums of sizes, not the roots of the sums of squares": lambda grad: np.abs(grad).sum(),
        "these are sums, in which signs cancel; the norm is √Σ grad_y²": np.sum,
        "these are means; the norm is √Σ grad_y²": np.mean,
        "these are roots of means, divided by how many numbers there are; the norm is √Σ grad_y²": (
            lambda grad: np.sqrt(np.mean(grad * grad))
        ),
        "these are spectral norms, of matrices; the norm is √Σ grad_y²": (
            lambda grad: np.linalg.norm(grad, 2) if grad.ndim == 2 else np.linalg.norm(grad)
        ),
    }
    found = {sentence: [float(number(grad)) for grad in arrived] for sentence, number in numbers.items()}
    values = [float(np.linalg.norm(tensor.data)) for tensor in backward_order(loss)]
    return found | {"these are the norms of the tensors, not of the gradients that arrive at them": values}


def check_log_softmax(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        return {"x": rng.standard_normal(rng.permutation([4, 6]) + rng.integers(0, 2))}

    def backward(grad_y: Array, x: Array) -> Any:
        return mine.log_softmax_backward(grad_y, log_softmax(x, 1).astype(x.dtype))

    right = {"x": log_softmax_right(1)}
    yield from check_gradient(
        "log_softmax_backward", lambda x: log_softmax(x, 1).astype(x.dtype), backward, draw, right, seed=seed
    )


EPS = 0.1


def check_batch_norm(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C = 6 + rng.integers(0, 3), 3 + rng.integers(0, 2)
        return {"x": rng.normal(0.5, 1, (N, C)) * rng.uniform(0.5, 1.5, C), "weight": rng.normal(1, 0.5, C)}

    def batch_norm(x: Array, weight: Array) -> Array:
        return (weight * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPS)).astype(x.dtype)

    def backward(grad_y: Array, x: Array, weight: Array) -> Any:
        return mine.batch_norm_backward(grad_y, x, weight, EPS), None

    right = {
        "x": replace(
            batch_norm_right(EPS, (0,))["x"],
            sizes=lambda grad_y, x, *_: {"N": x.shape[0], "C": x.shape[1]},
            divisor="N",
        )
    }
    yield from check_gradient("batch_norm_backward", batch_norm, backward, draw, right, seed=seed)


def check_pool(mine: Any, seed: int) -> Iterator[str]:
    for name, height, width in (("H < W", 2, 5), ("H > W", 5, 3), ("square images", 4, 4)):

        def draw(rng: np.random.Generator, height: int = height, width: int = width) -> dict[str, Array]:
            more = rng.integers(0, 2)
            return {"x": rng.standard_normal((2 + rng.integers(0, 2), 3, height + more, width + more))}

        def backward(grad_y: Array, x: Array) -> Any:
            return mine.global_avg_pool_backward(grad_y, x.shape)

        head = f"global_avg_pool_backward, {name}"
        yield from check_gradient(
            head, lambda x: x.mean(axis=(2, 3)), backward, draw, {"x": global_pool_right()}, seed=seed
        )


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def backward(self: GlobalAvgPool2d, grad_y: Array) -> tuple[Array]:
        return (mine.global_avg_pool_backward(grad_y, self.x.shape),)

    return replaced(GlobalAvgPool2d, backward=backward)


EXERCISE = Exercise(
    chapter=13,
    name="three_bugs",
    title="A walk through a backward pass, and three planted bugs",
    text=TEXT,
    hints=HINTS,
    checks={
        "walk": check_walk,
        "log_softmax_backward": check_log_softmax,
        "batch_norm_backward": check_batch_norm,
        "global_avg_pool_backward": check_pool,
    },
    beside={"walked": walked},
    plug=plug,
)
