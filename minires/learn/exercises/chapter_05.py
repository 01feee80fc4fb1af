"""Chapter 5: the gradient of cross-entropy with label smoothing, and a step with Nesterov's momentum."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.loss import cross_entropy_right
from minires.gradient_check.known.probabilities import softmax
from minires.kernels import Array, numpy_kernels
from minires.learn.answer import MadeFloat64
from minires.learn.examiner import Wrong, check_gradient, check_values, generator, refuse_nothing, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 5: backward of cross-entropy with label smoothing, and a step with Nesterov's momentum.

Label smoothing. The loss is

    L = −Σₙ Σ_k q[n,k] · log p[n,k] / N         p = softmax(logits), (N, K)

and q is what the network should have said. Without smoothing it is 1 at the label and 0 elsewhere. With smoothing s,
each of the K classes gets s / K, and the label 1 − s more: a network need not become infinitely sure.

Nesterov's momentum. The chapter's momentum steps along v, the fading sum of gradients. Nesterov looks one step ahead:
it steps along what v would be if the same gradient came once more.

Weight decay. Before all else weight_decay · w is added to the gradient, so that weights that nobody needs shrink.

Keep the dtype: where the arrays that come in are float32, what goes out is float32, not float64. np.full, np.zeros and
np.eye make float64 where they are told no dtype, and float64 times float32 is float64.

Fill in the two functions, then run `minires check 5`. `minires check 5 --hint` helps.
"""

import numpy as np


def cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing):
    """Return dL/dlogits (N, K).

    grad_loss is what arrives at L, one number (an array of no axes). probabilities (N, K) are softmax(logits); labels
    (N,) are integers; label_smoothing is s, from 0 to 1.
    """
    ...


def nesterov_step(w, grad, v, lr, momentum, weight_decay):
    """Return the new w and the new v, a tuple of two arrays.

    w, grad and v are arrays of one shape (any shape); lr, momentum and weight_decay are numbers. Do not write into the
    arrays: what you return is new.
    """
    ...
'''

HINTS = (
    "For any q whose rows sum to 1, the gradient of Σ_k −q_k log softmax(z)_k is p − q. What does L do with N?",
    "Begin q with np.full_like(probabilities, s / K) and add 1 − s at [np.arange(N), labels]. np.eye and np.zeros "
    "would make float64 of float32.",
    "nesterov_step needs three lines before its return: the gradient with the decay in it; the new v, which is the "
    "chapter's; and what v would become if that gradient came once more.",
    "v becomes momentum · v + gradient. If the gradient comes once more, this v fades in its turn, and the gradient is "
    "added again. Step along that, and hand back the v that took the gradient in once.",
)


def check_loss(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, K = rng.permutation([4, 7]) + rng.integers(0, 2)
        return {"logits": 2 * rng.standard_normal((N, K)), "labels": rng.permutation(np.arange(N) % K)}

    for s in (0.1, 0.0):

        def loss(logits: Array, labels: Array, s: float = s) -> Array:
            return numpy_kernels.cross_entropy_forward(logits, labels, s, -100)[0]

        def backward(grad_y: Array, logits: Array, labels: Array, s: float = s) -> Any:
            return mine.cross_entropy_backward(grad_y, softmax(logits, 1), labels, s), None

        head = f"cross_entropy_backward, smoothing {s}"
        yield from check_gradient(head, loss, backward, draw, {"logits": cross_entropy_right(s)}, seed=seed)


Step = Callable[[Array, Array, Array, float, float, float], tuple[Array, Array]]  # (w, grad, v, lr, …) -> w, v


def nesterov(w: Array, grad: Array, v: Array, lr: float, momentum: float, decay: float) -> tuple[Array, Array]:
    grad = grad + decay * w
    v = momentum * v + grad
    return w - lr * (momentum * v + grad), v


def plain(w: Array, grad: Array, v: Array, lr: float, momentum: float, decay: float) -> tuple[Array, Array]:
    v = momentum * v + grad + decay * w
    return w - lr * v, v


def lr_inside(w: Array, grad: Array, v: Array, lr: float, momentum: float, decay: float) -> tuple[Array, Array]:
    v = momentum * v + lr * (grad + decay * w)
    return w - momentum * v - lr * (grad + decay * w), v


def dampened(w: Array, grad: Array, v: Array, lr: float, momentum: float, decay: float) -> tuple[Array, Array]:
    grad = grad + decay * w
    v = momentum * v + (1 - momentum) * grad
    return w - lr * (momentum * v + grad), v


def decay_of_w_alone(w: Array, grad: Array, v: Array, lr: float, momentum: float, decay: float) -> tuple[Array, Array]:
    moved, v = nesterov(w, grad, v, lr, momentum, 0)
    return moved - lr * decay * w, v


def decay_once(w: Array, grad: Array, v: Array, lr: float, momentum: float, decay: float) -> tuple[Array, Array]:
    v = momentum * v + grad + decay * w
    return w - lr * (momentum * v + grad), v


def ahead_kept(w: Array, grad: Array, v: Array, lr: float, momentum: float, decay: float) -> tuple[Array, Array]:
    ahead = momentum * nesterov(w, grad, v, lr, momentum, decay)[1] + grad + decay * w
    return w - lr * ahead, ahead


def two_steps(w: Array, grad: Array, v: Array, *options: float) -> tuple[Array, Array]:
    w, v = plain(w, grad, v, *options)
    return plain(w, grad, v, *options)


STEP_MISTAKES: dict[str, Step] = {
    "this is plain momentum: step along what v would be if the gradient came once more, not along v": plain,
    "the v that would come next is handed back, too; keep the one that took the gradient in once": ahead_kept,
    "it steps twice, along v and along the v after it; step once, along the latter": two_steps,
    "v is handed back as it came in": lambda w, g, v, *o: (nesterov(w, g, v, *o)[0], v),
    "w is handed back as it came in": lambda w, g, v, *o: (w, nesterov(w, g, v, *o)[1]),
    "it goes uphill: w − lr · …, not w + lr · …": lambda w, g, v, *o: (
        2 * w - nesterov(w, g, v, *o)[0], nesterov(w, g, v, *o)[1],
    ),
    "lr belongs to the step, not into v: else v would remember the lr of long ago": lr_inside,
    "the gradient is multiplied by 1 − momentum; here it is added to v whole": dampened,
    "weight_decay is ignored": lambda w, g, v, lr, m, d: nesterov(w, g, v, lr, m, 0),
    "the decay is in v and not in the gradient that comes once more": decay_once,
    "the decay goes past v, straight to w (so does AdamW); here it is added to the gradient first": decay_of_w_alone,
    "the decay has the wrong sign: weights should shrink": lambda w, g, v, lr, m, d: nesterov(w, g, v, lr, m, -d),
    "momentum is ignored": lambda w, g, v, lr, m, d: nesterov(w, g, v, lr, 0, d),
    "of the step the gradient is missing: momentum · v alone": lambda w, g, v, lr, m, d: (
        w - lr * m * nesterov(w, g, v, lr, m, d)[1], nesterov(w, g, v, lr, m, d)[1],
    ),
    "the two are exchanged: w first, then v": lambda *arguments: nesterov(*arguments)[::-1],
}  # fmt: skip


def stacked(step: Step) -> Callable[..., Array]:
    """Return the step with its two results as one array, so that both are compared at once."""
    return lambda *arguments: np.stack(step(*arguments))


NESTEROV = Right(
    stacked(nesterov), {sentence: stacked(step) for sentence, step in STEP_MISTAKES.items()}, arrives=False
)


def check_step(mine: Any, seed: int) -> Iterator[str]:
    def step(*arguments: Any) -> Array:
        got = mine.nesterov_step(*arguments)
        refuse_nothing("nesterov_step", got)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Wrong(f"nesterov_step: this is a {type(got).__name__}, and should be a tuple of two arrays, w and v")
        for name, one in zip("wv", got, strict=True):
            if np.shape(one) != arguments[0].shape:
                raise Wrong(f"nesterov_step: {name} has shape {np.shape(one)}, and should have {arguments[0].shape}")
        return np.stack(got)

    for head, options in {"": (0.1, 0.9, 0.0), ", with weight decay": (0.2, 0.8, 0.05)}.items():

        def draw(rng: np.random.Generator, options: tuple[float, ...] = options) -> tuple[Any, ...]:
            shape = rng.integers(2, 5, 2)
            return rng.standard_normal(shape), rng.standard_normal(shape), rng.standard_normal(shape), *options

        yield from check_values(f"nesterov_step{head}", step, NESTEROV, draw, seed)
    rng = generator(seed, "nesterov_step, float32")
    w, grad, v = rng.standard_normal((3, 2, 4)).astype(np.float32)
    try:
        dtype = step(w, grad, v, 0.1, 0.9, 0.05).dtype
    except MadeFloat64 as made:
        raise Wrong(f"nesterov_step: right, but of float32 arrays it makes float64\n  {made}") from None
    if dtype != np.float32:
        raise Wrong(f"nesterov_step: right, but of float32 arrays it makes {dtype}")
    yield "nesterov_step, float32"


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def cross_entropy_backward(
        grad_loss: Array, probabilities: Array, labels: Array, label_smoothing: float, ignore_index: int
    ) -> Any:
        return mine.cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing)

    return replaced(numpy_kernels, cross_entropy_backward=cross_entropy_backward)


EXERCISE = Exercise(
    chapter=5,
    name="smoothing_and_nesterov",
    title="Label smoothing backward, and a step with Nesterov's momentum",
    text=TEXT,
    hints=HINTS,
    checks={"cross_entropy_backward": check_loss, "nesterov_step": check_step},
    plug=plug,
)
