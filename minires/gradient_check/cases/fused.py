"""Layers and blocks in one op: with and without shortcut, statistics of the batch and given; blocks of up to three
layers, at strides that are in any of them."""

from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.gradient_check.cases.convolution import convolved
from minires.gradient_check.cases.normalization import like, normalized, statistics
from minires.gradient_check.cases.space import Case, Space, away_from_zero, positive
from minires.kernels import Array

Pair = tuple[int, int]


def some_positive(rng: np.random.Generator, C: int) -> Array:
    """Draw numbers of which the first leaves relu something to pass."""
    bias = rng.standard_normal(C)
    bias[0] = 1.0
    return bias


def batch_norm_relu(rng: np.random.Generator, N: int, C: int, image: Any, eps: float, given: bool) -> Case | None:
    if N * int(np.prod(image)) == 1:
        return None
    mean, var = statistics(rng, C, given)
    return Case(
        "",
        "",
        lambda x, weight, bias: ops.batch_norm_relu(x, weight, bias, like(mean, x), like(var, x), eps),
        {"x": rng.standard_normal((N, C, *image)), "weight": away_from_zero(rng, C), "bias": some_positive(rng, C)},
        lambda x, weight, bias: np.maximum(normalized(x, weight, bias, mean, var, eps), 0),
    )


def layer(
    rng: np.random.Generator,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    channels: Pair,
    image: Pair,
    N: int,
    eps: float,
    given: bool,
    shortcut: bool,
) -> Case | None:
    C, F = channels
    I, J = [(image[k] + 2 * padding[k] - kernel[k]) // stride[k] + 1 for k in range(2)]
    if any(kernel[k] > image[k] + 2 * padding[k] for k in range(2)) or (not given and N * I * J == 1):
        return None
    mean, var = statistics(rng, F, given)
    arguments = {
        "x": rng.standard_normal((N, C, *image)),
        "filters": rng.standard_normal((F, C, *kernel)),
        "weight": away_from_zero(rng, F),
        "bias": some_positive(rng, F),
    }
    if shortcut:
        arguments["shortcut"] = rng.standard_normal((N, F, I, J))

    def formula(x: Any, filters: Any, weight: Any, bias: Any, shortcut: Any = 0.0) -> Any:
        z = convolved(x, filters, None, stride, padding)
        return np.maximum(normalized(z, weight, bias, mean, var, eps) + shortcut, 0)

    def op(x: Tensor, filters: Tensor, weight: Tensor, bias: Tensor, shortcut: Tensor | None = None) -> Any:
        options = like(mean, x), like(var, x), stride, padding, eps
        return ops.conv2d_batch_norm_relu(x, filters, weight, bias, shortcut, *options)

    return Case("", "", op, arguments, formula)


def block(
    rng: np.random.Generator, kernels: Any, strides: Any, channels: Pair, image: Pair, N: int, eps: float
) -> Case | None:
    C, F = channels
    if len(kernels) != len(strides):
        return None
    step = int(np.prod(strides))
    if N * -(-image[0] // step) * -(-image[1] // step) == 1:
        return None
    changes = step > 1 or C != F
    shapes: list[tuple[int, ...]] = [(F, C if place == 0 else F, size, size) for place, size in enumerate(kernels)]
    case = block_case(rng, "", (N, C, *image), shapes, strides, (eps,) * len(kernels))

    def formula(x: Any, *params: Any) -> Any:
        y = x
        for place, (size, stride) in enumerate(zip(kernels, strides, strict=True)):
            filters, weight, bias = params[3 * place : 3 * place + 3]
            z = convolved(y, filters, None, (stride, stride), (size // 2, size // 2))
            y = normalized(z, weight, bias, None, None, eps)
            if place < len(kernels) - 1:
                y = np.maximum(y, 0)
        shortcut = x
        if changes:
            shortcut = np.zeros(y.shape)
            front = (F - C) // 2
            shortcut[:, front : front + C] = x[:, :, ::step, ::step]
        return np.maximum(y + shortcut, 0)

    case.formula = formula
    return case


def block_case(
    rng: np.random.Generator,
    variant: str,
    x: tuple[int, ...],
    filters: list[tuple[int, ...]],
    strides: tuple[int, ...],
    eps: tuple[float, ...] = (),
) -> Case:
    """Return the case of a residual block, of the shapes of its x and of the filters of its layers."""

    def run(x: Tensor, *params: Tensor) -> Any:
        layers = [(params[i], params[i + 1], params[i + 2]) for i in range(0, len(params), 3)]
        return ops.residual_block(x, layers, strides, eps or (1e-5,) * len(layers))

    arguments = {"x": rng.standard_normal(x)}
    for place, shape in enumerate(filters, 1):
        F = shape[0]
        arguments[f"filters{place}"] = rng.standard_normal(shape)
        arguments |= {f"weight{place}": away_from_zero(rng, F), f"bias{place}": rng.standard_normal(F)}
    return Case("residual_block", variant, run, arguments)


def named(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    mean, var = normal(3), positive(rng, 3)

    def relu_inference(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return ops.batch_norm_relu(x, weight, bias, like(mean, x), like(var, x))

    def at(stride: Any, padding: Any, mean: Array | None = None, var: Array | None = None) -> Any:
        def layer_of(x: Tensor, filters: Tensor, weight: Tensor, bias: Tensor, shortcut: Tensor | None = None) -> Any:
            options = like(mean, x), like(var, x), stride, padding
            return ops.conv2d_batch_norm_relu(x, filters, weight, bias, shortcut, *options)

        return layer_of

    def layer_arguments(*kernel: int) -> dict[str, Array]:
        return {"x": normal((2, 2, 5, 6)), "filters": normal((3, 2, *kernel)), **norm}

    norm = {"weight": away_from_zero(rng, 3), "bias": normal(3)}
    images, shortcut = {"x": normal((2, 3, 4, 5))}, {"shortcut": normal((2, 3, 3, 5))}
    name = "conv2d_batch_norm_relu"
    return [
        Case("batch_norm_relu", "images", ops.batch_norm_relu, images | norm),
        Case("batch_norm_relu", "given statistics", relu_inference, images | norm),
        Case(name, "3×3, stride 2, padding 1", at(2, 1), layer_arguments(3, 3)),
        Case(name, "3×2, shortcut", at(1, 0), layer_arguments(3, 2) | shortcut),
        Case(name, "given statistics, 3×2", at(1, 0, mean, var), layer_arguments(3, 2)),
        Case(
            name,
            "given statistics, shortcut, 3×3, stride (2, 1), padding (1, 0)",
            at((2, 1), (1, 0), mean, var),
            layer_arguments(3, 3) | {"shortcut": normal((2, 3, 3, 4))},
        ),
        block_case(rng, "identity", (2, 3, 4, 5), [(3, 3, 3, 3), (3, 3, 3, 3)], (1, 1)),
        block_case(rng, "option A, stride 2", (3, 2, 5, 4), [(5, 2, 3, 3), (5, 5, 3, 3)], (2, 1)),
        block_case(rng, "one layer", (2, 3, 4, 5), [(3, 3, 3, 3)], (1,)),
        block_case(rng, "bottleneck", (2, 4, 3, 4), [(2, 4, 1, 1), (2, 2, 3, 3), (4, 2, 1, 1)], (1, 1, 1)),
    ]


SPACES = [
    Space(
        "batch_norm_relu",
        {"N": (2, 1), "C": (3, 1, 16), "image": ((4, 5), (3, 3), ()), "eps": (1e-5, 0.1), "given": (False, True)},
        batch_norm_relu,
        corners=({"C": 16, "image": (9, 11), "eps": 1e-3},),
    ),
    Space(
        "conv2d_batch_norm_relu",
        {
            "kernel": ((3, 3), (1, 1), (5, 5), (3, 2)),
            "stride": ((1, 1), (2, 2), (3, 3), (2, 1)),
            "padding": ((1, 1), (0, 0), (2, 2), (0, 2)),
            "channels": ((2, 3), (3, 2), (8, 16), (1, 1)),
            "image": ((5, 6), (7, 4)),
            "N": (2, 1),
            "eps": (1e-5, 0.1),
            "given": (False, True),
            "shortcut": (False, True),
        },
        layer,
        corners=(
            {"channels": (8, 16), "shortcut": True},
            {"channels": (16, 16), "image": (9, 11), "eps": 1e-3},
            {"channels": (3, 16), "image": (9, 11)},
            {"channels": (16, 9), "image": (8, 5), "given": True},
        ),
    ),
    Space(
        "residual_block",
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
