"""Chapter 7: both gradients of a convolution."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from minires.gradient_check.known.convolution import Pair, conv2d_right
from minires.kernels import Array, numpy_kernels
from minires.learn.examiner import check_gradient, replaced
from minires.learn.exercise import Check, Exercise

TEXT = '''"""Chapter 7: the backward pass of a convolution.

    y[n,f,i,j] = Σ_{c,u,v} weight[f,c,u,v] · padded[n, c, i·SH + u, j·SW + v]

N images; C→F channels; H×W input, KH×KW filter, I×J output; stride (SH, SW), padding (PH, PW); `padded` is x with PH
rows of zeros above and below and PW columns on either side.

Keep the dtype: where the arrays that come in are float32, what goes out is float32.

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
    "stride (2, 3)": ((3, 3), (2, 3), (0, 0)),
    "3×2, stride 2, padding 1": ((3, 2), (2, 2), (1, 1)),
    "2×4, stride (1, 3), padding (2, 0)": ((2, 4), (1, 3), (2, 0)),
}


def check_function(of: str) -> Check:
    """Return the check of the gradient of x or of weight, in every case."""

    def check(mine: Any, seed: int) -> Iterator[str]:
        for case, (kernel_size, stride, padding) in CASES.items():
            yield from check_case(mine, case, of, kernel_size, stride, padding, seed)

    return check


def check_case(
    mine: Any, case: str, of: str, kernel_size: Pair, stride: Pair, padding: Pair, seed: int
) -> Iterator[str]:
    """Check one function with one stride and padding."""

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        N, C, F = 2 + rng.integers(0, 2), *(rng.permutation([2, 3]) + rng.integers(0, 2))
        H, W = rng.permutation([6, 7]) + rng.integers(0, 2)
        return {"x": rng.standard_normal((N, C, H, W)), "weight": rng.standard_normal((F, C, *kernel_size))}

    def forward(x: Array, weight: Array) -> Array:
        return numpy_kernels.conv2d_forward(x, weight, None, stride, padding)

    def grad_input(grad_y: Array, x: Array, weight: Array) -> Any:
        return mine.conv2d_grad_input(grad_y, weight, x.shape, stride, padding), None

    def grad_weight(grad_y: Array, x: Array, weight: Array) -> Any:
        return None, mine.conv2d_grad_weight(grad_y, x, weight.shape, stride, padding)

    name, backward = ("conv2d_grad_input", grad_input) if of == "x" else ("conv2d_grad_weight", grad_weight)
    right = {of: conv2d_right(stride, padding)[of]}
    yield from check_gradient(f"{name}, {case}", forward, backward, draw, right, seed=seed)


def plug(mine: ModuleType) -> AbstractContextManager[None]:
    return replaced(numpy_kernels, conv2d_grad_input=mine.conv2d_grad_input, conv2d_grad_weight=mine.conv2d_grad_weight)


EXERCISE = Exercise(
    chapter=7,
    name="conv_backward",
    title="The backward pass of a convolution",
    text=TEXT,
    hints=HINTS,
    checks={"conv2d_grad_input": check_function("x"), "conv2d_grad_weight": check_function("weight")},
    plug=plug,
)
