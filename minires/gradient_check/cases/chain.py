"""Chains of up to three layers in one op: strides and paddings in any of them, without shortcut and with each kind."""

from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.gradient_check.cases.convolution import convolved
from minires.gradient_check.cases.normalization import normalized
from minires.gradient_check.cases.space import Case, Space, away_from_zero
from minires.kernels import Array

Pair = tuple[int, int]
ChainLayer = tuple[tuple[int, ...], Any, Any, float]  # the filters' shape, stride, padding, eps


def both(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value


def chain_case(
    rng: np.random.Generator,
    variant: str,
    x: tuple[int, ...],
    layers: list[ChainLayer],
    shortcut: Array | str | None = None,
) -> Case:
    """Return the case of a chain. shortcut: as of `conv_chain`, an array for a tensor."""
    given = isinstance(shortcut, np.ndarray)

    def chain(x: Tensor, *tensors: Tensor) -> Any:
        of_layers = [
            ops.ConvLayer(tensors[3 * i], tensors[3 * i + 1], tensors[3 * i + 2], stride, padding, eps)
            for i, (_, stride, padding, eps) in enumerate(layers)
        ]
        return ops.conv_chain(x, of_layers, tensors[-1] if given else shortcut)  # type: ignore[arg-type]

    def formula(x: Any, *arrays: Any) -> Any:
        y, step = x, 1
        for place, (_, stride, padding, eps) in enumerate(layers):
            filters, weight, bias = arrays[3 * place : 3 * place + 3]
            if place > 0:
                y = np.maximum(y, 0)
            y = normalized(convolved(y, filters, None, both(stride), both(padding)), weight, bias, None, None, eps)
            step *= both(stride)[0]
        if given:
            y = y + arrays[-1]
        elif shortcut == "identity":
            y = y + x
        elif shortcut == "A":
            front = (y.shape[1] - x.shape[1]) // 2
            y[:, front : front + x.shape[1]] += x[:, :, ::step, ::step]
        return np.maximum(y, 0)

    arguments = {"x": rng.standard_normal(x)}
    for place, (shape, _, _, _) in enumerate(layers, 1):
        F = shape[0]
        bias = rng.standard_normal(F)
        bias[0] = 1.0  # so that relu passes something
        arguments |= {f"filters{place}": rng.standard_normal(shape), f"weight{place}": away_from_zero(rng, F)}
        arguments[f"bias{place}"] = bias
    if isinstance(shortcut, np.ndarray):
        arguments["shortcut"] = shortcut
    return Case("conv_chain", variant, chain, arguments, formula)


def named(rng: np.random.Generator) -> list[Case]:
    eps, shortcut = 1e-5, rng.standard_normal((2, 3, 3, 5))
    same = ((3, 3, 3, 3), 1, 1, eps)
    return [
        chain_case(rng, "one layer, 3×3, stride 2, padding 1", (2, 2, 5, 6), [((3, 2, 3, 3), 2, 1, eps)]),
        chain_case(rng, "one layer, 3×2, shortcut", (2, 2, 5, 6), [((3, 2, 3, 2), 1, 0, eps)], shortcut),
        chain_case(rng, "one layer, identity", (2, 3, 4, 5), [same], "identity"),
        chain_case(rng, "identity", (2, 3, 4, 5), [((3, 3, 3, 3), 1, 0, eps), ((3, 3, 3, 3), 1, 2, eps)], "identity"),
        chain_case(
            rng, "option A, stride 2", (3, 2, 5, 4), [((5, 2, 3, 3), 2, 1, eps), ((5, 5, 3, 3), 1, 1, eps)], "A"
        ),
        chain_case(
            rng,
            "bottleneck",
            (2, 4, 3, 4),
            [((2, 4, 1, 1), 1, 0, eps), ((2, 2, 3, 3), 1, 1, eps), ((4, 2, 1, 1), 1, 0, eps)],
            "identity",
        ),
        chain_case(rng, "no shortcut", (2, 2, 4, 5), [((3, 2, 3, 3), (1, 2), (1, 0), eps), ((2, 3, 1, 1), 1, 0, eps)]),
        chain_case(
            rng, "option A, one column, strides that differ", (2, 2, 5, 1), [((4, 2, 3, 3), (2, 3), 1, eps)], "A"
        ),
    ]


def one_layer(
    rng: np.random.Generator,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    channels: Pair,
    image: Pair,
    N: int,
    eps: float,
    shortcut: bool,
) -> Case | None:
    C, F = channels
    I, J = [(image[k] + 2 * padding[k] - kernel[k]) // stride[k] + 1 for k in range(2)]
    if any(kernel[k] > image[k] + 2 * padding[k] for k in range(2)) or N * I * J == 1:
        return None
    added = rng.standard_normal((N, F, I, J)) if shortcut else None
    return chain_case(rng, "", (N, C, *image), [((F, C, *kernel), stride, padding, eps)], added)


def block(
    rng: np.random.Generator, kernels: Any, strides: Any, channels: Pair, image: Pair, N: int, eps: float
) -> Case | None:
    C, F = channels
    if len(kernels) != len(strides):
        return None
    step = int(np.prod(strides))
    if N * -(-image[0] // step) * -(-image[1] // step) == 1:
        return None
    layers: list[ChainLayer] = [
        ((F, C if place == 0 else F, size, size), stride, size // 2, eps)
        for place, (size, stride) in enumerate(zip(kernels, strides, strict=True))
    ]
    return chain_case(rng, "", (N, C, *image), layers, "A" if step > 1 or C != F else "identity")


SPACES = [
    Space(
        "conv_chain",
        {
            "kernel": ((3, 3), (1, 1), (5, 5), (3, 2)),
            "stride": ((1, 1), (2, 2), (3, 3), (2, 1)),
            "padding": ((1, 1), (0, 0), (2, 2), (0, 2)),
            "channels": ((2, 3), (3, 2), (8, 16), (1, 1)),
            "image": ((5, 6), (7, 4)),
            "N": (2, 1),
            "eps": (1e-5, 0.1),
            "shortcut": (False, True),
        },
        one_layer,
        corners=(
            {"channels": (8, 16), "shortcut": True},
            {"channels": (16, 16), "image": (9, 11), "eps": 1e-3},
            {"channels": (3, 16), "image": (9, 11)},
            {"channels": (16, 9), "image": (8, 5)},
        ),
    ),
    Space(
        "conv_chain",
        {
            "kernels": ((3, 3), (3,), (1, 3, 1), (3, 5), (1, 1, 3)),
            "strides": ((1, 1), (2, 1), (1,), (3,), (1, 2, 1), (1, 1, 3), (1, 3), (1, 1, 1)),
            "channels": ((3, 3), (2, 5), (3, 4), (16, 16)),
            "image": ((5, 6), (4, 7)),
            "N": (2, 1),
            "eps": (1e-5, 0.1),
        },
        block,
        corners=({"channels": (16, 16), "image": (9, 6)}, {"channels": (9, 16), "strides": (2, 1), "image": (9, 6)}),
    ),
]
