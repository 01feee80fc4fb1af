"""Chapter 6: images to columns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.convolution import Pair, wrong_corners, wrong_strides
from minires.kernels import Array, numpy_kernels
from minires.learn.answer import MadeFloat64
from minires.learn.examiner import Wrong, check_values, generator, refuse_nothing, replaced
from minires.learn.exercise import Exercise

TEXT = '''"""Chapter 6: images to columns, after which a convolution is one matrix product.

    cols[n, (c, u, v), (i, j)] = padded[n, c, i·SH + u, j·SW + v]

N images of C channels and H×W pixels; KH×KW filter, I×J places; stride (SH, SW), padding (PH, PW); `padded` is x with
PH rows of zeros above and below and PW columns on either side. All pairs are (height, width).

Fill in the two functions, then run `minires check 6`. `minires check 6 --hint` helps.
"""

import numpy as np


def output_size(x_shape, kernel_size, stride, padding):
    """Return (I, J), the number of places at which a filter fits.

        I = ⌊(H + 2·PH − KH) / SH⌋ + 1        J likewise, with the widths

    x_shape is (N, C, H, W).
    """
    ...


def im2col(x, kernel_size, stride, padding):
    """Copy each patch of x (N, C, H, W) into a column: return an array (N, C·KH·KW, I·J) of x's dtype.

    Row (c, u, v) is number (c·KH + u)·KW + v: v runs fastest, c slowest. Column (i, j) is number i·J + j.
    """
    ...
'''

HINTS = (
    "output_size: // divides and rounds down. Everything in a pair is (height, width); so is the result.",
    "Begin im2col with np.pad, and with np.zeros((N, C, KH, KW, I, J), x.dtype): six indices, as in the formula. The "
    "last line is a reshape to (N, C·KH·KW, I·J), which is free.",
    "Either loop over the places (i, j): a patch is padded[:, :, i·SH : i·SH + KH, j·SW : j·SW + KW], and belongs into "
    "cols[:, :, :, :, i, j]. Or, faster, over the taps (u, v): what one sees at all places is a slice with steps.",
)

CASES: dict[str, tuple[Pair, Pair, Pair]] = {
    "2×2": ((2, 2), (1, 1), (0, 0)),
    "2×3": ((2, 3), (1, 1), (0, 0)),
    "stride (2, 3)": ((2, 2), (2, 3), (0, 0)),
    "padding (1, 2)": ((3, 3), (1, 1), (1, 2)),
    "3×2, stride 2, padding 1": ((3, 2), (2, 2), (1, 1)),
    "2×3, stride (1, 3), padding (2, 1)": ((2, 3), (1, 3), (2, 1)),
}

Size = Callable[[int, int, int, int], float]  # (H, K, S, P) -> I

SIZE_MISTAKES: dict[str, Size] = {
    "one place too few each way: the first one counts, too (the + 1)": lambda H, K, S, P: (H + 2 * P - K) // S,
    "one place too many each way": lambda H, K, S, P: (H + 2 * P - K) // S + 2,
    "the stride is ignored": lambda H, K, S, P: H + 2 * P - K + 1,
    "the padding is ignored": lambda H, K, S, P: (H - K) // S + 1,
    "the padding is counted on one side alone": lambda H, K, S, P: (H + P - K) // S + 1,
    "the size of the filter is ignored": lambda H, K, S, P: (H + 2 * P) // S + 1,
    "it is rounded up, not down": lambda H, K, S, P: -((K - H - 2 * P) // S) + 1,
    "only K is divided by the stride; parentheses?": lambda H, K, S, P: H + 2 * P - K // S + 1,
    "the 1 is divided by the stride, too: it is added behind": lambda H, K, S, P: (H + 2 * P - K + 1) // S,
    "the stride divides what there is of the image, and the filter is taken off behind": (
        lambda H, K, S, P: (H + 2 * P) // S - K + 1
    ),
    "the padding is taken off, and should be added": lambda H, K, S, P: (H - 2 * P - K) // S + 1,
    "these are the sizes of the padded image": lambda H, K, S, P: H + 2 * P,
    "these are the sizes of the image": lambda H, K, S, P: H,
    "the result is not rounded down: // divides and rounds": lambda H, K, S, P: (H + 2 * P - K) / S + 1,
}


def right_size(H: int, K: int, S: int, P: int) -> int:
    return (H + 2 * P - K) // S + 1


def exchanged(pair: Any) -> Any:
    return pair[::-1]


PAIR_MISTAKES: dict[str, Callable[..., Any]] = {
    "height and width are exchanged": lambda x, K, S, P: exchanged(both(right_size, x, K, S, P)),
    "the strides are exchanged: they are (height, width)": lambda x, K, S, P: both(right_size, x, K, S[::-1], P),
    "the paddings are exchanged: they are (height, width)": lambda x, K, S, P: both(right_size, x, K, S, P[::-1]),
    "the filter's sizes are exchanged: they are (height, width)": lambda x, K, S, P: both(right_size, x, K[::-1], S, P),
    "the stride of the height is used for both": lambda x, K, S, P: both(right_size, x, K, (S[0], S[0]), P),
    "the padding of the height is used for both": lambda x, K, S, P: both(right_size, x, K, S, (P[0], P[0])),
    "the filter's height is used for both": lambda x, K, S, P: both(right_size, x, (K[0], K[0]), S, P),
    "channels and height are taken for height and width": (
        lambda x, K, S, P: both(right_size, (x[0], 0, x[1], x[2]), K, S, P)
    ),
}


def both(size: Size, x_shape: Sequence[int], kernel_size: Pair, stride: Pair, padding: Pair) -> tuple[float, float]:
    H, W = x_shape[2:]
    return size(H, kernel_size[0], stride[0], padding[0]), size(W, kernel_size[1], stride[1], padding[1])


def check_size(mine: Any, seed: int) -> Iterator[str]:
    rng = generator(seed, "sizes")
    for case, (kernel_size, stride, padding) in CASES.items():
        shapes = [(2, 3, *map(int, rng.permutation([6, 7]) + rng.integers(0, 3))) for _ in range(4)]
        given = [mine.output_size(shape, kernel_size, stride, padding) for shape in shapes]
        wanted = [both(right_size, shape, kernel_size, stride, padding) for shape in shapes]
        H, W = shapes[0][2:]
        hint = f"for H×W = {H}×{W}, a {kernel_size[0]}×{kernel_size[1]} filter, stride {stride} and padding {padding}"
        head = f"output_size, {case}"
        for one, right in zip(given, wanted, strict=True):
            refuse_nothing(head, one)
            if not isinstance(one, tuple | list) or len(one) != 2:
                raise Wrong(f"{head}: this is {one!r}, and should be a pair, (I, J)")
            if tuple(one) == right and not all(isinstance(number, int | np.integer) for number in one):
                raise Wrong(f"{head}: {one!r} are no integers: // divides and rounds down, / does not")
            if tuple(one) == right:
                continue
            for sentence, mistaken in size_mistakes().items():
                made = [mistaken(shape, kernel_size, stride, padding) for shape in shapes]
                if all(tuple(pair) == other for pair, other in zip(given, made, strict=True)):
                    raise Wrong(f"{head}: {sentence}\n  {hint}")
            raise Wrong(f"{head}: {given[0]} is not right\n  {hint}")
        yield head


def size_mistakes() -> dict[str, Callable[..., Any]]:
    """Return all mistakes in both sizes, and in one alone."""

    def of(size: Size) -> Callable[..., Any]:
        return lambda *arguments: both(size, *arguments)

    def alone(size: Size, which: int) -> Callable[..., Any]:
        def mistaken(*arguments: Any) -> tuple[float, float]:
            wrong, right = both(size, *arguments), both(right_size, *arguments)
            return (wrong[0], right[1]) if which == 0 else (right[0], wrong[1])

        return mistaken

    found: dict[str, Callable[..., Any]] = dict(PAIR_MISTAKES)
    for sentence, size in SIZE_MISTAKES.items():
        found[sentence] = of(size)
    for sentence, size in SIZE_MISTAKES.items():
        found[f"in the height, {sentence}"], found[f"in the width, {sentence}"] = alone(size, 0), alone(size, 1)
    return found


def columns(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    apart: Pair | None = None,
    corner: Pair | None = None,
    mode: Any = "constant",
) -> Array:
    """Return the columns as (N, C, KH, KW, I, J). apart, corner: what stride and place of x in its frame really are."""
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, apart or stride, padding
    I, J = both(right_size, x.shape, kernel_size, stride, padding)
    top, left = padding if corner is None else corner
    room = SH * int(I) + KH + 2 * PH, SW * int(J) + KW + 2 * PW
    framed = np.pad(x, ((0, 0), (0, 0), (top, max(2 * PH - top, 0)), (left, max(2 * PW - left, 0))), mode=mode)
    framed = np.pad(framed, ((0, 0), (0, 0), (0, room[0]), (0, room[1])))
    cols = np.zeros((*x.shape[:2], KH, KW, int(I), int(J)), x.dtype)
    for i in range(int(I)):
        for j in range(int(J)):
            cols[:, :, :, :, i, j] = framed[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW]
    return cols


def flat(six: Array, like: Array | None = None) -> Array:
    N, C, KH, KW, I, J = six.shape if like is None else like.shape
    return six.reshape(N, C * KH * KW, I * J)


def in_order(*axes: int) -> Callable[..., Array]:
    """Return columns whose six indices lie in another order."""

    def mistaken(x: Array, K: Pair, S: Pair, P: Pair) -> Array:
        six = columns(x, K, S, P)
        return flat(six.transpose(axes), six)

    return mistaken


def as_rows(x: Array, K: Pair, S: Pair, P: Pair) -> Array:
    return flat(columns(x, K, S, P)).swapaxes(1, 2)


def reshaped_rows(x: Array, K: Pair, S: Pair, P: Pair) -> Array:
    cols = flat(columns(x, K, S, P))
    return cols.swapaxes(1, 2).reshape(cols.shape)


ORDER_MISTAKES: dict[str, Callable[..., Array]] = {
    "each patch is a row; it should be a column": as_rows,
    "each patch is a row, reshaped into columns: a reshape does not transpose": reshaped_rows,
    "the channel runs fastest along a column; it should run slowest: (c, u, v)": in_order(0, 2, 3, 1, 4, 5),
    "the places are in the wrong order: j runs fastest, column i·J + j": in_order(0, 1, 2, 3, 5, 4),
    "u and v are exchanged within a patch: v runs fastest": in_order(0, 1, 3, 2, 4, 5),
    "u and v are exchanged within a patch, and so are i and j": in_order(0, 1, 3, 2, 5, 4),
    "the places run slowest, in front of the patch: they are the columns": in_order(0, 4, 5, 1, 2, 3),
    "the taps are turned by 180°: row (c, u, v) is what stands u below and v right of the corner": (
        lambda x, K, S, P: flat(columns(x, K, S, P)[:, :, ::-1, ::-1])
    ),
    "the taps are turned over: u runs from the bottom": lambda x, K, S, P: flat(columns(x, K, S, P)[:, :, ::-1]),
    "the taps are turned over: v runs from the right": lambda x, K, S, P: flat(columns(x, K, S, P)[:, :, :, ::-1]),
    "the pixels are right, the frame is not: it should be zeros (here the edge is repeated)": (
        lambda x, K, S, P: flat(columns(x, K, S, P, mode="edge"))
    ),
    "the pixels are right, the frame is not: it should be zeros (here the image is mirrored)": (
        lambda x, K, S, P: flat(columns(x, K, S, P, mode="reflect"))
    ),
    "the pixels are right, the frame is not: it should be zeros (here the image begins anew)": (
        lambda x, K, S, P: flat(columns(x, K, S, P, mode="wrap"))
    ),
    "the pixels are right, the frame is not: it should be zeros, and is ones": (
        lambda x, K, S, P: flat(columns(x, K, S, P)) + flat(columns(np.ones_like(x), K, S, P) == 0)
    ),
}


def im2col_right(stride: Pair, padding: Pair) -> Right:
    def placed(**changes: Pair) -> Callable[..., Array]:
        return lambda x, K, S, P: flat(columns(x, K, S, P, **changes))

    mistakes = dict(ORDER_MISTAKES)
    for sentence, apart in wrong_strides(stride).items():
        mistakes[sentence] = placed(apart=apart)
    for sentence, corner in wrong_corners(padding).items():
        mistakes[f"the padding is at the wrong sides: {sentence}"] = placed(corner=corner)
    return Right(placed(), mistakes, arrives=False)


def check_columns(mine: Any, seed: int) -> Iterator[str]:
    for case, (kernel_size, stride, padding) in CASES.items():

        def draw(rng: np.random.Generator, options: tuple[Pair, Pair, Pair] = (kernel_size, stride, padding)) -> Any:
            N, C = 2 + rng.integers(0, 2), 2 + rng.integers(0, 3)
            return rng.standard_normal((N, C, *(rng.permutation([6, 7]) + rng.integers(0, 2)))), *options

        head = f"im2col, {case}"
        lines = list(check_values(head, mine.im2col, im2col_right(stride, padding), draw, seed))
        x = generator(seed, head).standard_normal((1, 2, 5, 6)).astype(np.float32)
        try:
            dtype = np.asarray(mine.im2col(x, kernel_size, stride, padding)).dtype
        except MadeFloat64 as made:
            raise Wrong(f"{head}: right, but the columns of float32 images are float64\n  {made}") from None
        if dtype != np.float32:
            raise Wrong(f"{head}: right, but the columns of float32 images are {dtype}")
        yield from lines


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, output_size=mine.output_size, im2col=mine.im2col)


EXERCISE = Exercise(
    chapter=6,
    name="im2col",
    title="Images to columns",
    text=TEXT,
    hints=HINTS,
    checks={"output_size": check_size, "im2col": check_columns},
    plug=plug,
)
