"""Chapter 14: the mean of ratios over many powers of ten, and the gradient of a network with scaled branches."""

import math
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array
from minires.learn.examiner import Backward, Wrong, check_equal, check_gradient
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 14: the mean of gradient ratios, and the gradient of a network with scaled branches.

Fill in the two functions, then run `minires check 14`. `minires check 14 --hint` helps.
"""

import numpy as np


def log10_mean(ratios):
    """Return log10 of the geometric mean of ratios, a list of positive numbers, as a float.

        log10 (r_1 · r_2 · … · r_n)^(1/n)

    The ratios go down to 1e-200, and there may be hundreds of them.
    """
    ...


def scaled_blocks_backward(grad_y, x, weights, scale):
    """Return dL/dx of a residual network without norm, whose branches are multiplied by the number `scale`:

        h_0 = x,    h_l = h_{l-1} + scale · relu(h_{l-1}) @ weights[l-1]    for l = 1 … L,    y = h_L

    grad_y = dL/dy and x (N, C); weights, a list of L arrays (C, C).
    """
    ...
'''

HINTS = (
    "log10_mean: a product of many small numbers is 0 in floating point. What is the logarithm of a product, and of a "
    "root?",
    "scaled_blocks_backward: run forward first and keep each h_{l-1}: the ReLU's mask needs it. Then from the last "
    "block to the first.",
    "At each block the gradient splits: one part goes back through the skip as it is. The other goes through the "
    "product, the ReLU and the scale. They meet at h_{l-1}. What is done where two parts meet?",
)

SAMPLES = {
    "one ratio": [0.01],
    "two ratios": [1e-6, 1e2],
    "three ratios": [1e-8, 1e-1, 1e3],
    "many small ratios": [10.0**-exponent for exponent in range(100, 200)],
}


def scaled_blocks(x: Array, weights: Sequence[Array], scale: float) -> list[Array]:
    hs = [x]
    for weight in weights:
        hs.append(hs[-1] + scale * (np.maximum(hs[-1], 0) @ weight.astype(x.dtype)))
    return hs


MISTAKES = {
    "nothing comes back through the skips": "no skip",
    "nothing comes back through the branches": "no branch",
    "the scale is missing on the way back": "no scale",
    "the skip is scaled as well; only the branch is": "scaled skip",
    "the ReLU is left out: where its input is below 0, nothing comes back through the branch": "no relu",
    "the mask of the ReLU is laid on the skip, too, which it does not touch": "masked skip",
    "the weights are taken in forward order; the last block's turn is first": "forward order",
}


def typical(kind: str, weights: Sequence[Array], scale: float) -> Backward:
    """Return a backward with one typical mistake."""

    def backward(grad_y: Array, x: Array) -> Array:
        hs = scaled_blocks(x, weights, scale)
        grad: Any = grad_y
        order = range(len(weights))
        for i in order if kind == "forward order" else reversed(order):
            mask = 1.0 if kind == "no relu" else hs[i] > 0
            branch = (grad @ weights[i].T) * mask * (1 if kind == "no scale" else scale)
            skip = grad * (scale if kind == "scaled skip" else mask if kind == "masked skip" else 1)
            grad = (0 if kind == "no skip" else skip) + (0 if kind == "no branch" else branch)
        return grad

    return backward


def check(mine: ModuleType) -> Iterator[str]:
    for case, ratios in SAMPLES.items():
        yield from check_mean(mine, f"log10_mean, {case}", ratios)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 5))
    for depth, scale in ((1, 1.0), (1, 0.5), (3, 0.5)):
        weights = list(rng.standard_normal((depth, 5, 5)))

        def forward(x: Array, weights: list[Array] = weights, scale: float = scale) -> Array:
            return scaled_blocks(x, weights, scale)[-1]

        def backward(grad_y: Array, x: Array, weights: list[Array] = weights, scale: float = scale) -> Any:
            return mine.scaled_blocks_backward(grad_y, x, [weight.astype(x.dtype) for weight in weights], scale)

        mistakes = {sentence: typical(kind, weights, scale) for sentence, kind in MISTAKES.items()}
        head = f"scaled_blocks_backward, {depth} block{'s' if depth > 1 else ''}, scale {scale}"
        yield from check_gradient(head, forward, backward, {"x": x}, mistakes)


def check_mean(mine: ModuleType, head: str, ratios: list[float]) -> Iterator[str]:
    """Check one mean; `Wrong` with the other mean that it may be."""
    with np.errstate(divide="ignore"):
        got = mine.log10_mean(list(ratios))
    wanted = float(np.mean(np.log10(ratios)))
    if isinstance(got, float | np.floating):
        others = {
            "this is the logarithm of the arithmetic mean, which the largest ratio decides alone": np.log10(
                np.mean(ratios)
            ),
            "this is the geometric mean itself, not its logarithm": 10**wanted,
            "this is the mean of natural logarithms": wanted * math.log(10),
            "the logarithms are summed, and not divided by how many there are": wanted * len(ratios),
            "this is the median, of the logarithms": float(np.median(np.log10(ratios))),
        }
        if np.isinf(got):
            raise Wrong(f"{head}: it gives {got}: somewhere a product became 0")
        for sentence, other in others.items():
            if not math.isclose(wanted, other) and math.isclose(got, other, rel_tol=1e-9):
                raise Wrong(f"{head}: {sentence}")
    yield from check_equal(head, got, wanted)


EXERCISE = Exercise(
    chapter=14,
    name="skips_compared",
    title="The mean of ratios, and a network with scaled branches",
    text=TEXT,
    names=("log10_mean", "scaled_blocks_backward"),
    hints=HINTS,
    check=check,
)
