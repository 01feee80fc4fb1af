"""The gradients of the residual add and of option A, and the mistakes that people make in them."""

from collections.abc import Callable

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array


def residual_add_right() -> dict[str, Right]:
    """y = shortcut + branch: both are handed all of dy."""
    return {
        "shortcut": Right(
            lambda grad_y, *_: grad_y,
            {
                "multiplied by the other side: that is a product's gradient": lambda grad_y, shortcut, branch: (
                    grad_y * branch
                )
            },
        ),
        "branch": Right(
            lambda grad_y, *_: grad_y,
            {
                "multiplied by the other side: that is a product's gradient": lambda grad_y, shortcut, branch: (
                    grad_y * shortcut
                )
            },
        ),
    }


def option_a_sizes(grad_y: Array, x: Array) -> dict[str, float]:
    return {"F": grad_y.shape[1], "C": x.shape[1], "H·W": x.shape[2] * x.shape[3]}


def option_a_right(stride: int) -> Right:
    def placed(front: Callable[[int, int], int], first: int = 0, apart: int = stride) -> Callable[..., Array]:
        """Return the gradient whose channels begin at front(F, C) and whose pixels begin at `first`."""

        def gradient(grad_y: Array, x: Array) -> Array:
            F, C = grad_y.shape[1], x.shape[1]
            begin = max(front(F, C), 0)
            grad_x = np.zeros(x.shape, grad_y.dtype)
            place = grad_x[:, :, first::apart, first::apart]
            kept = grad_y[:, begin : begin + C, : place.shape[2], : place.shape[3]]
            place[:, : kept.shape[1], : kept.shape[2], : kept.shape[3]] = kept
            return grad_x

        return gradient

    def middle(F: int, C: int) -> int:
        return (F - C) // 2

    def spread(grad_y: Array, x: Array) -> Array:
        front = middle(grad_y.shape[1], x.shape[1])
        kept = grad_y[:, front : front + x.shape[1]]
        return kept.repeat(stride, axis=2).repeat(stride, axis=3)[:, :, : x.shape[2], : x.shape[3]]

    def averaged(grad_y: Array, x: Array) -> Array:
        return spread(grad_y, x) / stride**2

    return Right(
        placed(middle),
        {
            "these are the wrong channels: half of the zeros stand in front of x's (here all behind)": placed(
                lambda F, C: 0
            ),
            "these are the wrong channels: half of the zeros stand in front of x's (here all in front)": placed(
                lambda F, C: F - C
            ),
            "the channels are one too far behind: an odd rest of zeros goes behind them": placed(
                lambda F, C: (F - C + 1) // 2
            ),
            "the channels are one too far in front": placed(lambda F, C: (F - C) // 2 - 1),
            "pixels that were never copied get a gradient: only every stride-th one went into y": spread,
            "pixels that were never copied get a gradient, a share each: it is no mean": averaged,
            "the pixels are shifted: the first one that was copied is number 0, not stride − 1": placed(
                middle, first=stride - 1
            ),
            "the pixels are shifted by one": placed(middle, first=1),
            "the stride is ignored: the gradient stands in the corner, pixel by pixel": placed(middle, apart=1),
        },
        option_a_sizes,
    )
