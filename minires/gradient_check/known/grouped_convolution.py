"""The gradients of a convolution with groups and dilation: those of a plain one whose filters are mostly zeros.

Filter f sees the channels of its group alone, and every dilation-th pixel: written out over all channels and pixels it
has zeros elsewhere. What is known of a plain convolution holds for that, mistakes included.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minires.gradient_check.fitting import Right
from minires.gradient_check.known.convolution import Pair, conv2d_right
from minires.kernels import Array


def written_out(weight: Array, C: int, dilation: Pair, groups: int) -> Array:
    """Return the filters (F, C/G, KH, KW) over all C channels, with zeros between the taps."""
    (F, CG, KH, KW), FG = weight.shape, weight.shape[0] // groups
    whole = np.zeros((F, C, dilation[0] * (KH - 1) + 1, dilation[1] * (KW - 1) + 1))
    for f in range(F):
        first = f // FG * CG
        whole[f, first : first + CG, :: dilation[0], :: dilation[1]] = weight[f]
    return whole


def read_out(whole: Array, weight: Array, dilation: Pair, groups: int) -> Array:
    """Undo `written_out`."""
    (F, CG, _, _), FG = weight.shape, weight.shape[0] // groups
    taps = whole[:, :, :: dilation[0], :: dilation[1]]
    return np.stack([taps[f, f // FG * CG : (f // FG + 1) * CG] for f in range(F)])


def grouped_conv2d_right(stride: Pair, padding: Pair, dilation: Pair, groups: int) -> dict[str, Right]:
    """Return what is known of the gradients of x, weight and bias, as functions of (grad_y, x, weight, …)."""
    plain = conv2d_right(stride, padding)

    def of_x(gradient: Callable[..., Any], turned: bool = False) -> Callable[..., Any]:
        def of(grad_y: Array, x: Array, weight: Array, *_: Array) -> Any:
            order = np.arange(len(weight)).reshape(groups, -1).T.ravel() if turned else np.arange(len(weight))
            return gradient(grad_y, x, written_out(weight, x.shape[1], dilation, groups)[order])

        return of

    def of_weight(gradient: Callable[..., Any], only: bool = False) -> Callable[..., Any]:
        def of(grad_y: Array, x: Array, weight: Array, *_: Array) -> Any:
            if only:
                x = np.tile(x[:, : weight.shape[1]], (1, groups, 1, 1))
            whole = gradient(grad_y, x, written_out(weight, x.shape[1], dilation, groups))
            return read_out(whole, weight, dilation, groups)

        return of

    right_x: Any = plain["x"].terms
    right_weight: Any = plain["weight"].terms
    mistakes_x = {sentence: of_x(variant) for sentence, variant in plain["x"].variants.items()}
    mistakes_weight = {sentence: of_weight(variant) for sentence, variant in plain["weight"].variants.items()}
    mistakes_x["the filters of the groups are interleaved: the first F/G belong to the first group"] = of_x(
        right_x, turned=True
    )
    mistakes_weight["all groups read the first group's channels"] = of_weight(right_weight, only=True)
    return {
        "x": Right(of_x(right_x), mistakes_x, plain["x"].sizes),
        "weight": Right(of_weight(right_weight), mistakes_weight, plain["weight"].sizes),
        "bias": plain["bias"],
    }
