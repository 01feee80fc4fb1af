"""Convolution: filters of every size, not square, with C ≠ F; strides up to 3 and beyond the filter; padding up to 2.

Eight channels or more take Winograd's way where the kernels have it, with tails of tiles and of vectors; the large
cases have groups of images, several threads, and more filters than the cache.
"""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space

Pair = tuple[int, int]


def convolved(x: Any, weight: Any, bias: Any, stride: Pair, padding: Pair) -> Any:
    """Convolve output by output."""
    padded = np.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])
    KH, KW = weight.shape[2:]
    I, J = (padded.shape[2] - KH) // stride[0] + 1, (padded.shape[3] - KW) // stride[1] + 1
    y = np.empty((x.shape[0], weight.shape[0], I, J))
    for i in range(I):
        for j in range(J):
            window = padded[:, :, i * stride[0] : i * stride[0] + KH, j * stride[1] : j * stride[1] + KW]
            y[:, :, i, j] = np.tensordot(window, weight, ((1, 2, 3), (1, 2, 3)))
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


def conv2d(
    rng: np.random.Generator,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    channels: Pair,
    image: Pair,
    N: int,
    bias: bool,
    large: bool = False,
) -> Case | None:
    if any(kernel[k] > image[k] + 2 * padding[k] for k in range(2)):
        return None
    C, F = channels
    arguments = {"x": rng.standard_normal((N, C, *image)), "weight": rng.standard_normal((F, C, *kernel))}
    if bias:
        arguments["bias"] = rng.standard_normal(F)
    return Case(
        "",
        "",
        lambda x, weight, bias=None: ops.conv2d(x, weight, bias, stride, padding),
        arguments,
        lambda x, weight, bias=None: convolved(x, weight, bias, stride, padding),
        large=large,
    )


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal

    def at(stride: Any, padding: Any) -> Any:
        return lambda x, weight, bias=None: ops.conv2d(x, weight, bias, stride, padding)

    def arguments(*kernel: int) -> Any:
        return {"x": normal((2, 2, 5, 6)), "weight": normal((3, 2, *kernel)), "bias": normal(3)}

    return [
        Case("conv2d", "3×3", at(1, 0), arguments(3, 3)),
        Case("conv2d", "3×3, stride 2, padding 1", at(2, 1), arguments(3, 3)),
        Case("conv2d", "3×2, stride (2, 1), padding (1, 2)", at((2, 1), (1, 2)), arguments(3, 2)),
        Case("conv2d", "1×1, stride 2", at(2, 0), arguments(1, 1)),
        Case("conv2d", "stride in an array", at(np.array([2, 1]), 1), arguments(3, 3)),
        Case("conv2d", "no bias", at(1, 1), {"x": normal((2, 3, 4, 5)), "weight": normal((2, 3, 3, 3))}),
    ]


def corner(kernel: Pair, channels: Pair, image: Pair, N: int = 2, large: bool = False, **others: Any) -> dict[str, Any]:
    return {"kernel": kernel, "channels": channels, "image": image, "N": N, "large": large, **others}


SPACES = [
    Space(
        "conv2d",
        {
            "kernel": ((3, 3), (1, 1), (5, 5), (3, 2), (2, 5), (7, 1)),
            "stride": ((1, 1), (2, 2), (3, 3), (2, 1), (1, 3), (4, 4)),
            "padding": ((0, 0), (1, 1), (2, 2), (1, 2), (2, 0)),
            "channels": ((2, 3), (3, 2), (1, 1), (4, 5)),
            "image": ((5, 6), (7, 4), (8, 9)),
            "N": (2, 1),
            "bias": (False, True),
            "large": (False,),
        },
        conv2d,
        corners=(
            corner((3, 3), (8, 9), (6, 7), padding=(1, 1)),  # Winograd's way, tiles that are cut
            corner((3, 3), (9, 17), (8, 5), 1, padding=(2, 2), bias=True),
            corner((3, 3), (17, 8), (5, 9), padding=(0, 0)),
            corner((3, 3), (16, 16), (8, 8), padding=(1, 1)),
            corner((3, 3), (8, 8), (13, 10), 3, padding=(2, 0)),
            corner((1, 1), (17, 9), (5, 7)),
            corner((1, 1), (9, 16), (5, 7), stride=(2, 2)),
            corner((1, 1), (9, 16), (5, 7), stride=(3, 2), padding=(1, 1)),
            corner((5, 3), (9, 17), (7, 9), stride=(2, 1), padding=(2, 1)),
            corner((7, 7), (3, 16), (15, 17), stride=(2, 2), padding=(3, 3)),
            corner((3, 3), (130, 129), (4, 5), 1, padding=(1, 1), large=True),
            corner((3, 3), (16, 24), (19, 21), 5, padding=(1, 1), large=True),
            corner((3, 3), (16, 24), (33, 30), 2, padding=(1, 1), stride=(2, 2), large=True),
            corner((7, 7), (3, 2), (66, 68), large=True),  # more columns than are made at once
            corner((7, 7), (6, 2), (66, 68), 1, large=True),  # and so of a single image
        ),
    )
]
