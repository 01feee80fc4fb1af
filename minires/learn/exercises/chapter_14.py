"""Chapter 14: the mean of ratios over many powers of ten, and the gradient of a network with scaled branches."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array
from minires.learn.examiner import Wrong, check_equal, check_gradient, generator
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 14: the mean of gradient ratios, and the gradient of a network with scaled branches.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

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

MEANS: dict[str, Callable[[Array], Any]] = {
    "this is the logarithm of the arithmetic mean, which the largest ratio decides alone": lambda r: np.log10(
        np.mean(r)
    ),
    "this is the arithmetic mean": np.mean,
    "this is the geometric mean itself, not its logarithm": lambda r: 10 ** np.mean(np.log10(r)),
    "this is the mean of natural logarithms": lambda r: np.mean(np.log(r)),
    "this is the mean of logarithms to base 2": lambda r: np.mean(np.log2(r)),
    "the logarithms are summed, and not divided by how many there are": lambda r: np.sum(np.log10(r)),
    "the logarithms are divided by one less than there are": lambda r: np.sum(np.log10(r)) / max(len(r) - 1, 1),
    "the logarithms are divided by one more than there are": lambda r: np.sum(np.log10(r)) / (len(r) + 1),
    "the sum of logarithms is taken to the power 1/n; a root outside of the logarithm is a factor": (
        lambda r: np.sign(np.sum(np.log10(r))) * np.abs(np.sum(np.log10(r))) ** (1 / len(r))
    ),
    "this is the median, of the logarithms": lambda r: np.median(np.log10(r)),
    "this is the largest logarithm": lambda r: np.max(np.log10(r)),
    "this is the smallest logarithm": lambda r: np.min(np.log10(r)),
    "this is the logarithm of the first ratio": lambda r: np.log10(r[0]),
    "this is the logarithm of the last ratio": lambda r: np.log10(r[-1]),
    "the sign is wrong": lambda r: -np.mean(np.log10(r)),
    "this is the mean of sizes: logarithms below 0 keep their sign": lambda r: np.mean(np.abs(np.log10(r))),
    "this is the root of the mean square of the logarithms": lambda r: np.sqrt(np.mean(np.log10(r) ** 2)),
    "log(1 + r) stands for log r": lambda r: np.mean(np.log10(1 + r)),
    "it is rounded to a whole number": lambda r: np.round(np.mean(np.log10(r))),
    "small ratios are cut off (a constant is added, or a lowest value)": lambda r: np.mean(np.log10(r + 1e-12)),
}


def scaled_blocks(x: Array, weights: Sequence[Array], scale: float) -> list[Array]:
    hs = [x]
    for weight in weights:
        hs.append(hs[-1] + scale * (np.maximum(hs[-1], 0) @ weight))
    return hs


@dataclass(frozen=True)
class Block:
    """A block on the way back: what arrives, its input and output, its weight, the scale."""

    grad: Array
    h: Array
    y: Array
    weight: Array
    scale: float

    @property
    def back(self) -> Array:
        return self.grad @ self.weight.T

    @property
    def mask(self) -> Array:
        return self.h > 0


Step = Callable[[Block], Any]

STEPS: dict[str, Step] = {
    "nothing comes back through the skips": lambda b: b.scale * b.back * b.mask,
    "nothing comes back through the branches": lambda b: b.grad,
    "the scale is missing on the way back": lambda b: b.grad + b.back * b.mask,
    "the skip is scaled as well; only the branch is": lambda b: b.scale * b.grad + b.scale * b.back * b.mask,
    "the skip is scaled; the branch is, and the skip is not": lambda b: b.scale * b.grad + b.back * b.mask,
    "the scale is there twice, scale²": lambda b: b.grad + b.scale**2 * b.back * b.mask,
    "the branch is divided by the scale": lambda b: b.grad + b.back * b.mask / b.scale,
    "the skip is multiplied by 1 − scale": lambda b: (1 - b.scale) * b.grad + b.scale * b.back * b.mask,
    "the sign of what comes through the branches is wrong": lambda b: b.grad - b.scale * b.back * b.mask,
    "what comes through the skips is counted twice": lambda b: 2 * b.grad + b.scale * b.back * b.mask,
    "what comes through the branches is counted twice": lambda b: b.grad + 2 * b.scale * b.back * b.mask,
    "the ReLU is left out: where its input is below 0, nothing comes back through the branch": (
        lambda b: b.grad + b.scale * b.back
    ),
    "the mask of the ReLU is laid on the skip, too, which it does not touch": (
        lambda b: (b.grad + b.scale * b.back) * b.mask
    ),
    "the mask of the ReLU is laid on the skip, and not on the branch": lambda b: b.grad * b.mask + b.scale * b.back,
    "the mask is laid on before the weight's product; the ReLU came first, so its turn is last": (
        lambda b: b.grad + b.scale * ((b.grad * b.mask) @ b.weight.T)
    ),
    "the mask is that of the block's output, a later h; the ReLU saw the block's input": (
        lambda b: b.grad + b.scale * b.back * (b.y > 0)
    ),
    "the mask is that of the block's output, and is laid on before the weight's product": (
        lambda b: b.grad + b.scale * ((b.grad * (b.y > 0)) @ b.weight.T)
    ),
    "the mask is turned round: it lets pass where h is below 0": lambda b: b.grad + b.scale * b.back * (b.h <= 0),
    "it is multiplied by relu(h), where the ReLU's slope belongs (1 or 0)": (
        lambda b: b.grad + b.scale * b.back * np.maximum(b.h, 0)
    ),
    "what comes back through the branch is cut off where it is negative itself": (
        lambda b: b.grad + b.scale * np.maximum(b.back, 0)
    ),
    "the weight is taken as it stands; what is needed is its transpose": (
        lambda b: b.grad + b.scale * (b.grad @ b.weight) * b.mask
    ),
    "the average of skip and branch is taken, not the sum": lambda b: (b.grad + b.scale * b.back * b.mask) / 2,
}


def right_step(block: Block) -> Array:
    return np.asarray(block.grad + block.scale * block.back * block.mask)


def go_back(
    step: Step, grad_y: Array, x: Array, weights: Sequence[Array], scale: float, order: Any = reversed, shift: int = 0
) -> Array:
    """Take grad_y through all blocks. order: of the blocks. shift: of the inputs against the weights."""
    hs, grad = scaled_blocks(x, weights, scale), grad_y
    for i in order(range(len(weights))):
        k = min(max(i + shift, 0), len(weights) - 1)
        grad = step(Block(grad, hs[k], hs[k + 1], weights[i], scale))
    return grad


def forward_masks(grad_y: Array, x: Array, weights: Sequence[Array], scale: float) -> Array:
    hs, grad = scaled_blocks(x, weights, scale), grad_y
    for i in reversed(range(len(weights))):
        k = len(weights) - 1 - i
        grad = right_step(Block(grad, hs[k], hs[k + 1], weights[i], scale))
    return grad


def forward_weights(grad_y: Array, x: Array, weights: Sequence[Array], scale: float) -> Array:
    hs, grad = scaled_blocks(x, weights, scale), grad_y
    for i in reversed(range(len(weights))):
        grad = right_step(Block(grad, hs[i], hs[i + 1], weights[len(weights) - 1 - i], scale))
    return grad


def unscaled_forward(grad_y: Array, x: Array, weights: Sequence[Array], scale: float) -> Array:
    hs, grad = scaled_blocks(x, weights, 1.0), grad_y
    for i in reversed(range(len(weights))):
        grad = right_step(Block(grad, hs[i], hs[i + 1], weights[i], scale))
    return grad


def first_mask_everywhere(grad_y: Array, x: Array, weights: Sequence[Array], scale: float) -> Array:
    return go_back(lambda b: b.grad + b.scale * b.back * (x > 0), grad_y, x, weights, scale)


def branches_from_the_end(grad_y: Array, x: Array, weights: Sequence[Array], scale: float) -> Array:
    hs = scaled_blocks(x, weights, scale)
    shares = [Block(grad_y, hs[i], hs[i + 1], weights[i], scale) for i in range(len(weights))]
    return grad_y + sum([block.scale * block.back * block.mask for block in shares])


WHOLES: dict[str, Callable[..., Array]] = {
    "the weights are taken in forward order; the last block's turn is first": (
        lambda grad_y, x, weights, scale: go_back(right_step, grad_y, x, weights, scale, order=iter)
    ),
    "the masks are taken in forward order, the weights in reverse: each block has its own h": forward_masks,
    "the weights are taken in forward order, the masks in reverse: each block has its own weight": forward_weights,
    "the masks are those of a forward pass without the scale": unscaled_forward,
    "the mask of x is used in all blocks; each has its own h": first_mask_everywhere,
    "each branch is handed grad_y itself; it has come through the blocks behind": branches_from_the_end,
    "the first block is left out": lambda g, x, weights, scale: go_back(
        right_step, g, scaled_blocks(x, weights, scale)[1], weights[1:], scale
    ),
    "the last block is left out": lambda g, x, weights, scale: go_back(right_step, g, x, weights[:-1], scale),
}


def blocks_right(scale: float) -> Right:
    def taken(step: Step) -> Any:
        return lambda grad_y, x, *weights: go_back(step, grad_y, x, weights, scale)

    def whole(function: Callable[..., Array]) -> Any:
        return lambda grad_y, x, *weights: function(grad_y, x, weights, scale)

    variants = {sentence: taken(step) for sentence, step in STEPS.items()}
    variants |= {sentence: whole(function) for sentence, function in WHOLES.items()}
    return Right(taken(right_step), variants)


def check_blocks(mine: Any, seed: int) -> Iterator[str]:
    for depth, scale in ((3, 0.3), (1, 1.0), (1, 0.5)):

        def draw(rng: np.random.Generator, depth: int = depth) -> dict[str, Array]:
            N, C = 4 + rng.integers(0, 2), 5 + rng.integers(0, 3)
            weights = rng.standard_normal((depth, C, C))
            return {"x": rng.standard_normal((N, C))} | {f"weights[{i}]": weight for i, weight in enumerate(weights)}

        def forward(x: Array, *weights: Array, scale: float = scale) -> Array:
            return scaled_blocks(x, weights, scale)[-1]

        def backward(grad_y: Array, x: Array, *weights: Array, scale: float = scale) -> Any:
            return mine.scaled_blocks_backward(grad_y, x, list(weights), scale), *[None] * len(weights)

        head = f"scaled_blocks_backward, {depth} block{'s' if depth > 1 else ''}, scale {scale}"
        yield from check_gradient(head, forward, backward, draw, {"x": blocks_right(scale)}, seed=seed)


def check_mean(mine: Any, seed: int) -> Iterator[str]:
    """Check the mean of several lists; `Wrong` with the other mean that it is of all of them."""
    rng = generator(seed, "log10_mean")
    samples = SAMPLES | {"five ratios drawn at random": list(10.0 ** rng.uniform(-9, 3, 5))}
    given = {case: mine.log10_mean(list(ratios)) for case, ratios in samples.items()}
    for case, ratios in samples.items():
        head, got = f"log10_mean, {case}", given[case]
        wanted = float(np.mean(np.log10(ratios)))
        if isinstance(got, np.ndarray) and got.shape == ():
            got = float(got)
        if isinstance(got, float | np.floating):
            if np.isinf(got):
                raise Wrong(f"{head}: it gives {got}: somewhere a product became 0")
            if not math.isclose(wanted, got, rel_tol=1e-9):
                for sentence, other in MEANS.items():
                    if all(close(given[one], other(np.array(numbers))) for one, numbers in samples.items()):
                        raise Wrong(f"{head}: {sentence}")
        yield from check_equal(head, got, wanted)


def close(got: Any, other: Any) -> bool:
    """Whether a number is what a mistake makes of a list, or has drowned in zeros on the way, as small ones may."""
    return isinstance(got, float | np.floating) and (
        math.isclose(got, float(other), rel_tol=1e-9, abs_tol=1e-12) or not math.isfinite(got)
    )


EXERCISE = Exercise(
    chapter=14,
    name="skips_compared",
    title="The mean of ratios, and a network with scaled branches",
    text=TEXT,
    hints=HINTS,
    checks={"log10_mean": check_mean, "scaled_blocks_backward": check_blocks},
)
