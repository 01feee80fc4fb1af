"""Chapter 13: the first bad number of a backward pass, and three functions with a bug planted in each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Op, Tensor, backward_order
from minires.gradient_check.known.normalization import batch_norm_right
from minires.gradient_check.known.pooling import global_pool_right
from minires.gradient_check.known.probabilities import log_softmax, log_softmax_right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_gradient, generator, replaced
from minires.learn.exercise import Exercise
from minires.ops.pooling import GlobalAvgPool2d

TEXT = '''"""Chapter 13: find the first bad number in a backward pass, and mend three functions that are wrong.

The first function is a gap. The other three are complete, and each has one bug. Find them, mend them, then run
`minires check 13`. `minires check 13 --hint` helps. Keep the dtype: float32 in, float32 out.
"""

import numpy as np

from minires import backward_order


def first_bad(loss):
    """Run the backward pass of `loss`, and return where the first bad number is born: (number, name, position).

        number    of the operation, in the order of backward_order(loss), from 0
        name      the operation's class name: type(tensor.op).__name__
        position  of the first of its inputs whose gradient is bad, from 0

    A gradient is bad if one of its numbers is NaN or infinite. None if no gradient is. What arrives at the loss itself
    is ones of its shape. backward_order(loss) lists the tensors, each after all that use it. tensor.op.backward(grad_y)
    gives one gradient per tensor of tensor.op.inputs; those for which tensor.op.needs_grad holds False are None. No
    gradient may be changed in place.
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
    "first_bad is the chapter's walk, with a question at each operation, and an end as soon as the answer is yes. Each "
    "tensor's gradient is complete when its turn comes, if what comes back on several ways has been added.",
    "Ask what has *left* an operation, not what arrives at it: where a bad number arrives, another operation has made "
    "it. Not every gradient is an array, and np.isnan does not know infinity.",
    "first_bad: np.isfinite(grad).all() looks at every number. A sum or a norm of large numbers may overflow, though "
    "each of them is finite.",
    "log_softmax: y_i = x_i − log Σ e^x_j. Every x_j moves every y_i through the second term: whose gradients meet "
    "there?",
    "batch norm: hold each term against the formula in chapter 8. What does the last sum multiply?",
    "pooling: try it by hand on an image of 2×3. Where would you notice on one of 3×3?",
)


class Planted(Op):
    """y = a + b, with a backward that multiplies by a number, or puts one into the gradient of one input."""

    def __init__(self, scale: float = 1.0, position: int = 0, number: float | None = None) -> None:
        self.scale, self.position, self.number = scale, position, number

    def forward(self, a: Array, b: Array) -> Array:
        return a + b

    def backward(self, grad_y: Array) -> tuple[Array, Array]:
        grads = [self.scale * grad_y, self.scale * grad_y]
        if self.number is not None:
            grads[self.position] = grads[self.position].copy()
            grads[self.position].flat[-1] = self.number
        return grads[0], grads[1]


class Sick(Planted):
    """The same, for the operation that is to be found."""


Graph = Callable[[Tensor, Tensor], Tensor]


def chain(number: float, position: int = 0) -> Graph:
    """A chain in whose middle a bad number is born."""
    return lambda x, weight: ops.tanh(Sick(1.0, position, number)(ops.tanh(x @ weight), weight))


def handed_on(x: Tensor, weight: Tensor) -> Tensor:
    """Three guilty operations in a row: the first is the one nearest to the loss."""
    h = Planted(1.0, 0, np.nan)(x, weight)
    h = Planted(1.0, 1, np.inf)(h, ops.tanh(h))
    return ops.tanh(Sick(1.0, 1, np.nan)(h, ops.tanh(h)))


def through_a_skip(x: Tensor, weight: Tensor) -> Tensor:
    h = ops.tanh(x @ weight)
    return ops.residual_add(h, ops.tanh(Sick(1.0, 0, -np.inf)(h, x)))


def beside_a_constant(x: Tensor, weight: Tensor) -> Tensor:
    """An input that needs no gradient gets None."""
    return ops.tanh(Sick(1.0, 1, np.nan)(Tensor(np.ones((4, 4))), x @ weight)) * Tensor(np.ones((4, 4)))


def where_two_meet(x: Tensor, weight: Tensor) -> Tensor:
    """Each of two ways brings a large number, and only their sum makes the next operation overflow."""
    h = Sick(1.5)(x, weight)
    return Planted(1.0)(Planted(0.8e308)(h, weight), Planted(0.8e308)(h, weight))


def large_and_finite(x: Tensor, weight: Tensor) -> Tensor:
    """Sums and norms of such gradients overflow, and none of their numbers is bad."""
    return Planted(0.8e308)(ops.tanh(x), weight)


def healthy(x: Tensor, weight: Tensor) -> Tensor:
    h = ops.tanh(x @ weight)
    return ops.residual_add(h, ops.tanh(h @ weight))


MEETING = "where two ways meet"
GRAPHS: dict[str, Graph] = {
    "a NaN in a chain": chain(np.nan),
    "an infinity in a chain": chain(np.inf),
    "a NaN for the second input": chain(np.nan, 1),
    "three guilty operations": handed_on,
    "in a branch": through_a_skip,
    "beside a constant": beside_a_constant,
    MEETING: where_two_meet,
    "large numbers": large_and_finite,
    "a healthy pass": healthy,
}


def loss_of(case: str, seed: int) -> Tensor:
    rng = generator(seed, case)
    x, weight = [Tensor(rng.standard_normal((4, 4)), requires_grad=True) for _ in range(2)]
    return ops.sum(GRAPHS[case](x, weight))


def grads_left(loss: Tensor) -> list[tuple[str, list[Array | None], bool]]:
    """Walk: for each operation its name, what leaves it, and whether all that arrived was finite."""
    grads: dict[Tensor, Array] = {loss: np.ones_like(loss.data)}
    found = []
    with np.errstate(all="ignore"):
        for tensor in backward_order(loss):
            op = tensor.op
            assert op is not None
            left = only_needed(op, op.backward(grads[tensor]))
            found.append((type(op).__name__, left, bool(np.isfinite(grads[tensor]).all())))
            for source, grad in zip(op.inputs, left, strict=True):
                if grad is not None:
                    grads[source] = grads[source] + grad if source in grads else grad
    return found


def only_needed(op: Op, grads: Sequence[Array | None]) -> list[Array | None]:
    return [grad if needed else None for grad, needed in zip(grads, op.needs_grad, strict=True)]


def bad(grad: Array | None) -> bool:
    return grad is not None and not np.isfinite(grad).all()


def wanted_of(walk: list[tuple[str, list[Array | None], bool]]) -> tuple[int, str, int] | None:
    for number, (name, left, _) in enumerate(walk):
        for position, grad in enumerate(left):
            if bad(grad):
                return number, name, position
    return None


def check_first_bad(mine: Any, seed: int) -> Iterator[str]:
    """Walk graphs with a bad number in one place or another, and without; the answer is the place where it is born."""
    for case in GRAPHS:
        head = f"first_bad, {case}"
        walk = grads_left(loss_of(case, seed))
        answer = mine.found_by(case, seed)
        for name, before, after in answer["written"]:
            if not np.array_equal(before, after, equal_nan=True):
                raise Wrong(
                    f"{head}: the gradient that {name}.backward gave back is changed in place, and somebody else may "
                    "hold that array: write source.grad + grad, not source.grad += grad"
                )
        judge(head, answer["found"], wanted_of(walk), walk)
        yield head


def judge(head: str, found: Any, wanted: tuple[int, str, int] | None, walk: Any) -> None:
    """`Wrong` for a place that is not the one where the first bad number is born, with what is there."""
    if found is ...:
        raise Wrong(f"{head}: there is nothing yet; is the gap (`...`) still there?")
    if found is None and wanted is not None:
        left = walk[wanted[0]][1][wanted[2]]
        what = "a NaN" if np.isnan(left).any() else "an infinity"
        reason = "is the gap (`...`) still there, or a return missing?"
        if MEETING in head:
            reason = "each of two ways brings finite numbers; they are added at their meeting, none replaces the other"
        raise Wrong(f"{head}: None, though {what} is born in this pass; {reason}")
    if wanted is None and found is not None:
        raise Wrong(f"{head}: {found!r}, though every number of every gradient is finite{largest_of(walk)}")
    if wanted is None:
        return
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise Wrong(f"{head}: {found!r} should be three things: (number, name, position)")
    number, name, position = found
    if (number, name, position) == wanted:
        return
    if number == len(walk) - 1 - wanted[0] != wanted[0] and name == wanted[1]:
        raise Wrong(f"{head}: the operations are numbered from the input on; the walk begins at the loss")
    if number == wanted[0] + 1 and name == wanted[1]:
        raise Wrong(f"{head}: the number is one too large: it counts from 0")
    if not isinstance(number, int) or not 0 <= number < len(walk):
        raise Wrong(f"{head}: {number!r} is the number of no operation: there are {len(walk)}, from 0 on")
    if number != wanted[0]:
        raise Wrong(f"{head}: {what_is_there(number, wanted[0], walk)}")
    if name != wanted[1]:
        raise Wrong(f"{head}: the number is right, and the name {name!r} is not that of the operation's class")
    raise Wrong(f"{head}: the operation is right, and input {position!r} of it is not the first with a bad gradient")


def what_is_there(number: int, wanted: int, walk: Any) -> str:
    name, left, arrived_finite = walk[number]
    if not arrived_finite:
        return f"at operation {number}, {name}, the bad number arrives; another one has made it, nearer to the loss"
    if any(bad(grad) for grad in left):
        return f"operation {number}, {name}, gives bad numbers, and is not the first: the walk begins at the loss"
    return f"operation {number}, {name}, gives no bad number: they are finite{largest_of([walk[number]])}"


def largest_of(walk: Any) -> str:
    """Say how large the numbers are, where a sum of them overflows."""
    largest = max(np.abs(grad).max() for _, left, _ in walk for grad in left if grad is not None)
    return f", up to {largest:.1e}; a sum or a norm of such numbers overflows" if largest > 1e300 else ""


def found_by(mine: ModuleType, case: str, seed: int) -> dict[str, Any]:
    """Where the reader's code runs: walk a graph, and keep what every op's backward gave back, before and after."""
    loss = loss_of(case, seed)
    kept: list[tuple[str, Array, Array]] = []

    def recording(op: Op) -> Any:
        backward = op.backward

        def recorded(grad_y: Array) -> Any:
            grads = only_needed(op, backward(grad_y))
            kept.extend([(type(op).__name__, grad.copy(), grad) for grad in grads if grad is not None])
            return tuple(grads)

        return recorded

    for tensor in backward_order(loss):
        assert tensor.op is not None
        tensor.op.backward = recording(tensor.op)
    with np.errstate(all="ignore"):
        found = mine.first_bad(loss)
    plain = (bool, int, str, float, type(None), type(...))
    if isinstance(found, tuple | list):
        found = tuple([int(one) if isinstance(one, np.integer) else one for one in found])
        if not all(isinstance(one, plain) for one in found):
            found = f"a {type(found).__name__} of {', '.join(type(one).__name__ for one in found)}"
    elif not isinstance(found, plain):
        found = f"a {type(found).__name__}"
    return {"found": found, "written": kept}


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
    title="The first bad number of a backward pass, and three planted bugs",
    text=TEXT,
    hints=HINTS,
    checks={
        "first_bad": check_first_bad,
        "log_softmax_backward": check_log_softmax,
        "batch_norm_backward": check_batch_norm,
        "global_avg_pool_backward": check_pool,
    },
    beside={"found_by": found_by},
    plug=plug,
)
