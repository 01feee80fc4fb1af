"""Chapter 7: both gradients of a convolution."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_gradient, replaced
from minires.learn.exercise import Exercise

Pair = tuple[int, int]
Shape = tuple[int, ...]

TEXT = '''"""Chapter 7: the backward pass of a convolution.

    y[n,f,i,j] = Σ_{c,u,v} weight[f,c,u,v] · padded[n, c, i·SH + u, j·SW + v]

N images; C→F channels; H×W input, KH×KW filter, I×J output; stride (SH, SW), padding (PH, PW); `padded` is x with PH
rows of zeros above and below and PW columns on either side.

Fill in the two functions, then run `minires check 7`. `minires check 7 --hint` helps.
"""

import numpy as np


def conv2d_grad_input(grad_y, weight, x_shape, stride, padding):
    """Return dL/dx, shape x_shape = (N, C, H, W).

    Forward copies each pixel into every window that covers it. Backward adds up what comes back from all of them:

        grad_padded[n, c, i·SH + u, j·SW + v] += grad_y[n,f,i,j] · weight[f,c,u,v]    for all f, u, v, i, j

    and grad_x is grad_padded without its rim.
    grad_y (N, F, I, J), weight (F, C, KH, KW); stride and padding are pairs.
    """
    ...


def conv2d_grad_weight(grad_y, x, weight_shape, stride, padding):
    """Return dL/dweight, shape weight_shape = (F, C, KH, KW).

        grad_weight[f,c,u,v] = Σ_{n,i,j} grad_y[n,f,i,j] · padded[n, c, i·SH + u, j·SW + v]

    grad_y (N, F, I, J), x (N, C, H, W); stride and padding are pairs.
    """
    ...
'''

HINTS = (
    "Loop over u and v alone, KH·KW rounds. For one (u, v), the pixels that meet weight[:, :, u, v] are a slice of the "
    "padded image: rows u, u + SH, …, I of them, and columns likewise.",
    "That slice is padded[:, :, u : u + SH·I : SH, v : v + SW·J : SW], shape (N, C, I, J). Both gradients use it: one "
    "adds into it, the other reads it.",
    "For one (u, v), both are sums over repeated letters, which np.einsum takes as they stand: which letters do grad_y "
    "and weight[:, :, u, v] share, and which does the result keep?",
    "Begin conv2d_grad_input with zeros of the padded shape, np.zeros((N, C, H + 2·PH, W + 2·PW), grad_y.dtype), add "
    "with += (windows overlap), and cut the rim off at the end.",
)

CASES = {
    "3×3": ((3, 3), (1, 1), (0, 0)),
    "padding (1, 2)": ((3, 3), (1, 1), (1, 2)),
    "stride (2, 1)": ((3, 3), (2, 1), (0, 0)),
    "3×2, stride 2, padding 1": ((3, 2), (2, 2), (1, 1)),
}

# Mistakes, in the form of conv2d_grad_input itself; the tests hand them in as answers and plant them in the engine.
right_grad_input = numpy_kernels.conv2d_grad_input  # bound here: a mistake may stand in its place when it is called


def windows_overwrite(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """A window's share replaces what other windows have left there."""
    (KH, KW), (I, J) = weight.shape[2:], grad_y.shape[2:]
    padded = numpy_kernels.padded_zeros(x_shape, padding, grad_y.dtype)
    for u in range(KH):
        for v in range(KW):
            place = numpy_kernels.tap(u, v, I, J, stride)
            padded[place] = np.einsum("nfij,fc->ncij", grad_y, weight[:, :, u, v])
    return numpy_kernels.crop_images(padded, x_shape, padding)


def filter_turned(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """dx[i − u] for dx[i + u]."""
    turned = np.ascontiguousarray(weight[:, :, ::-1, ::-1])
    return right_grad_input(grad_y, turned, x_shape, stride, padding)


def rim_at_one_side(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """What is cut off is the bottom and the right of the padded gradient, and its top and left stay."""
    N, C, H, W = x_shape
    larger = (N, C, H + 2 * padding[0], W + 2 * padding[1])
    return right_grad_input(grad_y, weight, larger, stride, (0, 0))[:, :, :H, :W]


INPUT_MISTAKES = {
    "the filter is turned by 180° once too often: y[i] looks at x[i + u], so dx[i + u] hears from dy[i]": filter_turned,
    "windows overwrite each other: a pixel under several windows must add up what comes from all": windows_overwrite,
    "the rim is cut off at the wrong sides: the image begins PH rows and PW columns inside": rim_at_one_side,
}


def check(mine: ModuleType) -> Iterator[str]:
    rng = np.random.default_rng(0)
    for case, (kernel_size, stride, padding) in CASES.items():
        arrays = {"x": rng.standard_normal((2, 3, 5, 6)), "weight": rng.standard_normal((4, 3, *kernel_size))}
        yield from check_case(mine, case, arrays, stride, padding)


def check_case(mine: ModuleType, case: str, arrays: dict[str, Array], stride: Pair, padding: Pair) -> Iterator[str]:
    """Check both functions with one stride and padding."""

    def forward(x: Array, weight: Array) -> Array:
        return numpy_kernels.conv2d_forward(x, weight, None, stride, padding)

    def grad_input_of(function: Callable[..., Array]) -> Callable[..., Any]:
        return lambda grad_y, x, weight: (function(grad_y, weight, x.shape, stride, padding), None)

    def grad_weight(grad_y: Array, x: Array, weight: Array) -> Any:
        return None, mine.conv2d_grad_weight(grad_y, x, weight.shape, stride, padding)

    mistakes = {sentence: grad_input_of(mistake) for sentence, mistake in INPUT_MISTAKES.items()}
    grad_input = grad_input_of(mine.conv2d_grad_input)
    yield from check_gradient(f"conv2d_grad_input, {case}", forward, grad_input, arrays, mistakes)
    yield from check_gradient(f"conv2d_grad_weight, {case}", forward, grad_weight, arrays)


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, conv2d_grad_input=mine.conv2d_grad_input, conv2d_grad_weight=mine.conv2d_grad_weight)


EXERCISE = Exercise(
    chapter=7,
    name="conv_backward",
    title="The backward pass of a convolution",
    text=TEXT,
    names=("conv2d_grad_input", "conv2d_grad_weight"),
    hints=HINTS,
    check=check,
    plug=plug,
)
