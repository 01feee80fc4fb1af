"""Chapter 6: a convolution whose filter has holes, and the largest number of every window."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.convolution import Pair, one_tap, wrong_corners, wrong_strides
from minires.kernels import Array, numpy_kernels
from minires.learn.answer import MadeFloat64
from minires.learn.examiner import Wrong, check_values, generator, refuse_nothing, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 6: two windows that the chapter has not looked through.

A filter with holes. The taps of a *dilated* convolution do not stand side by side, but DH rows and DW columns apart. So
a 3×3 filter sees as far as a 5×5 one, with nine weights:

    y[n,f,i,j] = Σ_{c,u,v} weight[f,c,u,v] · padded[n, c, i·SH + u·DH, j·SW + v·DW]

The largest number. *Max pooling* has no weights. It takes the largest number of each window, of each channel by itself.
Its frame is made of no numbers: a window of negative ones has a negative largest, also at the border.

N images; C→F channels; H×W input, KH×KW window, I×J places, as many as the window fits at; stride (SH, SW), padding
(PH, PW), dilation (DH, DW): all pairs are (height, width). Keep the dtype: float32 stays float32.

Fill in the two functions, then run `minires check 6`. `minires check 6 --hint` helps.
"""

import numpy as np


def dilated_conv2d(x, weight, stride, padding, dilation):
    """Return y (N, F, I, J) for x (N, C, H, W), framed with zeros, and weight (F, C, KH, KW). There is no bias."""
    ...


def max_pool2d(x, kernel_size, stride, padding):
    """Return the largest number of each window, (N, C, I, J), for x (N, C, H, W). The padding never wins."""
    ...
'''

HINTS = (
    "How many rows does a filter of KH taps cover, if from one to the next there are DH? Put that number in the place "
    "of the filter's height in the formula for I.",
    "Loop over the taps (u, v) alone. What a tap sees at all places is a slice with steps, padded[:, :, u·DH : u·DH + "
    "SH·I : SH, …], (N, C, I, J); np.einsum multiplies it with weight[:, :, u, v] and sums over c. Begin y with "
    "np.zeros(…, x.dtype).",
    "max_pool2d has the same loop, with np.maximum in the place of the sum. What must y begin with, and what must the "
    "frame hold, so that every number is larger? np.pad takes constant_values=…",
)

Quad = tuple[Pair, Pair, Pair, Pair]
CASES: dict[str, Quad] = {  # kernel size, stride, padding, dilation
    "2×3": ((2, 3), (1, 1), (0, 0), (1, 1)),
    "dilation 2": ((2, 2), (1, 1), (0, 0), (2, 2)),
    "dilation (3, 2)": ((2, 3), (1, 1), (0, 0), (3, 2)),
    "padding (1, 2), dilation (2, 1)": ((3, 3), (1, 1), (1, 2), (2, 1)),
    "stride (2, 3), dilation (1, 2)": ((2, 2), (2, 3), (0, 0), (1, 2)),
    "3×2, stride 2, padding 1, dilation (2, 3)": ((3, 2), (2, 2), (1, 1), (2, 3)),
}
POOLS: dict[str, tuple[Pair, Pair, Pair]] = {  # kernel size, stride, padding
    "2×2, stride 2": ((2, 2), (2, 2), (0, 0)),
    "2×3": ((2, 3), (1, 1), (0, 0)),
    "stride (2, 3)": ((2, 2), (2, 3), (0, 0)),
    "3×3, padding (1, 0)": ((3, 3), (1, 1), (1, 0)),
    "3×3, stride 2, padding 1": ((3, 3), (2, 2), (1, 1)),
}


def places(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    return (size + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1


# Of the places along one axis: (size, kernel, stride, padding, dilation) -> their number.
SIZE_MISTAKES: dict[str, Callable[[int, int, int, int, int], int]] = {
    "the holes of the filter are not counted: from one tap to the next there are as many pixels as the dilation says": (
        lambda H, K, S, P, D: places(H, K, S, P)
    ),
    "the filter is taken to cover K·D pixels; behind the last tap there is no hole": (
        lambda H, K, S, P, D: (H + 2 * P - K * D) // S + 1
    ),
    "the stride is ignored": lambda H, K, S, P, D: places(H, K, 1, P, D),
    "the padding is ignored": lambda H, K, S, P, D: places(H, K, S, 0, D),
    "the padding is counted on one side alone": lambda H, K, S, P, D: places(H + P, K, S, 0, D),
    "one place too few: the first one counts, too (the + 1)": lambda H, K, S, P, D: places(H, K, S, P, D) - 1,
    "one place too many": lambda H, K, S, P, D: places(H, K, S, P, D) + 1,
    "it is rounded up, not down": lambda H, K, S, P, D: -(((K - 1) * D + 1 - H - 2 * P) // S) + 1,
    "the size of the window is ignored": lambda H, K, S, P, D: (H + 2 * P) // S,
}


def both(size: Callable[..., int], x: Array, *pairs: Pair) -> tuple[int, int]:
    """Return I and J: kernel size, stride, padding and dilation are pairs."""
    height, width = zip(*pairs, strict=True)
    return size(x.shape[2], *height), size(x.shape[3], *width)


def check_places(head: str, found: Sequence[tuple[int, int]], images: Sequence[Array], pairs: Sequence[Pair]) -> None:
    """`Wrong` for numbers of places that are not right, with the mistake that gives them, in one axis or in both."""
    wanted = [both(places, x, *pairs) for x in images]
    if list(found) == wanted:
        return
    full = [*pairs, (1, 1)][:4]
    for sentence, mistaken in SIZE_MISTAKES.items():
        made = [both(mistaken, x, *full) for x in images]
        for where, which in (("", (1, 1)), ("in the height, ", (1, 0)), ("in the width, ", (0, 1))):
            mixed = [
                (one[0] if which[0] else right[0], one[1] if which[1] else right[1])
                for one, right in zip(made, wanted, strict=True)
            ]
            if list(found) == mixed:
                raise Wrong(f"{head}: I and J are not right: {where}{sentence}")
    H, W = images[0].shape[2:]
    raise Wrong(f"{head}: of {H}×{W} pixels y has {found[0][0]}×{found[0][1]} places, and I×J is another number")


def windows(
    x: Array, pairs: Quad, apart: Pair | None = None, corner: Pair | None = None, holes: Pair | None = None,
    frame: float = 0.0,
) -> Array:  # fmt: skip
    """Return what each tap sees (N, C, KH, KW, I, J), one place at a time. apart, corner, holes: what stride, padding
    and dilation really are."""
    (KH, KW), stride, padding, dilation = pairs
    (I, J), (N, C, H, W) = both(places, x, *pairs), x.shape
    (SH, SW), (top, left), (DH, DW) = apart or stride, padding if corner is None else corner, holes or dilation
    room = np.full((N, C, top + H + SH * I + KH * DH, left + W + SW * J + KW * DW), frame, x.dtype)
    room[:, :, top : top + H, left : left + W] = x
    found = np.zeros((N, C, KH, KW, I, J), x.dtype)
    for u, v, i, j in np.ndindex(found.shape[2:]):
        found[:, :, u, v, i, j] = room[:, :, i * SH + u * DH, j * SW + v * DW]
    return found


def convolved(x: Array, weight: Array, *pairs: Pair, turn: Any = None, **really: Any) -> Array:
    weight = weight if turn is None else turn(weight)
    seen = windows(x, (weight.shape[2:], *pairs), **really)  # type: ignore[arg-type]
    return np.asarray(np.einsum("ncuvij,fcuv->nfij", seen, weight))


def but(function: Callable[..., Array], **really: Any) -> Callable[..., Array]:
    return lambda *arguments: function(*arguments, **really)


def convolution_right(stride: Pair, padding: Pair, dilation: Pair) -> Right:
    DH, DW = dilation
    mistakes: dict[str, Callable[..., Array]] = {
        "the filter has no holes: its taps stand side by side": but(convolved, holes=(1, 1)),
        "the dilations are exchanged: they are (height, width)": but(convolved, holes=(DW, DH)),
        "the dilation of the height is used for the width, too": but(convolved, holes=(DH, DH)),
        "the dilation of the width is used for the height, too": but(convolved, holes=(DW, DW)),
        "the dilation moves the windows; it should move the taps": (
            but(convolved, holes=(1, 1), apart=(stride[0] * DH, stride[1] * DW))
        ),
        "the filter is turned by 180°": but(convolved, turn=lambda weight: weight[:, :, ::-1, ::-1]),
        "the filter is turned over along its height": but(convolved, turn=lambda weight: weight[:, :, ::-1]),
        "the filter is turned over along its width": but(convolved, turn=lambda weight: weight[:, :, :, ::-1]),
        "of the channels only the first is seen": but(convolved, turn=first_channel),
        "only the first tap of the filter counts": but(convolved, turn=lambda weight: one_tap(weight, 0)),
        "only the last tap of the filter counts; each should be added": (
            but(convolved, turn=lambda weight: one_tap(weight, -1))
        ),
    } | placed(convolved, stride, padding)

    def sizes(x: Array, weight: Array, *pairs: Pair) -> Mapping[str, float]:
        F, C, KH, KW = weight.shape
        return {"N": len(x), "C": C, "F": F, "KH·KW": KH * KW, "C·KH·KW": C * KH * KW}

    return Right(convolved, mistakes, sizes, arrives=False)


def placed(function: Callable[..., Array], stride: Pair, padding: Pair) -> dict[str, Callable[..., Array]]:
    """Return the function with windows at the wrong places."""
    found = {sentence: but(function, apart=apart) for sentence, apart in wrong_strides(stride).items()}
    for sentence, corner in wrong_corners(padding).items():
        found[f"the padding is at the wrong sides: {sentence}"] = but(function, corner=corner)
    return found


def first_channel(weight: Array) -> Array:
    only = np.zeros_like(weight)
    only[:, 0] = weight[:, 0]
    return only


def pooled(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, take: Any = np.max, frame: float = -np.inf, **really: Any
) -> Array:
    return np.asarray(take(windows(x, (kernel_size, stride, padding, (1, 1)), frame=frame, **really), axis=(2, 3)))


def first_of(seen: Array, axis: Any) -> Array:
    return seen[:, :, 0, 0]


def of_size(seen: Array, axis: Any) -> Array:
    return np.asarray(np.abs(seen).max(axis))


def pooling_right(kernel_size: Pair, stride: Pair, padding: Pair) -> Right:
    return Right(
        pooled,
        {
            "the frame wins: it should hold what is below every number, not 0": but(pooled, frame=0.0),
            "what y begins with wins where all numbers are negative: begin below every number": (
                lambda *arguments: np.maximum(pooled(*arguments), 0)
            ),
            "it is the mean of the window": but(pooled, take=np.mean, frame=0.0),
            "it is the sum of the window": but(pooled, take=np.sum, frame=0.0),
            "it is the smallest number of the window": but(pooled, take=np.min, frame=np.inf),
            "it is the largest by size: the sign is lost": but(pooled, take=of_size, frame=0.0),
            "it is the first number of the window": but(pooled, take=first_of, frame=0.0),
        }
        | placed(pooled, stride, padding),
        arrives=False,
    )


def check_convolution(mine: Any, seed: int) -> Iterator[str]:
    for case, (kernel_size, *pairs) in CASES.items():

        def draw(rng: np.random.Generator, kernel_size: Pair = kernel_size, pairs: Any = tuple(pairs)) -> Any:
            N, C, F = 2 + rng.integers(0, 2), *(rng.permutation([2, 3]) + rng.integers(0, 2))
            x = rng.standard_normal((N, C, *(rng.permutation([7, 8]) + rng.integers(0, 2))))
            return x, rng.standard_normal((F, C, *kernel_size)), *pairs

        head, right = f"dilated_conv2d, {case}", convolution_right(*pairs)
        yield from check_windows(head, mine.dilated_conv2d, right, draw, [kernel_size, *pairs], seed)


def check_pooling(mine: Any, seed: int) -> Iterator[str]:
    for case, pairs in POOLS.items():

        def draw(rng: np.random.Generator, pairs: Any = pairs) -> Any:
            # Mostly negative, so that a frame of zeros would win.
            x = rng.standard_normal((2 + rng.integers(0, 2), 3, *(rng.permutation([6, 7]) + rng.integers(0, 2)))) - 1
            return x, *pairs

        yield from check_windows(f"max_pool2d, {case}", mine.max_pool2d, pooling_right(*pairs), draw, pairs, seed)


def check_windows(
    head: str, function: Callable[..., Any], right: Right, draw: Any, pairs: Sequence[Pair], seed: int
) -> Iterator[str]:
    """Examine a function of images: first how many places there are, then what is at each, then the dtype."""
    found, images = [], []
    for number in range(4):
        arguments = draw(generator(seed, head, number))
        y = function(*[np.array(one) if isinstance(one, np.ndarray) else one for one in arguments])
        refuse_nothing(head, y)
        wanted = right.of(arguments).shape
        if np.ndim(y) != 4 or np.shape(y)[:2] != wanted[:2]:
            raise Wrong(f"{head}: the shape is {np.shape(y)}, and should be {wanted}")
        found.append(np.shape(y)[2:])
        images.append(arguments[0])
    check_places(head, found, images, pairs)
    lines = list(check_values(head, function, right, draw, seed))
    single = [one.astype(np.float32) if isinstance(one, np.ndarray) else one for one in draw(generator(seed, head))]
    try:
        dtype = np.asarray(function(*single)).dtype
    except MadeFloat64 as made:
        raise Wrong(f"{head}: right, but of float32 arrays it makes float64\n  {made}") from None
    if dtype != np.float32:
        raise Wrong(f"{head}: right, but of float32 arrays it makes {dtype}")
    yield from lines


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def conv2d_forward(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair) -> Any:
        y = mine.dilated_conv2d(x, weight, stride, padding, (1, 1))
        return y if bias is None else y + bias[:, None, None]

    return replaced(numpy_kernels, conv2d_forward=conv2d_forward)


EXERCISE = Exercise(
    chapter=6,
    name="other_windows",
    title="A filter with holes, and the largest of each window",
    text=TEXT,
    hints=HINTS,
    checks={"dilated_conv2d": check_convolution, "max_pool2d": check_pooling},
    plug=plug,
)
