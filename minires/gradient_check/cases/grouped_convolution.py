"""Convolution with groups and dilation: one group, several, one a channel; C/G, F/G and G all different; dilation
beyond the stride and below it, of one axis alone."""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space

Pair = tuple[int, int]


def convolved(x: Any, weight: Any, bias: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    """Convolve filter by filter and output by output."""
    (F, CG, KH, KW), FG = weight.shape, weight.shape[0] // groups
    padded = np.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])
    room = padded.shape[2] - dilation[0] * (KH - 1) - 1, padded.shape[3] - dilation[1] * (KW - 1) - 1
    y = np.empty((x.shape[0], F, room[0] // stride[0] + 1, room[1] // stride[1] + 1))
    for f in range(F):
        channels = padded[:, f // FG * CG : (f // FG + 1) * CG]
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                rows = i * stride[0] + dilation[0] * np.arange(KH)
                columns = j * stride[1] + dilation[1] * np.arange(KW)
                y[:, f, i, j] = (channels[:, :, rows][..., columns] * weight[f]).sum(axis=(1, 2, 3))
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


def grouped(
    rng: np.random.Generator,
    groups: int,
    per_group: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    image: Pair,
    N: int,
    bias: bool,
) -> Case | None:
    reach = [dilation[k] * (kernel[k] - 1) + 1 for k in range(2)]
    if any(reach[k] > image[k] + 2 * padding[k] for k in range(2)) or (groups == 1 and dilation == (1, 1)):
        return None
    CG, FG = per_group
    arguments = {
        "x": rng.standard_normal((N, groups * CG, *image)),
        "weight": rng.standard_normal((groups * FG, CG, *kernel)),
    }
    if bias:
        arguments["bias"] = rng.standard_normal(groups * FG)
    window = stride, padding, dilation, groups
    return Case(
        "",
        "",
        lambda x, weight, bias=None: ops.conv2d(x, weight, bias, *window),
        arguments,
        lambda x, weight, bias=None: convolved(x, weight, bias, *window),
    )


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal

    def at(**options: Any) -> Any:
        return lambda x, weight, bias=None: ops.conv2d(x, weight, bias, **options)

    def arguments(C: int, F: int, *filters: int) -> Any:
        return {"x": normal((2, C, 5, 6)), "weight": normal((F, *filters)), "bias": normal(F)}

    return [
        Case("conv2d", "2 groups", at(padding=1, groups=2), arguments(4, 6, 2, 3, 3)),
        Case("conv2d", "depthwise, stride 2", at(stride=2, padding=1, groups=3), arguments(3, 3, 1, 3, 3)),
        Case("conv2d", "dilation 2", at(padding=2, dilation=2), arguments(2, 3, 2, 3, 3)),
        Case(
            "conv2d",
            "2 groups, 2×3, stride (1, 2), dilation (3, 2)",
            at(stride=(1, 2), padding=(1, 0), dilation=(3, 2), groups=2),
            arguments(2, 4, 1, 2, 3),
        ),
        Case(
            "conv2d",
            "2 groups, no bias",
            at(padding=(0, 1), groups=2),
            {"x": normal((2, 2, 4, 5)), "weight": normal((2, 1, 3, 3))},
        ),
        Case("conv2d", "a pair of ones for dilation", at(padding=1, dilation=(1, 1)), arguments(2, 3, 2, 3, 2)),
    ]


SPACES = [
    Space(
        "conv2d",
        {
            "groups": (2, 3, 1, 5),
            "per_group": ((1, 1), (2, 3), (3, 2), (1, 2), (2, 1)),
            "kernel": ((3, 3), (1, 1), (2, 3), (3, 1)),
            "stride": ((1, 1), (2, 2), (3, 3), (1, 2), (4, 3)),
            "padding": ((1, 1), (0, 0), (2, 2), (0, 3)),
            "dilation": ((1, 1), (2, 2), (3, 3), (1, 2), (3, 1)),
            "image": ((7, 6), (5, 9)),
            "N": (2, 1),
            "bias": (False, True),
        },
        grouped,
    )
]
