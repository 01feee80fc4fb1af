"""Chapter 6: images to columns."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import Wrong, check_equal, replaced
from minires.learn.exercise import Exercise

Pair = tuple[int, int]

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
    "stride (2, 1)": ((2, 2), (2, 1), (0, 0)),
    "padding (1, 2)": ((3, 3), (1, 1), (1, 2)),
    "3×2, stride 2, padding 1": ((3, 2), (2, 2), (1, 1)),
}


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    for case, (kernel_size, stride, padding) in CASES.items():
        x = rng.standard_normal((2, 3, 5, 6))
        I, J = numpy_kernels.output_size(x.shape, kernel_size, stride, padding)
        given = mine.output_size(x.shape, kernel_size, stride, padding)
        hint = f"for H×W = 5×6, a {kernel_size[0]}×{kernel_size[1]} filter, stride {stride} and padding {padding}"
        if given == (J, I) != (I, J):
            raise Wrong(f"output_size, {case}: height and width are exchanged\n  {hint}")
        if given in ((I - 1, J - 1), (I + 1, J + 1)):
            raise Wrong(f"output_size, {case}: one place too {'few' if given[0] < I else 'many'} each way\n  {hint}")
        yield from check_equal(f"output_size, {case}", given, (I, J), hint)

        before = x.copy()
        cols = mine.im2col(x, kernel_size, stride, padding)
        if not np.array_equal(x, before):
            raise Wrong(f"im2col, {case}: the function writes into x, which others still need")
        wanted = numpy_kernels.im2col(x, kernel_size, stride, padding)
        if isinstance(cols, np.ndarray):
            look_for_mistakes(f"im2col, {case}", cols, wanted, x, (*kernel_size, I, J))
        yield from check_equal(f"im2col, {case}", cols, wanted)
        dtype = np.asarray(mine.im2col(x.astype(np.float32), kernel_size, stride, padding)).dtype
        if dtype != np.float32:
            raise Wrong(
                f"im2col, {case}: right, but the columns of float32 images are {dtype}: np.zeros wants the dtype"
            )


def look_for_mistakes(head: str, cols: Array, wanted: Array, x: Array, sizes: tuple[int, int, int, int]) -> None:
    """`Wrong` if the columns are the right numbers in a wrong order, or the padding is not zeros."""
    KH, KW, I, J = sizes
    N, C = x.shape[:2]
    six = wanted.reshape(N, C, KH, KW, I, J)
    mistakes = {
        "each patch is a row; it should be a column": six.transpose(0, 4, 5, 1, 2, 3).reshape(N, I * J, C * KH * KW),
        "the channel runs fastest along a column; it should run slowest: (c, u, v)": six.transpose(0, 2, 3, 1, 4, 5),
        "the places are in the wrong order: j runs fastest, column i·J + j": six.transpose(0, 1, 2, 3, 5, 4),
        "u and v are exchanged within a patch: v runs fastest": six.transpose(0, 1, 3, 2, 4, 5),
        "the taps are turned by 180°: row (c, u, v) is what stands u below and v right of the corner": six[
            :, :, ::-1, ::-1
        ],
    }
    for sentence, mistaken in mistakes.items():
        mistaken = mistaken if mistaken.ndim == 3 else mistaken.reshape(wanted.shape)
        mistake = mistaken.shape != wanted.shape or not np.allclose(mistaken, wanted)
        if mistake and cols.shape == mistaken.shape and np.allclose(cols, mistaken):
            raise Wrong(f"{head}: {sentence}")
    if cols.shape == wanted.shape and np.allclose(cols[wanted != 0], wanted[wanted != 0]):
        if not np.allclose(cols, wanted):
            raise Wrong(f"{head}: the pixels are right, the frame is not: it should be zeros")


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, output_size=mine.output_size, im2col=mine.im2col)


EXERCISE = Exercise(
    chapter=6,
    name="im2col",
    title="Images to columns",
    text=TEXT,
    names=("output_size", "im2col"),
    hints=HINTS,
    check=check,
    plug=plug,
)
