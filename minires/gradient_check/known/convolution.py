"""What both gradients of a convolution are, and what they become with the mistakes that people make.

Written anew, one tap of the filter at a time, and slowly: a bug in the kernels must not stand in the right answer too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array

Pair = tuple[int, int]
Shape = tuple[int, ...]


def grad_input(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, corner: Pair, overwrite: str = "") -> Array:
    """Scatter what comes back through each tap, and cut x out at `corner`, which is the padding where it is right.

    overwrite: "taps" or "windows", whichever is gone through in a loop that assigns where it should add.
    """
    (N, C, H, W), (KH, KW), (I, J) = x_shape, weight.shape[2:], grad_y.shape[2:]
    size = KH + stride[0] * I + H + corner[0], KW + stride[1] * J + W + corner[1]
    padded = np.zeros((N, C, *size), np.result_type(grad_y, weight))
    if overwrite == "windows":
        for i in range(I):
            for j in range(J):
                window = np.einsum("nf,fcuv->ncuv", grad_y[:, :, i, j], weight)
                padded[:, :, stride[0] * i : stride[0] * i + KH, stride[1] * j : stride[1] * j + KW] = window
    else:
        for u in range(KH):
            for v in range(KW):
                place = (..., slice(u, u + stride[0] * I, stride[0]), slice(v, v + stride[1] * J, stride[1]))
                share = np.einsum("nfij,fc->ncij", grad_y, weight[:, :, u, v])
                padded[place] = share if overwrite else padded[place] + share
    return padded[:, :, corner[0] : corner[0] + H, corner[1] : corner[1] + W]


def grad_weight(grad_y: Array, x: Array, weight_shape: Shape, stride: Pair, corner: Pair) -> Array:
    """Read what each tap saw of x, which lies at `corner` of the padded image: at the padding, where it is right."""
    (N, C, H, W), (KH, KW), (I, J) = x.shape, weight_shape[2:], grad_y.shape[2:]
    size = KH + stride[0] * I + H + corner[0], KW + stride[1] * J + W + corner[1]
    padded = np.zeros((N, C, *size), x.dtype)
    padded[:, :, corner[0] : corner[0] + H, corner[1] : corner[1] + W] = x
    result = np.zeros(weight_shape, np.result_type(grad_y, x))
    for u in range(KH):
        for v in range(KW):
            seen = padded[:, :, u : u + stride[0] * I : stride[0], v : v + stride[1] * J : stride[1]]
            result[:, :, u, v] = np.einsum("nfij,ncij->fc", grad_y, seen)
    return result


def filter_turned(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """A mistake: dx[i − u] for dx[i + u]."""
    return grad_input(grad_y, weight[:, :, ::-1, ::-1], x_shape, stride, padding)


def windows_overwrite(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """A mistake: a window's share replaces what other windows have left there."""
    return grad_input(grad_y, weight, x_shape, stride, padding, overwrite="taps")


def rim_at_one_side(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """A mistake: what is cut off is the bottom and the right of the padded gradient, and its top and left stay."""
    return grad_input(grad_y, weight, x_shape, stride, (0, 0))


WHERE = "y[i] looks at x[i + u], so dx[i + u] hears from dy[i]"


def conv2d_right(stride: Pair, padding: Pair) -> dict[str, Right]:
    """Return what is known of the gradients of x and weight, as functions of (grad_y, x, weight, …)."""

    def of_x(
        stride: Pair = stride, corner: Pair = padding, overwrite: str = "", turn: Any = None
    ) -> Callable[..., Array]:
        def gradient(grad_y: Array, x: Array, weight: Array, *_: Array) -> Array:
            weight = weight if turn is None else turn(weight)
            return grad_input(grad_y, weight, x.shape, stride, corner, overwrite)

        return gradient

    def like_kernel(kernel: Callable[..., Array]) -> Callable[..., Array]:
        return lambda grad_y, x, weight, *_: kernel(grad_y, weight, x.shape, stride, padding)

    def of_weight(stride: Pair = stride, corner: Pair = padding) -> Callable[..., Array]:
        def gradient(grad_y: Array, x: Array, weight: Array, *_: Array) -> Array:
            return grad_weight(grad_y, x, weight.shape, stride, corner)

        return gradient

    of_input = {
        f"the filter is turned by 180° once too often: {WHERE}": like_kernel(filter_turned),
        "the filter is turned over along its height: y[i] looks at x[i + u], so dx[i + u] hears from dy[i]": of_x(
            turn=lambda weight: weight[:, :, ::-1]
        ),
        "the filter is turned over along its width: y[j] looks at x[j + v], so dx[j + v] hears from dy[j]": of_x(
            turn=lambda weight: weight[:, :, :, ::-1]
        ),
        "windows overwrite each other: a pixel under several windows must add up what comes from all": like_kernel(
            windows_overwrite
        ),
        "windows overwrite each other, the last one stays: a pixel must add up what comes from all": of_x(
            overwrite="windows"
        ),
        "the filter's height and width are exchanged": of_x(turn=square),
        "of the filter only the first tap counts": of_x(turn=lambda weight: one_tap(weight, 0)),
        "of the filter only the last tap counts": of_x(turn=lambda weight: one_tap(weight, -1)),
    }
    of_filter: dict[str, Callable[..., Array]] = {}
    for sentence, other in wrong_strides(stride).items():
        of_input[sentence], of_filter[sentence] = of_x(stride=other), of_weight(stride=other)
    for sentence, other in wrong_corners(padding).items():
        of_input[f"the rim is cut off at the wrong sides: {sentence}"] = of_x(corner=other)
        of_filter[f"the padding is at the wrong sides: {sentence}"] = of_weight(corner=other)
    return {
        "x": Right(of_x(), of_input, sizes),
        "weight": Right(of_weight(), of_filter, sizes),
        "bias": Right(lambda grad_y, *_: grad_y.sum(axis=(0, 2, 3)), {}, sizes),
    }


def sizes(grad_y: Array, x: Array, weight: Array, *_: Array) -> dict[str, float]:
    (N, F, I, J), (_, C, KH, KW) = grad_y.shape, weight.shape
    return {
        "N": N,
        "C": C,
        "F": F,
        "I·J": I * J,
        "N·I·J": N * I * J,
        "KH·KW": KH * KW,
        "H": x.shape[2],
        "W": x.shape[3],
        "H·W": x.shape[2] * x.shape[3],
    }


def wrong_strides(stride: Pair) -> dict[str, Pair]:
    SH, SW = stride
    return {
        "the stride is ignored: windows stand (SH, SW) apart, not (1, 1)": (1, 1),
        "the strides are exchanged: they are (height, width)": (SW, SH),
        "the stride of the height is used for the width, too": (SH, SH),
        "the stride of the width is used for the height, too": (SW, SW),
        "the stride is used in the height alone": (SH, 1),
        "the stride is used in the width alone": (1, SW),
    }


def wrong_corners(padding: Pair) -> dict[str, Pair]:
    PH, PW = padding
    return {
        "the image begins PH rows and PW columns inside": (0, 0),
        "the image begins PH rows inside, which is forgotten; the columns are right": (0, PW),
        "the image begins PW columns inside, which is forgotten; the rows are right": (PH, 0),
        "all of the padding is taken to lie above and to the left": (2 * PH, 2 * PW),
        "PH and PW are exchanged": (PW, PH),
        "PH is used for the columns, too": (PH, PH),
        "PW is used for the rows, too": (PW, PW),
    }


def square(weight: Array) -> Array:
    KH, KW = weight.shape[2:]
    return weight.swapaxes(2, 3) if KH == KW else weight.reshape(*weight.shape[:2], KW, KH).swapaxes(2, 3)


def one_tap(weight: Array, which: int) -> Array:
    result = np.zeros_like(weight)
    result[:, :, which, which] = weight[:, :, which, which]
    return result
