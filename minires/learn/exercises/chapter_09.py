"""Chapter 9: the backward of a ReLU with learned slopes, and weights scaled by measuring."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_gradient, check_values, generator, refuse_nothing
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 9: an activation that learns its slope, and weights that are scaled by measuring.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

Fill in the two functions, then run `minires check 9`. `minires check 9 --hint` helps.
"""

import numpy as np


def prelu_backward(grad_y, x, slope):
    """Return dL/dx (N, C, H, W) and dL/dslope (C,) of PReLU, a leaky ReLU whose slopes are learned:

        y = x where x > 0,    y = slope[c] · x elsewhere, for channel c

    grad_y and x (N, C, H, W); slope (C,). He's article on the factor 2 is about this activation.
    """
    ...


def equalized(x, weights):
    """Return a list of new weights, each the old one times one positive number, that keep the signal's size:

        h_0 = x,    h_l = relu(h_{l-1} @ new[l-1]),    root mean square of h_l = that of x    for l = 1 … L

    No formula gives these numbers: measure them, on this x. x (N, C); weights, a list of L arrays (C, C). The root mean
    square of an array is the root of the mean of all its squares.
    """
    ...
'''

HINTS = (
    "prelu_backward: each of the two sides is a product. On the side where x > 0 the slope plays no part; on the other "
    "side, y is slope · x: what are its derivatives with respect to x, and with respect to slope?",
    "One slope serves a whole channel: all of its images and pixels. Used many times means added: over which axes? "
    "slope[:, None, None] fits beside x.",
    "equalized: go through the network once. At each layer compute relu(h @ weight) and compare its size with that of "
    "x. relu(a · z) is a · relu(z) for a positive number a, so the size can be corrected afterwards. What the next "
    "layer is handed is the corrected signal.",
)

POSITIVE, NEGATIVE = "the side where x > 0", "the side where x is below 0"
AXES = (0, 2, 3)


def spread(slope: Array) -> Array:
    return slope[:, None, None]


def prelu(x: Array, slope: Array) -> Array:
    return np.where(x > 0, x, spread(slope) * x)


def sides(positive: Any = None, negative: Any = None) -> Any:
    """Return the terms of dL/dx; the factor of either side is a function of x and the slopes."""

    def terms(grad_y: Array, x: Array, slope: Array) -> dict[str, Array]:
        above = np.ones_like(x) if positive is None else positive(x, spread(slope))
        below = spread(slope) + 0 * x if negative is None else negative(x, spread(slope))
        return {POSITIVE: np.where(x > 0, grad_y * above, 0), NEGATIVE: np.where(x > 0, 0, grad_y * below)}

    return terms


OF_X: dict[str, Any] = {
    "on the negative side nothing comes back: that is ReLU's gradient": sides(negative=lambda x, a: 0 * x),
    "on the negative side all comes back: the slope is missing": sides(negative=lambda x, a: 1 + 0 * x),
    "on the negative side stands y, the value, not its slope": sides(negative=lambda x, a: a * x),
    "on the negative side stands x, and the slope belongs there": sides(negative=lambda x, a: x),
    "the slope is there twice": sides(negative=lambda x, a: a * a + 0 * x),
    "it is divided by the slope, and should be multiplied": sides(negative=lambda x, a: 1 / a + 0 * x),
    "both sides have the slope of the negative one": sides(positive=lambda x, a: a + 0 * x),
    "on the positive side stands x, the value, not the slope": sides(positive=lambda x, a: x),
    "all channels have the first one's slope": sides(negative=lambda x, a: a[:1] + 0 * x),
    "all channels have the mean of the slopes": sides(negative=lambda x, a: a.mean() + 0 * x),
    "this is ELU's, slope · eˣ": sides(negative=lambda x, a: a * np.exp(x)),
    "the two sides are exchanged": lambda g, x, a: {
        POSITIVE: np.where(x > 0, g * spread(a), 0), NEGATIVE: np.where(x > 0, 0, g),
    },
    "the sign of grad_y decides the side; x does": lambda g, x, a: {
        POSITIVE: np.where(g > 0, g, 0), NEGATIVE: np.where(g > 0, 0, g * spread(a)),
    },
}  # fmt: skip


def of_slope(product: Callable[[Array, Array, Array], Array]) -> Any:
    return lambda grad_y, x, slope: product(grad_y, x, spread(slope)).sum(AXES)


OF_SLOPE: dict[str, Any] = {
    "x is missing: y = slope · x, so its derivative with respect to slope is x": of_slope(
        lambda g, x, a: np.where(x > 0, 0, g)
    ),
    "the positive side is counted, too: there the slope plays no part": of_slope(lambda g, x, a: g * x),
    "only the positive side is counted; there the slope plays no part": of_slope(
        lambda g, x, a: np.where(x > 0, g * x, 0)
    ),
    "y stands for x: the slope itself is in it": of_slope(lambda g, x, a: np.where(x > 0, 0, g * a * x)),
    "what arrives is missing: this is Σ x": of_slope(lambda g, x, a: np.where(x > 0, 0, x)),
    "the size of x stands for x: the sign is lost": of_slope(lambda g, x, a: np.where(x > 0, 0, g * np.abs(x))),
    "the sign of grad_y decides the side; x does": of_slope(lambda g, x, a: np.where(g > 0, 0, g * x)),
}


def counts(grad_y: Array, x: Array, slope: Array) -> dict[str, float]:
    N, C, H, W = x.shape
    return {"N": N, "C": C, "H·W": H * W, "N·H·W": N * H * W}


RIGHT = {
    "x": Right(sides(), OF_X, counts),
    "slope": Right(of_slope(lambda g, x, a: np.where(x > 0, 0, g * x)), OF_SLOPE, counts),
}


def check_prelu(mine: Any, seed: int) -> Iterator[str]:
    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C, H, W = rng.permutation([2, 3, 4, 5])
        return {"x": rng.normal(0, 1.5, (N, C, H, W)), "slope": rng.uniform(0.1, 0.9, C)}

    def backward(grad_y: Array, x: Array, slope: Array) -> Any:
        grads = mine.prelu_backward(grad_y, x, slope)
        if isinstance(grads, np.ndarray):
            raise Wrong("prelu_backward: this is one gradient, and x and slope each have one")
        return (None, None) if grads is None or grads is ... else tuple(grads)

    yield from check_gradient("prelu_backward", prelu, backward, draw, RIGHT, seed=seed)


def size(array: Array) -> Any:
    return np.sqrt(np.mean(array * array))


def measured(
    of: Callable[[Array], Any] = size,
    at: Callable[[Array], Array] = lambda z: np.maximum(z, 0),
    factor: Callable[[Any, Any], Any] = lambda wanted, found: wanted / found,
    wanted: Callable[[Array], Any] | None = None,
    handed: str = "the corrected signal",
) -> Callable[..., Array]:
    """Return a function that scales weights by measuring, with something else in one place; it stacks the new ones."""

    def scaled(x: Array, *weights: Array) -> Array:
        h, made = x, []
        for weight in weights:
            z = (x if handed == "x" else h) @ weight
            number = factor((wanted or of)(x), of(at(z)))
            made.append(weight * number)
            h = np.maximum(z, 0) * (1 if handed == "the old signal" else number)
        return np.stack(made)

    return scaled


def by_formula(x: Array, *weights: Array) -> Array:
    return np.stack([weight * np.sqrt(2 / len(weight)) / weight.std() for weight in weights])


def first_for_all(x: Array, *weights: Array) -> Array:
    return np.stack(weights) * size(x) / size(np.maximum(x @ weights[0], 0))


MEASURED: dict[str, Callable[..., Array]] = {
    "the size is measured before the ReLU, which takes a part of it away": measured(at=lambda z: z),
    "standard deviations are compared: a mean is taken off, which the size has in it": measured(of=np.std),
    "mean squares are compared, without the root": measured(of=lambda h: np.mean(h * h)),
    "mean sizes |h| are compared, not roots of mean squares": measured(of=lambda h: np.mean(np.abs(h))),
    "largest numbers are compared, not roots of mean squares": measured(of=lambda h: np.max(np.abs(h))),
    "the factor is upside down: what is too small is made smaller": measured(
        factor=lambda wanted, found: found / wanted
    ),
    "the root of the factor is taken once too often": measured(factor=lambda wanted, found: np.sqrt(wanted / found)),
    "the size becomes 1, and should become that of x": measured(wanted=lambda x: 1.0),
    "the size becomes that of x squared: a root is missing": measured(wanted=lambda x: np.mean(x * x)),
    "each layer is handed the signal of the old weights; it gets that of the new ones": measured(
        handed="the old signal"
    ),
    "each layer is handed x itself, and not what the layers before it make of x": measured(handed="x"),
    "this is He's variance, by the formula; these weights and this x have sizes of their own": by_formula,
    "the first layer's factor is used for all; each has its own": first_for_all,
    "these are the old weights": lambda x, *weights: np.stack(weights),
}  # fmt: skip


def check_equalized(mine: Any, seed: int) -> Iterator[str]:
    for depth in (3, 1, 8):
        head = f"equalized, {depth} layer{'s' if depth > 1 else ''}"

        def draw(rng: np.random.Generator, depth: int = depth) -> tuple[Array, ...]:
            N, C = rng.permutation([20, 16])
            scales = rng.uniform(0.2, 1.5, (depth, 1, 1)) / np.sqrt(C)
            return rng.normal(0.4, 0.7, (N, C)), *(scales * rng.standard_normal((depth, C, C)) + 0.02)

        def function(x: Array, *weights: Array, head: str = head) -> Any:
            return stacked(head, mine.equalized(x, list(weights)), weights)

        right = Right(measured(), MEASURED, arrives=False)
        yield from check_values(head, function, right, draw, seed, "relu(h @ new) has the size of x at every layer")
    x, *weights = draw(generator(seed, "equalized in float32"))
    mine.equalized(x.astype(np.float32), [weight.astype(np.float32) for weight in weights])  # float64 is refused there
    yield "equalized in float32"


def stacked(head: str, given: Any, weights: Sequence[Array]) -> Any:
    """Return a list of weights as one array; `Wrong` for what is no such list."""
    refuse_nothing(head, given)
    if not isinstance(given, list | tuple) or len(given) != len(weights):
        raise Wrong(f"{head}: this should be a list of {len(weights)} arrays, one weight for each layer")
    for i, (one, weight) in enumerate(zip(given, weights, strict=True)):
        if np.shape(one) != weight.shape:
            raise Wrong(f"{head}, layer {i + 1}: the shape is {np.shape(one)}, and should be {weight.shape}")
        ratio = np.asarray(one) / weight
        if not np.allclose(ratio, ratio.flat[0]) or not np.all(ratio > 0):
            raise Wrong(f"{head}, layer {i + 1}: this is not the old weight times one positive number")
    return np.stack(given)


EXERCISE = Exercise(
    chapter=9,
    name="slopes_and_sizes",
    title="A ReLU that learns its slope, and weights scaled by measuring",
    text=TEXT,
    hints=HINTS,
    checks={"prelu_backward": check_prelu, "equalized": check_equalized},
)
