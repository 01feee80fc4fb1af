"""The gradients of poolings, and what they become with the mistakes that people make."""

from collections.abc import Callable

import numpy as np

from minires.gradient_check.fitting import Right
from minires.kernels import Array

Pair = tuple[int, int]


def global_pool_right() -> Right:
    """y[n,c] = Σ x[n,c,h,w] / (H·W): every pixel gets dy / (H·W). grad_y has y's shape, with or without its 1×1."""

    def share(number: Callable[[int, int], float]) -> Callable[..., Array]:
        def gradient(grad_y: Array, x: Array) -> Array:
            shares = grad_y.reshape(*x.shape[:2], 1, 1) / number(*x.shape[2:])
            return np.broadcast_to(shares, x.shape) + 0.0

        return gradient

    def first_pixel(grad_y: Array, x: Array) -> Array:
        result = np.zeros_like(x)
        result[:, :, 0, 0] = grad_y.reshape(x.shape[:2])
        return result

    def largest(grad_y: Array, x: Array) -> Array:
        return grad_y.reshape(*x.shape[:2], 1, 1) * (x == x.max(axis=(2, 3), keepdims=True))

    return Right(
        share(lambda H, W: H * W),
        {
            "the number of pixels is not H·W: on square images it seems right": share(lambda H, W: H * H),
            "the number of pixels is not H·W; on square images W·W seems right, too": share(lambda H, W: W * W),
            "every pixel gets all of the gradient; each had only a share in the mean": share(lambda H, W: 1),
            "divided by H alone, and there are H·W pixels": share(lambda H, W: H),
            "divided by W alone, and there are H·W pixels": share(lambda H, W: W),
            "divided by H + W, and there are H·W pixels": share(lambda H, W: H + W),
            "multiplied by H·W, and should be divided": share(lambda H, W: 1 / (H * W)),
            "divided by (H − 1)·(W − 1), and there are H·W pixels": share(lambda H, W: (H - 1) * (W - 1) or np.inf),
            "only the first pixel gets the gradient": first_pixel,
            "the largest pixel gets all of the gradient: that is a maximum's, not a mean's": largest,
        },
        lambda grad_y, x: {"H·W": x.shape[2] * x.shape[3], "N": x.shape[0], "C": x.shape[1]},
    )


def pool_right(kind: str, kernel_size: Pair, stride: Pair, padding: Pair) -> Right:
    """The gradient of a maximum or a mean over windows; a tie of a maximum goes to the first."""

    def gradient(
        grad_y: Array,
        x: Array,
        *,
        overwrite: bool = False,
        corner: Pair = padding,
        which: str = "first",
        count: float | None = None,
    ) -> Array:
        (N, C, H, W), (KH, KW), (I, J) = x.shape, kernel_size, grad_y.shape[2:]
        edge = -np.inf if kind == "max" else 0.0
        framed = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=edge)
        result = np.zeros((N, C, H + 2 * padding[0] + corner[0], W + 2 * padding[1] + corner[1]))
        for i in range(I):
            for j in range(J):
                place = (..., slice(i * stride[0], i * stride[0] + KH), slice(j * stride[1], j * stride[1] + KW))
                share = shares(framed[place], which) if kind == "max" else 1 / (count or KH * KW)
                back = grad_y[:, :, i, j, None, None] * share
                here = result[place]
                keep = back if overwrite else here + back
                result[place] = np.where(back != 0, keep, here) if kind == "max" and overwrite else keep
        return result[:, :, corner[0] : corner[0] + H, corner[1] : corner[1] + W]

    def but(**changes: object) -> Callable[..., Array]:
        return lambda grad_y, x: gradient(grad_y, x, **changes)  # type: ignore[arg-type]

    mistakes = {
        "windows overwrite each other: a pixel in several windows must add up what comes from all": but(overwrite=True),
        "the rim is cut off at the wrong sides": but(corner=(0, 0)),
    }
    if kind == "max":
        mistakes |= {
            "every pixel of the window gets the gradient; only the largest has a share": but(which="all"),
            "every pixel of the window gets a mean's share; only the largest has one": but(which="mean"),
            "the smallest pixel gets the gradient": but(which="smallest"),
        }
    else:
        mistakes |= {
            "not divided by the size of the window": but(count=1.0),
            "divided by the window's height alone": but(count=float(kernel_size[0])),
            "divided by the window's width alone": but(count=float(kernel_size[1])),
        }
    return Right(but(), mistakes, lambda grad_y, x: {"K²": kernel_size[0] * kernel_size[1], "N": len(x)})


def shares(window: Array, which: str) -> Array:
    """Return which pixels of windows (N, C, KH, KW) get the gradient of a maximum."""
    flat = window.reshape(*window.shape[:2], -1)
    chosen = flat.argmin(axis=2) if which == "smallest" else flat.argmax(axis=2)
    one = np.zeros_like(flat)
    np.put_along_axis(one, chosen[..., None], 1.0, axis=2)
    if which == "all":
        one = np.ones_like(flat)
    elif which == "mean":
        one = np.full_like(flat, 1 / flat.shape[2])
    return one.reshape(window.shape)


def adaptive_pool_right(output: Pair) -> Right:
    """The mean of I×J windows: window i runs from ⌊i·H/I⌋ to ⌈(i+1)·H/I⌉, so that sizes differ and windows overlap."""
    I, J = output

    def gradient(grad_y: Array, x: Array, overwrite: bool = False, share: Callable[..., float] | None = None) -> Array:
        result, (H, W) = np.zeros(x.shape), x.shape[2:]
        for i in range(I):
            for j in range(J):
                top, bottom = i * H // I, -(-(i + 1) * H // I)
                left, right = j * W // J, -(-(j + 1) * W // J)
                size = (bottom - top) * (right - left) if share is None else share(H, W)
                place = (..., slice(top, bottom), slice(left, right))
                back = grad_y[:, :, i : i + 1, j : j + 1] / size
                result[place] = back if overwrite else result[place] + back
        return result

    return Right(
        gradient,
        {
            "windows overwrite each other: a pixel in several windows must add up what comes from all": (
                lambda grad_y, x: gradient(grad_y, x, overwrite=True)
            ),
            "not divided by the size of the window": lambda grad_y, x: gradient(grad_y, x, share=lambda H, W: 1),
            "all windows are taken to have one size, H·W / (I·J)": (
                lambda grad_y, x: gradient(grad_y, x, share=lambda H, W: H * W / (I * J))
            ),
            "divided by the number of all pixels, not by the window's": (
                lambda grad_y, x: gradient(grad_y, x, share=lambda H, W: H * W)
            ),
        },
        lambda grad_y, x: {"N": x.shape[0], "I·J": I * J, "H·W": x.shape[2] * x.shape[3]},
    )
