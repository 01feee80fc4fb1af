"""Chapter 17: the shares of the paths, the gradients of a SkipInit block, and a curvature out of two gradients."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right, total
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_equal, check_gradient, check_values, generator
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 17: the shares of the paths, a SkipInit block, and a curvature out of two gradients.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

Fill in the three functions, then run `minires check 17`. `minires check 17 --hint` helps.
"""

import numpy as np


def path_shares(blocks, factor):
    """Return which share of the gradient comes on the paths with 0, 1, …, `blocks` branches: an array (blocks + 1,).

    There are "blocks over l" paths with l branches. Each branch on a path multiplies its gradient by `factor`, a number
    above 0, and each skip by 1. The shares sum to 1. There may be two thousand blocks.
    """
    ...


def skipinit_backward(grad_y, x, w1, w2, alpha):
    """Return (dL/dx, dL/dw1, dL/dw2, dL/dalpha) of a block without norm:

        y = x + alpha · (relu(x @ w1) @ w2)

    x and grad_y (N, C), w1 (C, F), w2 (F, C); alpha, and so its gradient, an array (1,). It may hold 0.
    """
    ...


def curvature(grad_ahead, grad_behind, direction, eps):
    """Return v·Hv / v·v, a number: how the loss curves along v, out of two gradients of it.

        grad_ahead = gradient at w + eps · v,    grad_behind = gradient at w - eps · v,    v = direction

    All three are arrays of w's shape, with any number of axes.
    """
    ...
'''

HINTS = (
    "path_shares: a path decides in each block, once. Which share of the gradient goes by the branch of one block? So "
    "it is a question about coins that are not fair. Or: two thousand over one thousand is too large for a float, and "
    "its logarithm is not (math.lgamma).",
    "skipinit_backward: call the branch without alpha f. Then y = x + alpha · f. alpha is one number that every "
    "element of y has been made with, so its gradient is a sum over all of them.",
    "curvature: the difference of the two gradients is 2 · eps · H v. Multiply it element by element with v and add "
    "up: that is v·Hv, whatever the shape.",
)


def log_shares(blocks: int, factor: float) -> Array:
    logs = np.array([
        math.lgamma(blocks + 1) - math.lgamma(length + 1) - math.lgamma(blocks - length + 1) + length * math.log(factor)
        for length in range(blocks + 1)
    ])  # fmt: skip
    return logs - logs.max()


def shares(blocks: int, factor: float) -> Array:
    weights = np.exp(log_shares(blocks, factor))
    return np.asarray(weights / weights.sum())


Shares = Callable[[int, float], Array]

SHARES: dict[str, Shares] = {
    "these are the shares of the paths by number; each counts by its gradient": lambda n, f: shares(n, 1.0),
    "this is not divided by the sum: the shares sum to (1 + factor)^blocks": lambda n, f: shares(n, f) * (1 + f) ** n,
    "it is divided by 2^blocks, the number of paths, and not by the sum of their gradients": lambda n, f: (
        shares(n, f) * ((1 + f) / 2) ** n
    ),
    "skips and branches are exchanged": lambda n, f: shares(n, f)[::-1],
    "this is how the gradient of *one* path falls; there are many of most lengths": lambda n, f: (
        f ** np.arange(n + 1.0) / np.sum(f ** np.arange(n + 1.0))
    ),
    "each branch is taken with the share `factor`, and each skip with 1 − factor": lambda n, f: (
        shares(n, f / (1 - f)) if f < 1 else np.full(n + 1, np.nan)
    ),
    "each branch is counted twice, factor²": lambda n, f: shares(n, f * f),
    "these are sums up to each length": lambda n, f: np.cumsum(shares(n, f)),
    "there is one number for each block: the path with no branch, or the one with all, is missing": lambda n, f: (
        shares(n, f)[1:]
    ),
}


def check_shares(mine: Any, seed: int) -> Iterator[str]:
    drawn = float(generator(seed, "path_shares").uniform(0.3, 0.7))
    cases = [(3, 1.0), (4, 0.4), (5, drawn), (54, 0.8), (2000, 0.9)]
    for blocks, factor in cases:
        head = f"path_shares, {blocks} blocks, factor {factor:.3g}"
        with np.errstate(all="ignore"):
            got = mine.path_shares(blocks, factor)
        if not isinstance(got, np.ndarray):
            yield from check_equal(head, got, shares(blocks, factor), "an array is wanted")
            raise Wrong(f"{head}: this is a {type(got).__name__}, and should be an array")
        if blocks == 3:
            continue  # where many mistakes are none; it is looked at last
        wanted = shares(blocks, factor)
        if got.shape != wanted.shape or not np.allclose(got, wanted, rtol=1e-7, atol=1e-12):
            raise Wrong(f"{head}: {mistake_in_shares(got, blocks, factor)}")
        yield head
    yield from check_equal("path_shares, 3 blocks, factor 1", mine.path_shares(3, 1.0), np.array([1, 3, 3, 1]) / 8)


def mistake_in_shares(got: Array, blocks: int, factor: float) -> str:
    if not np.isfinite(got).all():
        return "not a finite number comes out: something on the way is too large, or too small, for a float"
    for sentence, other in SHARES.items():
        with np.errstate(all="ignore"):
            mistaken = other(blocks, factor)
        if got.shape == mistaken.shape and np.allclose(got, mistaken, rtol=1e-6, atol=1e-12):
            return sentence
    if got.shape != (blocks + 1,):
        return f"the shape is {got.shape}, and should be {(blocks + 1,)}"
    if not np.isclose(got.sum(), 1, rtol=1e-6):
        return f"the shares sum to {got.sum():.6g}, and not to 1"
    return "they sum to 1, and are not those shares"


def block(x: Array, w1: Array, w2: Array, alpha: Array) -> Array:
    return np.asarray(x + alpha * (np.maximum(x @ w1, 0) @ w2))


SKIP, BRANCH = "what comes through the skip", "what comes through the branch"


def grads_of(
    grad_y: Array, x: Array, w1: Array, w2: Array, alpha: Array, **other: Any
) -> tuple[dict[str, Array], Array, Array, Array]:
    """Return the gradients of x (as terms), w1, w2 and alpha. other: ingredients that are mistaken, by name."""
    z = x @ w1
    a = np.maximum(z, 0)
    scale = other.get("scale", lambda alpha: alpha)(alpha)
    grad_f = grad_y * scale
    back = grad_f @ w2.T
    grad_z = other.get("mask", lambda back, z: back * (z > 0))(back, z)
    skip = other.get("skip", lambda grad, alpha: grad)(grad_y, alpha)
    grad_alpha = other.get("summed", lambda grad, f: np.sum(grad * f).reshape(1))(grad_y, a @ w2)
    return {SKIP: skip, BRANCH: grad_z @ w1.T}, x.T @ grad_z, a.T @ grad_f, grad_alpha


BLOCK_MISTAKES: dict[str, dict[str, Any]] = {
    "alpha is missing on the way back through the branch": {"scale": lambda alpha: 1 + 0 * alpha},
    "alpha is there twice": {"scale": lambda alpha: alpha * alpha},
    "the branch is divided by alpha": {"scale": lambda alpha: 1 / alpha},
    "the skip is multiplied by alpha; only the branch is": {"skip": lambda grad, alpha: grad * alpha},
    "the skip is multiplied by 1 − alpha": {"skip": lambda grad, alpha: grad * (1 - alpha)},
    "nothing comes back through the skip": {"skip": lambda grad, alpha: 0 * grad},
    "the ReLU is left out": {"mask": lambda back, z: back},
    "the mask of the ReLU is turned round": {"mask": lambda back, z: back * (z <= 0)},
    "it is multiplied by the ReLU's output, where its slope belongs (1 or 0)": {
        "mask": lambda back, z: back * np.maximum(z, 0)
    },
    "what comes back is cut off where it is negative itself": {"mask": lambda back, z: np.maximum(back, 0)},
}

ALPHA_MISTAKES: dict[str, Callable[..., Array]] = {
    "it is averaged over all elements; every one of them was made with alpha, so they add up": (
        lambda g, x, w1, w2, alpha: np.mean(g * f_of(x, w1, w2)).reshape(1)
    ),
    "it is averaged over the images; they add up": (
        lambda g, x, w1, w2, alpha: (np.sum(g * f_of(x, w1, w2)) / len(x)).reshape(1)
    ),
    "it is the sum of what arrives; each element counts by the branch's": lambda g, *_: g.sum().reshape(1),
    "it is multiplied by alpha, or taken of alpha · f": (
        lambda g, x, w1, w2, alpha: alpha * np.sum(g * f_of(x, w1, w2))
    ),
    "the branch is taken before its last product, or without its ReLU": (
        lambda g, x, w1, w2, alpha: np.sum(g * (x @ w1 @ w2)).reshape(1)
    ),
    "it is taken with y in the place of the branch": (
        lambda g, x, w1, w2, alpha: np.sum(g * block(x, w1, w2, alpha)).reshape(1)
    ),
    "it is taken with x in the place of the branch": lambda g, x, *_: np.sum(g * x).reshape(1),
}


def f_of(x: Array, w1: Array, w2: Array) -> Array:
    return np.asarray(np.maximum(x @ w1, 0) @ w2)


def part(position: int, changes: dict[str, Any] | None = None) -> Any:
    return lambda *arguments: grads_of(*arguments, **(changes or {}))[position]


def with_change(changes: dict[str, Any]) -> Any:
    """Return the backward with one change, in all four gradients."""

    def backward(*arguments: Array) -> Any:
        terms, grad_w1, grad_w2, grad_alpha = grads_of(*arguments, **changes)
        return total(terms), grad_w1, grad_w2, grad_alpha

    return backward


def sizes(grad_y: Array, x: Array, w1: Array, w2: Array, alpha: Array) -> dict[str, float]:
    return {"N": len(x), "C": w1.shape[0], "F": w1.shape[1]}


BLOCK = {
    name: Right(part(i), {sentence: part(i, changes) for sentence, changes in BLOCK_MISTAKES.items()}, sizes)
    for i, name in enumerate(("x", "w1", "w2"))
} | {"alpha": Right(part(3), ALPHA_MISTAKES, sizes)}


def check_skipinit(mine: Any, seed: int) -> Iterator[str]:
    for where, fixed in (("alpha of some size", None), ("alpha = 0", 0.0)):

        def draw(rng: np.random.Generator, fixed: float | None = fixed) -> dict[str, Array]:
            N, C, F = 6 + rng.integers(0, 2), *(rng.permutation([3, 5]) + rng.integers(0, 2))
            alpha = rng.uniform(0.3, 0.8, 1) if fixed is None else np.array([fixed])
            arrays = rng.standard_normal((N, C)), rng.standard_normal((C, F)), rng.standard_normal((F, C))
            return {"x": arrays[0], "w1": arrays[1], "w2": arrays[2], "alpha": alpha}

        def backward(grad_y: Array, *arrays: Array) -> Any:
            grads = mine.skipinit_backward(grad_y, *arrays)
            if isinstance(grads, np.ndarray):
                raise Wrong("skipinit_backward: this is one gradient, and x, w1, w2 and alpha each have one")
            return (None,) * 4 if grads is None else grads

        mistakes = {sentence: with_change(changes) for sentence, changes in BLOCK_MISTAKES.items()}
        yield from check_gradient(
            f"skipinit_backward, {where}", block, backward, draw, BLOCK, mistakes if fixed is None else {}, seed
        )


def curvature_right() -> Right:
    def change(of: Callable[..., Any]) -> Any:
        def value(ahead: Array, behind: Array, v: Array, eps: float) -> Array:
            return np.asarray(of(np.sum((ahead - behind) * v), np.sum(v * v), eps, ahead, behind, v))

        return value

    variants = {
        "this is the absolute value; a loss may curve downwards": change(
            lambda up, vv, eps, *_: np.abs(up) / (2 * eps * vv)
        ),
        "not divided by v·v": change(lambda up, vv, eps, *_: up / (2 * eps)),
        "divided by the length of v, and not by its square": change(lambda up, vv, eps, *_: up / (2 * eps * vv**0.5)),
        "divided by eps once; the two gradients are 2 · eps apart": change(lambda up, vv, eps, *_: up / (eps * vv)),
        "not divided by 2 · eps": change(lambda up, vv, eps, *_: up / vv),
        "divided by eps²: that is for differences of the loss, and these are of its gradient": change(
            lambda up, vv, eps, *_: up / (eps * eps * vv)
        ),
        "the sign is wrong: ahead comes first": change(lambda up, vv, eps, *_: -up / (2 * eps * vv)),
        "this is the size of Hv, and not v·Hv": change(
            lambda up, vv, eps, ahead, behind, v: np.sqrt(np.sum((ahead - behind) ** 2)) / (2 * eps * np.sqrt(vv))
        ),
        "the sum of Hv is taken, without v": change(
            lambda up, vv, eps, ahead, behind, v: np.sum(ahead - behind) / (2 * eps * vv)
        ),
        "the two gradients are added": change(
            lambda up, vv, eps, ahead, behind, v: np.sum((ahead + behind) * v) / (2 * eps * vv)
        ),
        "the mean of v·Hv is taken over its elements, or that of v·v, and not the sum": change(
            lambda up, vv, eps, ahead, behind, v: up / (2 * eps * vv) * v.size
        ),
    }
    return Right(change(lambda up, vv, eps, *_: up / (2 * eps * vv)), variants, arrives=False)


def check_curvature(mine: Any, seed: int) -> Iterator[str]:
    for where, sign in (("upwards", 1), ("downwards", -1)):

        def draw(rng: np.random.Generator, sign: int = sign) -> tuple[Any, ...]:
            shape = (int(rng.integers(2, 4)), 3, int(rng.integers(2, 5)))
            v = rng.standard_normal(shape)
            curved = rng.standard_normal((v.size, v.size))
            product = ((curved + curved.T) @ v.ravel()).reshape(shape)
            product *= sign * np.sign(np.sum(v * product))
            flat, eps = rng.standard_normal(shape), float(rng.uniform(0.01, 0.1))
            return flat + eps * product, flat - eps * product, v, eps

        head = f"curvature, where the loss curves {where}"
        yield from check_values(head, number_of(mine), curvature_right(), draw, seed, "it is one number")
    arrays = [array.astype(np.float32) for array in draw(generator(seed, "curvature"))[:3]]
    mine.curvature(*arrays, 0.05)  # answers are watched for the dtype that they keep


def number_of(mine: Any) -> Callable[..., Any]:
    def number(*arguments: Any) -> Any:
        got = mine.curvature(*arguments)
        if isinstance(got, np.ndarray) and got.shape == (1,):
            raise Wrong("curvature: an array (1,) comes back, and should be a number")
        return got

    return number


EXERCISE = Exercise(
    chapter=17,
    name="paths_and_branches",
    title="The shares of the paths, a SkipInit block, a curvature",
    text=TEXT,
    hints=HINTS,
    checks={"path_shares": check_shares, "skipinit_backward": check_skipinit, "curvature": check_curvature},
)
