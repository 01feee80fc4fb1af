"""Chapter 10: a wider network and a shallower one that compute what another network computes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_values, generator, refuse_nothing
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 10: networks that are others, and compute the same.

The chapter makes a network deeper without changing what it computes. Here one becomes wider, and one loses a layer.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

Fill in the two functions, then run `minires check 10`. `minires check 10 --hint` helps.
"""

import numpy as np


def widen(w1, w2, copies):
    """Return (new_w1, new_w2) of a network with more hidden units that computes the same,

        relu(x @ new_w1) @ new_w2 = relu(x @ w1) @ w2    for every x

    w1 (C, F), w2 (F, K); copies, a list of F numbers from 1 on: how many times unit f of the hidden layer is there
    afterwards. Copies of a unit stand next to each other, sum(copies) units together, and all copies of it count alike.
    """
    ...


def fold_batch_norm(weight, gamma, beta, mean, var, eps):
    """Return (new_weight, new_bias) of a convolution alone that computes what a convolution and its batch norm compute:

        conv(x, new_weight) + new_bias = gamma · (conv(x, weight) − mean) / √(var + eps) + beta    for every x

    In evaluation mean and var are constants, the running statistics. weight (F, C, K, K); gamma, beta, mean, var (F,).
    """
    ...
'''

HINTS = (
    "widen: all copies of a unit see the same, so each of them is handed the same column of w1. What reaches the next "
    "layer would now be too much: by which number has a unit's row of w2 to be divided?",
    "widen: np.repeat(array, copies, axis=…) repeats rows or columns, each as often as `copies` says. A list of whole "
    "numbers is float64 as soon as something is divided by it: np.array(copies, dtype).",
    "fold_batch_norm: multiply the right side out, into a number times conv(x, weight) and a number that does not "
    "depend on x. Both are one number for each of the F filters; scale[:, None, None, None] fits beside weight.",
)


def widened(into: Callable[..., Array], out: Callable[..., Array]) -> Callable[..., Array]:
    """Return a function that gives both new weights in one array, from (w1, w2, copies)."""
    return lambda w1, w2, copies: joined(into(w1, w2, copies), out(w1, w2, copies))


def joined(*arrays: Array) -> Array:
    return np.concatenate([np.ravel(one) for one in arrays])


def into(w1: Array, w2: Array, copies: list[int]) -> Array:
    return np.repeat(w1, copies, axis=1)


def out(w1: Array, w2: Array, copies: list[int]) -> Array:
    return np.repeat(w2 / np.array(copies)[:, None], copies, axis=0)


def first_copy_only(array: Array, copies: list[int], axis: int) -> Array:
    """Repeat along an axis with zeros in all copies but the first."""
    which = np.concatenate([np.eye(1, count)[0] for count in copies])
    return np.repeat(array, copies, axis) * (which[:, None] if axis == 0 else which)


def in_turn(array: Array, copies: list[int], axis: int) -> Array:
    """Put all units once, then all that are there twice once more, and so on."""
    places = [f for turn in range(max(copies)) for f, count in enumerate(copies) if turn < count]
    return np.take(array, places, axis)


WIDER: dict[str, Callable[..., Array]] = {
    "what each copy sends on is not divided: the network computes too much": widened(
        into, lambda w1, w2, copies: np.repeat(w2, copies, axis=0)
    ),
    "what goes into the copies is divided, and not what comes out: relu passes the factor on, but copies should be "
    "copies": widened(
        lambda w1, w2, copies: np.repeat(w1 / np.array(copies), copies, axis=1),
        lambda w1, w2, copies: np.repeat(w2, copies, axis=0),
    ),
    "both weights are divided by the number of copies; one division is enough": widened(
        lambda w1, w2, copies: np.repeat(w1 / np.array(copies), copies, axis=1), out
    ),
    "it is divided by the root of the number of copies": widened(
        into, lambda w1, w2, copies: np.repeat(w2 / np.sqrt(copies)[:, None], copies, axis=0)
    ),
    "it is multiplied by the number of copies, and should be divided": widened(
        into, lambda w1, w2, copies: np.repeat(w2 * np.array(copies)[:, None], copies, axis=0)
    ),
    "every unit is divided by the same number, the mean of copies; each has its own": widened(
        into, lambda w1, w2, copies: np.repeat(w2 / np.mean(copies), copies, axis=0)
    ),
    "every unit is divided by the largest number of copies; each has its own": widened(
        into, lambda w1, w2, copies: np.repeat(w2 / max(copies), copies, axis=0)
    ),
    "one copy sends all, the others nothing: that computes the same, but copies should count alike": widened(
        into, lambda w1, w2, copies: first_copy_only(w2, copies, 0)
    ),
    "the copies are handed nothing: new units with zeros are no copies": widened(
        lambda w1, w2, copies: first_copy_only(w1, copies, 1), lambda w1, w2, copies: first_copy_only(w2, copies, 0)
    ),
    "the units stand in another order: copies of a unit stand next to each other": widened(
        lambda w1, w2, copies: in_turn(w1, copies, 1),
        lambda w1, w2, copies: in_turn(w2 / np.array(copies)[:, None], copies, 0),
    ),
    "the two new weights have their units in different orders": widened(
        into, lambda w1, w2, copies: in_turn(w2 / np.array(copies)[:, None], copies, 0)
    ),
}


def check_widen(mine: Any, seed: int) -> Iterator[str]:
    for head, copies in (("widen, copies [3, 1, 2]", [3, 1, 2]), ("widen, one unit 4 times", [4]),
                         ("widen, copies [1, 1, 1, 1]", [1, 1, 1, 1])):  # fmt: skip

        def draw(rng: np.random.Generator, copies: list[int] = copies) -> tuple[Any, ...]:
            C, K = rng.permutation([4, 5]) + rng.integers(0, 3)
            return rng.standard_normal((C, len(copies))), rng.standard_normal((len(copies), K)), list(copies)

        def function(w1: Array, w2: Array, copies: list[int], head: str = head) -> Any:
            units = sum(copies)
            given = two(head, mine.widen(w1, w2, copies), ("new_w1", "new_w2"))
            for name, one, shape in zip(
                ("new_w1", "new_w2"), given, ((len(w1), units), (units, w2.shape[1])), strict=True
            ):
                if np.shape(one) != shape:
                    raise Wrong(f"{head}: the shape of {name} is {np.shape(one)}, and should be {shape}")
            return joined(*given)

        right = Right(widened(into, out), WIDER, arrives=False)
        yield from check_values(head, function, right, draw, seed, "new_w1 first, and behind it new_w2, as one row")
    rng = generator(seed, "widen in float32")
    w1, w2 = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (3, 5))]
    mine.widen(w1, w2, [2, 1, 3])  # float64 is refused there
    yield "widen in float32"


def two(head: str, given: Any, names: tuple[str, str]) -> tuple[Any, Any]:
    """Return the two arrays that were given back; `Wrong` for anything else."""
    refuse_nothing(head, given)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise Wrong(f"{head}: gives back two arrays: return {names[0]}, {names[1]}")
    for name, one in zip(names, given, strict=True):
        refuse_nothing(f"{head}, {name}", one)
    return given[0], given[1]


def scale_of(gamma: Array, var: Array, eps: float) -> Array:
    return gamma / np.sqrt(var + eps)


def weight_with(scale: Callable[..., Array]) -> Callable[..., Array]:
    return lambda weight, gamma, beta, mean, var, eps: weight * scale(gamma, var, eps)[:, None, None, None]


WEIGHT: dict[str, Callable[..., Array]] = {
    "the weight is as it was: the norm's scale belongs into it": weight_with(lambda gamma, var, eps: np.ones_like(var)),
    "gamma is missing": weight_with(lambda gamma, var, eps: 1 / np.sqrt(var + eps)),
    "it is not divided by √(var + eps)": weight_with(lambda gamma, var, eps: gamma),
    "the root is missing: it is divided by var + eps": weight_with(lambda gamma, var, eps: gamma / (var + eps)),
    "eps is missing under the root": weight_with(lambda gamma, var, eps: gamma / np.sqrt(var)),
    "eps is added to the root: it belongs under it": weight_with(lambda gamma, var, eps: gamma / (np.sqrt(var) + eps)),
    "it is multiplied by √(var + eps), and should be divided": weight_with(
        lambda gamma, var, eps: gamma * np.sqrt(var + eps)
    ),
    "the scale lies along the input channels: a norm's numbers belong to the filters": (
        lambda weight, gamma, beta, mean, var, eps: weight * scale_of(gamma, var, eps)[: weight.shape[1], None, None]
        if weight.shape[1] == len(var)
        else np.full_like(weight, np.nan)
    ),
}
BIAS: dict[str, Callable[..., Array]] = {
    "beta alone: the mean that the norm takes off is missing": lambda weight, gamma, beta, mean, var, eps: beta,
    "beta is missing": lambda weight, gamma, beta, mean, var, eps: -mean * scale_of(gamma, var, eps),
    "the mean is added, and the norm takes it off": (
        lambda weight, gamma, beta, mean, var, eps: beta + mean * scale_of(gamma, var, eps)
    ),
    "the mean is not scaled: it is taken off before the norm's factor": (
        lambda weight, gamma, beta, mean, var, eps: beta - mean
    ),
    "beta is scaled as well: it is added behind the norm's factor": (
        lambda weight, gamma, beta, mean, var, eps: (beta - mean) * scale_of(gamma, var, eps)
    ),
    "gamma is missing: the mean is scaled by 1/√(var + eps) alone": (
        lambda weight, gamma, beta, mean, var, eps: beta - mean / np.sqrt(var + eps)
    ),
    "the mean is multiplied by gamma alone, not divided by √(var + eps)": (
        lambda weight, gamma, beta, mean, var, eps: beta - mean * gamma
    ),
    "eps is missing under the root": lambda weight, gamma, beta, mean, var, eps: beta - mean * gamma / np.sqrt(var),
    "beta and the mean are exchanged": (
        lambda weight, gamma, beta, mean, var, eps: mean - beta * scale_of(gamma, var, eps)
    ),
}


def check_fold(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        F, C, K = 4 + rng.integers(0, 3), 2 + rng.integers(0, 2), int(rng.choice([1, 3]))
        gamma, beta, mean = rng.normal(1, 0.4, F), rng.standard_normal(F), rng.standard_normal(F)
        return rng.standard_normal((F, C, K, K)), gamma, beta, mean, rng.uniform(0.3, 2, F), 0.1

    right_weight = Right(weight_with(scale_of), WEIGHT, arrives=False)
    right_bias = Right(
        lambda weight, gamma, beta, mean, var, eps: beta - mean * scale_of(gamma, var, eps), BIAS, arrives=False
    )
    for position, right in enumerate((right_weight, right_bias)):
        name = ("new_weight", "new_bias")[position]
        head = f"fold_batch_norm, {name}"

        def function(*arguments: Any, position: int = position) -> Any:
            return two("fold_batch_norm", mine.fold_batch_norm(*arguments), ("new_weight", "new_bias"))[position]

        yield from check_values(head, function, right, draw, seed)
    arrays = [np.float32(one) if isinstance(one, np.ndarray) else one for one in draw(generator(seed, "float32"))]
    mine.fold_batch_norm(*arrays)  # float64 is refused there
    yield "fold_batch_norm in float32"


EXERCISE = Exercise(
    chapter=10,
    name="same_function",
    title="A wider network, and one without batch norm, that compute the same",
    text=TEXT,
    hints=HINTS,
    checks={"widen": check_widen, "fold_batch_norm": check_fold},
)
