"""Chapter 16: the gradient of a smoothed cross-entropy, a step of AdamW, and a schedule with a plateau."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_equal, check_gradient, check_values, generator
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 16: the gradient of softer labels, a step of AdamW, and a schedule with a plateau.

Keep the dtype: float32 in, float32 out.

Fill in the three functions, then run `minires check 16`. `minires check 16 --hint` helps.
"""

import numpy as np


def smoothed_cross_entropy_backward(logits, labels, smoothing):
    """Return dL/dlogits, (N, K), of the mean over N images of the cross-entropy with smoothed labels:

        p = softmax(logits)                             of each row
        q[n, k] = (1 - smoothing) · [k == labels[n]] + smoothing / K
        L = -1/N · Σ_n Σ_k q[n, k] · log p[n, k]

    logits (N, K), labels (N,), integers. The logits may be as large as 1000.
    """
    ...


def adamw_step(w, grad, m, s, t, lr, weight_decay):
    """Return (w, m, s) after step t = 1, 2, … of AdamW, as new arrays:

        m = 0.9 · m + 0.1 · grad
        s = 0.999 · s + 0.001 · grad²
        w = w - lr · (m / (1 - 0.9^t)) / (√(s / (1 - 0.999^t)) + 1e-8) - lr · weight_decay · w

    On the right, w, m and s are those from before, except that the last line takes the new m and s. Weight decay is
    *decoupled*: it is in none of the two means.
    """
    ...


def trapezoid_lr(step, steps, warmup, cooldown, lr):
    """Return the learning rate, a float, after `step` of `steps` steps: up, along, and down again, in straight lines.

        step 0 has 0; from step `warmup` on it is lr; from step `steps - cooldown` on it falls; step `steps` has 0

    warmup and cooldown are numbers of steps, and warmup + cooldown ≤ steps. Either may be 0: then there is no such
    line, and the plateau reaches to that end. Beyond `steps` the rate is 0, if there is a cooldown.
    """
    ...
'''

HINTS = (
    "smoothed_cross_entropy_backward: the rows of q sum to 1. With hard labels the gradient is (p - q) / N. Which step "
    "of that derivation (chapter 5) has needed that q holds a single 1?",
    "adamw_step: the decay does not go through the gradient. Where would `grad + weight_decay · w` end up, that "
    "`lr · weight_decay · w` does not?",
    "trapezoid_lr: three numbers are candidates, what the rising line has, lr, and what the falling line has. The rate "
    "is the smallest of them. A line of no length is left out.",
)


def softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def one_hot(labels: Array, K: int) -> Array:
    return np.asarray(labels)[:, np.newaxis] == np.arange(K)


def loss_of(logits: Array, labels: Array, smoothing: float) -> Array:
    N, K = logits.shape
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    q = (1 - smoothing) * one_hot(labels, K) + smoothing / K
    return np.asarray(-(q * log_p).sum() / N)


P, HARD, EVEN = "p", "the label's share of q, (1 − smoothing) · [k = label]", "what is spread evenly, smoothing / K"


def smoothed_right(smoothing: float) -> Right:
    s = smoothing

    def terms(grad: Array, logits: Array, labels: Array, parts: Callable[..., Any] | None = None) -> dict[str, Array]:
        N, K = logits.shape
        hot, even, p = (1 - s) * one_hot(labels, K), np.full((N, K), s / K), softmax(logits)
        if parts is not None:
            hot, even, p = parts(hot, even, p, one_hot(labels, K), K)
        return {P: grad * p / N, HARD: -grad * hot / N, EVEN: -grad * even / N}

    def change(parts: Callable[..., Any]) -> Any:
        return lambda grad, logits, labels: terms(grad, logits, labels, parts)

    variants = {
        "the labels are hard: the smoothing does nothing": change(lambda hot, even, p, one, K: (one, 0 * even, p)),
        "the label keeps its whole 1, and the others are given something in addition: q sums to more than 1": change(
            lambda hot, even, p, one, K: (one, even, p)
        ),
        "the smoothing is spread over the K − 1 other classes; here it is spread over all K": change(
            lambda hot, even, p, one, K: (hot, s / (K - 1) * (1 - one), p)
        ),
        "each class is given `smoothing` itself, and not its K-th part": change(
            lambda hot, even, p, one, K: (hot, even * K, p)
        ),
        "the label is given smoothing / K, and the others the rest: the two are exchanged": change(
            lambda hot, even, p, one, K: (s * one, np.full_like(even, (1 - s) / K), p)
        ),
        "the probabilities are smoothed, and the labels are not": change(
            lambda hot, even, p, one, K: (one, 0 * even, (1 - s) * p + s / K)
        ),
        "p is multiplied by 1 − smoothing; q sums to 1, so all of p stays": change(
            lambda hot, even, p, one, K: (hot, even, (1 - s) * p)
        ),
        "the softmax runs over the images; each row has its own": lambda grad, logits, labels: {
            **terms(grad, logits, labels), P: grad * softmax(logits.T).T / len(logits),
        },
    }  # fmt: skip
    return Right(terms, variants, lambda grad, logits, labels: {"N": len(logits), "K": logits.shape[1]}, divisor="N")


def check_smoothed(mine: Any, seed: int) -> Iterator[str]:
    for smoothing in (0.3, 0.1):

        def draw(rng: np.random.Generator) -> dict[str, Array]:
            N, K = rng.permutation([4, 7]) + rng.integers(0, 2)
            return {"logits": 2 * rng.standard_normal((N, K)), "labels": rng.integers(0, K, N)}

        def forward(logits: Array, labels: Array, smoothing: float = smoothing) -> Array:
            return loss_of(logits, labels, smoothing)

        def backward(grad: Array, logits: Array, labels: Array, smoothing: float = smoothing) -> Any:
            found = mine.smoothed_cross_entropy_backward(logits, labels, smoothing)
            return (None if found is None else grad * found if isinstance(found, np.ndarray) else found), None

        head = f"smoothed_cross_entropy_backward, smoothing {smoothing}"
        yield from check_gradient(head, forward, backward, draw, {"logits": smoothed_right(smoothing)}, seed=seed)
    yield from check_large(mine)


def check_large(mine: Any) -> Iterator[str]:
    head = "smoothed_cross_entropy_backward, logits of 1000"
    logits, labels = np.array([[1000.0, 0.0, -1000.0], [-1000.0, 1000.0, 1000.0]]), np.array([0, 1])
    got = mine.smoothed_cross_entropy_backward(logits.copy(), labels, 0.1)
    if not np.isfinite(got).all():
        raise Wrong(f"{head}: not a finite number comes out: e^1000 is none. Take each row's largest away first")
    wanted = (softmax(logits) - 0.9 * one_hot(labels, 3) - 0.1 / 3) / 2
    yield from check_equal(head, got, wanted)


B1, B2, EPS = 0.9, 0.999, 1e-8
OF_ADAM, OF_DECAY, BEFORE = "Adam's step", "the decay", "w"


def adamw_terms(
    w: Array, grad: Array, m: Array, s: Array, t: int, lr: float, decay: float, **other: Any
) -> dict[str, Array]:
    """Return the terms of the new w. other: ingredients that are mistaken, by name."""
    g = other.get("g", grad)
    m, s = B1 * m + (1 - B1) * g, B2 * s + (1 - B2) * g * g
    m, s = other.get("means", lambda new_m, new_s: (new_m, new_s))(m, s)
    c1, c2 = other.get("corrections", (1 - B1**t, 1 - B2**t))
    root = other.get("root", lambda one: np.sqrt(one) + EPS)
    step = -lr * (m / c1) / root(s / c2)
    return {BEFORE: w, OF_ADAM: step, OF_DECAY: other.get("decayed", lambda step: -lr * decay * w)(step)}


def adamw_right() -> Right:
    def changed(**made: Callable[..., Any]) -> Any:
        """A variant whose ingredients are made of the arguments."""
        return lambda *arguments: adamw_terms(*arguments, **{name: make(*arguments) for name, make in made.items()})

    def nothing(w: Array, grad: Array, m: Array, s: Array, t: int, lr: float, decay: float) -> Any:
        return lambda step: 0 * w

    # The decay and w are multiples of each other: no fit could tell their coefficients.
    variants = {
        "the decay is missing": changed(decayed=nothing),
        "the decay has the wrong sign: w grows by it": changed(
            decayed=lambda w, grad, m, s, t, lr, decay: lambda step: lr * decay * w
        ),
        "the decay is in the gradient, and so in both means: that is Adam with L2, not AdamW": changed(
            g=lambda w, grad, m, s, t, lr, decay: grad + decay * w, decayed=nothing
        ),
        "the decay is in the gradient as well as in the last line": changed(
            g=lambda w, grad, m, s, t, lr, decay: grad + decay * w
        ),
        "the decay is not multiplied by lr": changed(
            decayed=lambda w, grad, m, s, t, lr, decay: lambda step: -decay * w
        ),
        "the decay takes the w that Adam's step has moved; both take the w from before": changed(
            decayed=lambda w, grad, m, s, t, lr, decay: lambda step: -lr * decay * (w + step)
        ),
        "neither mean is corrected for having begun at 0": changed(corrections=lambda *_: (1, 1)),
        "m is not corrected for having begun at 0": changed(
            corrections=lambda w, grad, m, s, t, lr, decay: (1, 1 - B2**t)
        ),
        "s is not corrected for having begun at 0": changed(
            corrections=lambda w, grad, m, s, t, lr, decay: (1 - B1**t, 1)
        ),
        "the corrections count one step too few": changed(
            corrections=lambda w, grad, m, s, t, lr, decay: (1 - B1 ** (t - 1), 1 - B2 ** (t - 1))
        ),
        "the corrections count one step too many": changed(
            corrections=lambda w, grad, m, s, t, lr, decay: (1 - B1 ** (t + 1), 1 - B2 ** (t + 1))
        ),
        "the corrections of the two means are exchanged": changed(
            corrections=lambda w, grad, m, s, t, lr, decay: (1 - B2**t, 1 - B1**t)
        ),
        "it is divided by s, and not by its root": changed(root=lambda *_: lambda one: one + EPS),
        "the last line takes the old m and s": changed(
            means=lambda w, grad, m, s, t, lr, decay: lambda new_m, new_s: (m, s)
        ),
        "the last line takes the old s": changed(means=lambda w, grad, m, s, t, lr, decay: lambda a, b: (a, s)),
        "the last line takes grad, where the new m belongs": changed(
            means=lambda w, grad, m, s, t, lr, decay: lambda a, b: (grad, b), corrections=(
                lambda w, grad, m, s, t, lr, decay: (1, 1 - B2**t)
            ),
        ),
    }  # fmt: skip
    return Right(lambda *arguments: adamw_terms(*arguments), variants, arrives=False)


def mean_right(position: int, keep: float, power: int) -> Right:
    """Return what is known of the new m (position 1) or s (2) of all arguments of adamw_step."""
    old, new = f"{keep} · the old one", f"{1 - keep:.3g} · {'grad²' if power == 2 else 'grad'}"

    def of(mean: Callable[[Array, Array], Any]) -> Callable[..., Any]:
        return lambda w, grad, m, s, t, lr, decay: mean((m, s)[position - 1], grad)

    def with_decay(w: Array, grad: Array, m: Array, s: Array, t: int, lr: float, decay: float) -> Array:
        return keep * (m, s)[position - 1] + (1 - keep) * (grad + decay * w) ** power

    variants = {
        "the decay is in it": with_decay,
        "the shares are exchanged": of(lambda a, g: (1 - keep) * a + keep * g**power),
        "this is what it was before": of(lambda a, g: a),
    }
    if power == 2:
        variants |= {
            "it takes grad, and not its square": of(lambda a, g: keep * a + (1 - keep) * g),
            "it takes the size of grad, and not its square": of(lambda a, g: keep * a + (1 - keep) * np.abs(g)),
            "its share 0.001 is squared with grad": of(lambda a, g: keep * a + ((1 - keep) * g) ** 2),
        }
    return Right(of(lambda a, g: {old: keep * a, new: (1 - keep) * g**power}), variants, arrives=False)


def check_adamw(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        w, grad, m = rng.standard_normal((3, 3 + rng.integers(0, 2), 4))
        return w, grad, m, rng.uniform(0.5, 2, w.shape), int(rng.integers(3, 9)), 0.1, 0.3

    def result(position: int) -> Callable[..., Any]:
        def taken(*arguments: Any) -> Any:
            found = mine.adamw_step(*arguments)
            if found is None:
                raise Wrong("adamw_step: there is nothing yet; is the gap (`...`) still there, or a return missing?")
            if isinstance(found, np.ndarray) or len(found) != 3:
                raise Wrong("adamw_step: three arrays should come back: w, m and s")
            return np.asarray(found[position])

        return taken

    for position, name, keep, power in ((1, "m", B1, 1), (2, "s", B2, 2)):
        yield from check_values(f"adamw_step: {name}", result(position), mean_right(position, keep, power), draw, seed)
    yield from check_values("adamw_step: w", result(0), adamw_right(), draw, seed)
    yield from check_first_step(mine)


def check_first_step(mine: Any) -> Iterator[str]:
    """At step 1 both means begin at 0: a step is lr in each number, and where the gradient is 0 nothing moves."""
    w, grad = np.array([1.0, -2.0, 3.0]), np.array([5.0, -1e-3, 0.0])
    zeros = np.zeros(3)
    got, _, _ = mine.adamw_step(w.copy(), grad.copy(), zeros.copy(), zeros.copy(), 1, 0.1, 0.0)
    head = "adamw_step, the first step, with a gradient of 0 in one place"
    if not np.isfinite(got).all():
        raise Wrong(f"{head}: a number that is not finite: is 1e-8 missing below?")
    yield from check_equal(head, got, w - 0.1 * grad / (np.abs(grad) + EPS))
    mine.adamw_step(*np.ones((4, 3), np.float32), 2, 0.1, 0.3)  # answers are watched for the dtype that they keep


def trapezoid(step: int, steps: int, warmup: int, cooldown: int, lr: float) -> float:
    rising = lr * step / warmup if warmup else lr
    falling = lr * (steps - step) / cooldown if cooldown else lr
    return max(0.0, min(lr, rising, falling))


Schedule = Callable[[int, int, int, int, float], float]


def between(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))


SCHEDULES: dict[str, Schedule] = {
    "there is no warm-up": lambda t, T, W, D, lr: trapezoid(t, T, 0, D, lr),
    "there is no cooldown": lambda t, T, W, D, lr: between(0, lr * t / W if W else lr, lr),
    "warmup and cooldown are exchanged": lambda t, T, W, D, lr: trapezoid(t, T, D, W, lr),
    "the warm-up counts from 1: step 0 has a part of lr already": lambda t, T, W, D, lr: (
        min(between(0, lr * (t + 1) / W if W else lr, lr), trapezoid(t, T, 0, D, lr))
    ),
    "the fall begins at step `cooldown`; that is how long it takes": lambda t, T, W, D, lr: (
        between(0, min(lr * t / W if W else lr, lr * (T - t) / (T - D) if t >= D else lr), lr)
    ),
    "the fall ends one step too early": lambda t, T, W, D, lr: (
        between(0, min(lr * t / W if W else lr, lr * (T - 1 - t) / D if D else lr), lr)
    ),
    "it goes down to 0 all the way from the top, with no plateau": lambda t, T, W, D, lr: (
        lr * t / W if W and t < W else lr * max(0, T - t) / (T - W)
    ),
    "it falls along half a cosine; here all lines are straight": lambda t, T, W, D, lr: (
        trapezoid(t, T, W, 0, lr) if not D or t < T - D else lr * (1 + np.cos(np.pi * min(1, (t - T + D) / D))) / 2
    ),
    "it goes below 0 beyond the last step": lambda t, T, W, D, lr: (
        min(lr, lr * t / W if W else lr, lr * (T - t) / D if D else lr)
    ),
    "the learning rate is missing: this is its share": lambda t, T, W, D, lr: trapezoid(t, T, W, D, 1.0),
    "this is lr at every step": lambda t, T, W, D, lr: lr,
}


def check_trapezoid(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "trapezoid_lr")
    T, W, D = 40 + int(rng.integers(0, 9)), 8 + int(rng.integers(0, 3)), 13 + int(rng.integers(0, 3))
    cases = {
        "warm-up, plateau and cooldown": (T, W, D), "no cooldown": (T, W, 0), "no warm-up": (T, 0, D),
        "neither": (T, 0, 0), "no plateau": (W + D, W, D),
    }  # fmt: skip
    lr = 0.4
    for case, (steps, warmup, cooldown) in cases.items():
        places = range(steps + 4 if cooldown else steps + 1)
        head = f"trapezoid_lr, {case} (steps {steps}, warmup {warmup}, cooldown {cooldown})"
        got = [number(head, mine.trapezoid_lr(step, steps, warmup, cooldown, lr)) for step in places]
        wanted = [trapezoid(step, steps, warmup, cooldown, lr) for step in places]
        off = [step for step in places if not np.isclose(got[step], wanted[step], rtol=1e-9, atol=1e-12)]
        if off:
            for sentence, other in SCHEDULES.items():
                if np.allclose(got, [other(step, steps, warmup, cooldown, lr) for step in places], atol=1e-12):
                    raise Wrong(f"{head}: {sentence}")
            raise Wrong(
                f"{head}: {len(off)} of {len(got)} steps are wrong, the first is step {off[0]}: {got[off[0]]:.6g} is "
                "not right"
            )
        yield head


def number(head: str, got: Any) -> float:
    if isinstance(got, float | int | np.floating) or (isinstance(got, np.ndarray) and got.shape == ()):
        return float(got)
    if got is None:
        raise Wrong(f"{head}: there is nothing yet; is the gap (`...`) still there, or a return missing?")
    raise Wrong(f"{head}: this is a {type(got).__name__}, and should be a number")


EXERCISE = Exercise(
    chapter=16,
    name="recipe",
    title="Softer labels, AdamW, and a schedule with a plateau",
    text=TEXT,
    hints=HINTS,
    checks={
        "smoothed_cross_entropy_backward": check_smoothed,
        "adamw_step": check_adamw,
        "trapezoid_lr": check_trapezoid,
    },
)
