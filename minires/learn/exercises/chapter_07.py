"""Chapter 7: backward through windows that the chapter has not looked through: filters with holes, and maxima."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.convolution import Pair, conv2d_right
from minires.gradient_check.known.pooling import pool_right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_equal, check_gradient, replaced
from minires.learn.exercise import Check, Exercise

TEXT = '''"""Chapter 7: the backward pass of a convolution whose filter has holes, and of the largest of each window.

    y[n,f,i,j] = Σ_{c,u,v} weight[f,c,u,v] · padded[n, c, i·SH + u·DH, j·SW + v·DW]

N images; C→F channels; H×W input, KH×KW filter, I×J output; stride (SH, SW), padding (PH, PW), dilation (DH, DW): the
taps of the filter stand DH rows and DW columns apart. `padded` is x with PH rows of zeros above and below and PW
columns on either side.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

Fill in the three functions, then run `minires check 7`. `minires check 7 --hint` helps.
"""

import numpy as np


def conv2d_grad_input(grad_y, weight, x_shape, stride, padding, dilation):
    """Return dL/dx, shape x_shape = (N, C, H, W).

    grad_y (N, F, I, J), weight (F, C, KH, KW); stride, padding and dilation are pairs.
    """
    ...


def conv2d_grad_weight(grad_y, x, weight_shape, stride, padding, dilation):
    """Return dL/dweight, shape weight_shape = (F, C, KH, KW).

    grad_y (N, F, I, J), x (N, C, H, W); stride, padding and dilation are pairs.
    """
    ...


def max_pool2d_backward(grad_y, x, kernel_size, stride, padding):
    """Return dL/dx, shape (N, C, H, W), where y (N, C, I, J) holds the largest number of each window of x.

    Where a window has its largest number more than once, the first of them, row by row, is the one that y took. The
    padding is never the largest. kernel_size, stride and padding are pairs.
    """
    ...
'''

HINTS = (
    "In each product of the formula for y, what arrives at y goes to one factor times the other. Loop over the taps "
    "(u, v) alone: the pixels that meet weight[:, :, u, v] are a slice of the padded image, rows u·DH, u·DH + SH, …, "
    "I of them, and columns likewise.",
    "For one tap both gradients are sums over repeated letters, which np.einsum takes as they stand: which letters do "
    "grad_y and weight[:, :, u, v] share, and which does the result keep?",
    "Begin conv2d_grad_input with zeros of the padded shape, np.zeros((N, C, H + 2·PH, W + 2·PW), grad_y.dtype), add "
    "with += (windows overlap), and cut the rim off at the end.",
    "A maximum is a copy of one pixel, so its gradient goes back to that pixel alone. For each place (i, j) take the "
    "window as (N, C, KH·KW); argmax finds the first largest, and divmod(number, KW) its row and column. Pad with −∞, "
    "and add: a pixel may be the largest of several windows.",
)

CASES = {  # kernel size, stride, padding, dilation
    "3×3": ((3, 3), (1, 1), (0, 0), (1, 1)),
    "dilation (2, 1)": ((3, 3), (1, 1), (0, 0), (2, 1)),
    "padding (1, 2)": ((3, 3), (1, 1), (1, 2), (1, 1)),
    "stride (2, 3)": ((3, 3), (2, 3), (0, 0), (1, 1)),
    "3×2, stride 2, padding 1, dilation (1, 3)": ((3, 2), (2, 2), (1, 1), (1, 3)),
    "2×3, stride (1, 3), padding (2, 0), dilation (3, 2)": ((2, 3), (1, 3), (2, 0), (3, 2)),
}
POOLS = {  # kernel size, stride, padding
    "2×2, stride 2": ((2, 2), (2, 2), (0, 0)),
    "2×3, windows that overlap": ((2, 3), (1, 1), (0, 0)),
    "3×3, stride (2, 1), padding (1, 0)": ((3, 3), (2, 1), (1, 0)),
}


def spread(weight: Array, dilation: Pair) -> Array:
    """Return the filter with its holes, as a larger one that has zeros in them."""
    F, C, KH, KW = weight.shape
    (DH, DW) = dilation
    filled = np.zeros((F, C, (KH - 1) * DH + 1, (KW - 1) * DW + 1), weight.dtype)
    filled[:, :, ::DH, ::DW] = weight
    return filled


def wrong_dilations(dilation: Pair) -> dict[str, Pair]:
    DH, DW = dilation
    return {
        "the filter has no holes: its taps stand side by side": (1, 1),
        "the dilations are exchanged: they are (height, width)": (DW, DH),
        "the dilation of the height is used for the width, too": (DH, DH),
        "the dilation of the width is used for the height, too": (DW, DW),
    }


def dilated_right(of: str, stride: Pair, padding: Pair, dilation: Pair) -> Right:
    """Return what is known of a gradient: that of the filter with zeros in its holes, seen at its taps alone."""
    known = conv2d_right(stride, padding)[of]

    def dilated(gradient: Callable[..., Any], dilation: Pair = dilation) -> Callable[..., Array]:
        def with_holes(grad_y: Array, x: Array, weight: Array) -> Array:
            found = gradient(grad_y, x, spread(weight, dilation))
            return np.asarray(found if of == "x" else found[:, :, :: dilation[0], :: dilation[1]])

        return with_holes

    mistakes = {sentence: dilated(gradient) for sentence, gradient in known.variants.items()}
    mistakes |= {sentence: dilated(known.terms, other) for sentence, other in wrong_dilations(dilation).items()}
    return Right(dilated(known.terms), mistakes, known.sizes)


def check_function(of: str) -> Check:
    """Return the check of the gradient of x or of weight, in every case."""

    def check(mine: Any, seed: int) -> Iterator[str]:
        for case, (kernel_size, stride, padding, dilation) in CASES.items():
            yield from check_case(mine, case, of, kernel_size, stride, padding, dilation, seed)

    return check


def check_case(
    mine: Any, case: str, of: str, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, seed: int
) -> Iterator[str]:
    """Check one function with one stride, padding and dilation."""

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C, F = 2 + rng.integers(0, 2), *(rng.permutation([2, 3]) + rng.integers(0, 2))
        H, W = rng.permutation([6, 7]) + rng.integers(0, 2)
        return {"x": rng.standard_normal((N, C, H, W)), "weight": rng.standard_normal((F, C, *kernel_size))}

    def forward(x: Array, weight: Array) -> Array:
        return numpy_kernels.conv2d_forward(x, spread(weight, dilation), None, stride, padding)

    def grad_input(grad_y: Array, x: Array, weight: Array) -> Any:
        return mine.conv2d_grad_input(grad_y, weight, x.shape, stride, padding, dilation), None

    def grad_weight(grad_y: Array, x: Array, weight: Array) -> Any:
        return None, mine.conv2d_grad_weight(grad_y, x, weight.shape, stride, padding, dilation)

    name, backward = ("conv2d_grad_input", grad_input) if of == "x" else ("conv2d_grad_weight", grad_weight)
    right = {of: dilated_right(of, stride, padding, dilation)}
    yield from check_gradient(f"{name}, {case}", forward, backward, draw, right, seed=seed)


def maximum_right(kernel_size: Pair, stride: Pair, padding: Pair) -> Right:
    """Return what is known of the gradient of a maximum, and one mistake more."""
    known = pool_right("max", kernel_size, stride, padding)
    (top, left), without = padding, pool_right("max", kernel_size, stride, (0, 0))

    def frame_of_zeros(grad_y: Array, x: Array) -> Array:
        framed = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
        return without.of((grad_y, framed))[:, :, top : top + x.shape[2], left : left + x.shape[3]]

    sentence = "the frame wins: it should hold what is below every number, not 0"
    return Right(known.terms, {**known.variants, sentence: frame_of_zeros}, known.sizes)


def check_pooling(mine: Any, seed: int) -> Iterator[str]:
    for case, (kernel_size, stride, padding) in POOLS.items():
        of = kernel_size, stride, padding

        def draw(rng: np.random.Generator) -> dict[str, Array]:
            # Mostly negative, so that a frame of zeros would win; no two numbers of an image near each other.
            shape = (2 + rng.integers(0, 2), 3, *(rng.permutation([5, 6]) + rng.integers(0, 2)))
            return {"x": rng.permutation(np.linspace(-3, 1, int(np.prod(shape)))).reshape(shape)}

        def forward(x: Array, of: tuple[Pair, Pair, Pair] = of) -> Array:
            return numpy_kernels.max_pool2d_forward(x, *of)[0]

        def backward(grad_y: Array, x: Array, of: tuple[Pair, Pair, Pair] = of) -> Any:
            return mine.max_pool2d_backward(grad_y, x, *of)

        yield from check_gradient(
            f"max_pool2d_backward, {case}", forward, backward, draw, {"x": maximum_right(*of)}, seed=seed
        )
    x = np.array([[0.0, 2, 2], [2, 1, 0]]).reshape(1, 1, 2, 3)
    got = mine.max_pool2d_backward(np.full((1, 1, 1, 1), 5.0), x, (2, 3), (1, 1), (0, 0))
    wanted = np.array([[0.0, 5, 0], [0, 0, 0]]).reshape(x.shape)
    yield from check_equal("max_pool2d_backward, three equals", got, wanted, "the first of them, row by row, has all")


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    def conv2d_grad_input(grad_y: Array, weight: Array, x_shape: tuple[int, ...], stride: Pair, padding: Pair) -> Any:
        return mine.conv2d_grad_input(grad_y, weight, x_shape, stride, padding, (1, 1))

    def conv2d_grad_weight(grad_y: Array, x: Array, weight_shape: tuple[int, ...], stride: Pair, padding: Pair) -> Any:
        return mine.conv2d_grad_weight(grad_y, x, weight_shape, stride, padding, (1, 1))

    return replaced(numpy_kernels, conv2d_grad_input=conv2d_grad_input, conv2d_grad_weight=conv2d_grad_weight)


EXERCISE = Exercise(
    chapter=7,
    name="conv_backward",
    title="The backward pass of a convolution with holes, and of a maximum",
    text=TEXT,
    hints=HINTS,
    checks={
        "conv2d_grad_input": check_function("x"),
        "conv2d_grad_weight": check_function("weight"),
        "max_pool2d_backward": check_pooling,
    },
    plug=plug,
)
