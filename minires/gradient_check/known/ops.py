"""Which ops have known gradients: for each its formulas, and how to draw inputs for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.engine import Op
from minires.gradient_check.fitting import Right
from minires.gradient_check.known.activation import (
    dropout_right,
    elu_right,
    gelu_right,
    pointwise_right,
    relu_right,
    sigmoid_right,
    sign_right,
    tanh_gelu_right,
    two_sided_right,
)
from minires.gradient_check.known.affine import linear_right, matmul_right
from minires.gradient_check.known.arithmetic import binary_rights, where_rights
from minires.gradient_check.known.chain import chain_rights, convolved
from minires.gradient_check.known.convolution import conv2d_right
from minires.gradient_check.known.drawing import Draw, as_it_was, broadcast_alike, images, of_shape, some_shape
from minires.gradient_check.known.grouped_convolution import grouped_conv2d_right
from minires.gradient_check.known.layer_normalization import group_norm_rights, layer_norm_rights
from minires.gradient_check.known.loss import cross_entropy_right, mse_rights, soft_cross_entropy_right
from minires.gradient_check.known.normalization import batch_norm_right, inference_right
from minires.gradient_check.known.pooling import adaptive_pool_right, global_pool_right, pool_right
from minires.gradient_check.known.probabilities import log_softmax_right, softmax_right
from minires.gradient_check.known.reduction import reduction_right
from minires.gradient_check.known.shape import (
    concatenate_rights,
    getitem_right,
    pad_right,
    reshape_right,
    transpose_right,
)
from minires.gradient_check.known.shortcut import option_a_right, residual_add_right
from minires.kernels import Array
from minires.kernels.chain import Skip
from minires.ops import (
    activation,
    affine,
    arithmetic,
    chain,
    convolution,
    gaussian,
    group_normalization,
    grouped_convolution,
    layer_normalization,
    loss,
    normalization,
    pooling,
    reduction,
    regularization,
    shape,
    shortcut,
    soft_cross_entropy,
)


@dataclass(frozen=True)
class Known:
    """What is known of an op: the right gradient of each input that has one, and how to draw small inputs for it.

    more: what the right gradients take besides the inputs (labels).
    """

    rights: list[Right]
    draw: Draw
    more: tuple[Any, ...] = ()


def known_of(op: Op) -> Known | None:
    """Return what is known of an op, None for one that nothing is known of.

    A class made from an op of MiniRes, with another backward and the same forward, has that one's formulas.
    """
    for kind in type(op).__mro__:
        if kind in KNOWN:
            return KNOWN[kind](op) if type(op).forward is kind.forward else None
    return None


def conv2d(op: Any) -> Known:
    rights = conv2d_right(op.stride, op.padding)

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        # Few channels are enough, and quick; those of the filters must be those of x.
        (F, C, KH, KW), N_H_W = arrays[1].shape, images(rng, arrays[1].shape[2:])
        F, C = min(F, 3 + int(rng.integers(0, 2))), min(C, 2 + int(rng.integers(0, 2)))
        shapes = [(N_H_W[0], C, *N_H_W[1:]), (F, C, KH, KW), (F,)]
        return [rng.standard_normal(shape) for shape in shapes[: len(arrays)]]

    return Known([rights["x"], rights["weight"], rights["bias"]][: len(op.inputs)], draw)


def grouped_conv2d(op: Any) -> Known:
    rights = grouped_conv2d_right(op.stride, op.padding, op.dilation, op.groups)

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        (F, CG, KH, KW), (_, C, _, _) = arrays[1].shape, arrays[0].shape
        reach = op.dilation[0] * (KH - 1) + 1, op.dilation[1] * (KW - 1) + 1
        N, H, W = images(rng, reach)
        shapes = [(N, C, H, W), (F, CG, KH, KW), (F,)]
        return [rng.standard_normal(shape) for shape in shapes[: len(arrays)]]

    return Known([rights["x"], rights["weight"], rights["bias"]][: len(op.inputs)], draw)


def batch_norm(op: Any) -> Known:
    axes = (0,) if op.inputs[0].data.ndim == 2 else (0, 2, 3)
    rights = batch_norm_right(op.eps, axes)

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        C = 3 + int(rng.integers(0, 2))
        N, H, W = images(rng)
        x = rng.normal(1, 0.8, (N + 4, C) if arrays[0].ndim == 2 else (N, C, 2, W)) * 1.0
        return [x, rng.uniform(0.5, 2, C), rng.standard_normal(C)]

    return Known([rights["x"], rights["weight"], rights["bias"]], draw)


def linear(op: Any) -> Known:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        N, C, F = map(int, rng.permutation([3, 4, 5]) + rng.integers(0, 2))
        return [rng.standard_normal(shape) for shape in [(N, C), (F, C), (F,)][: len(arrays)]]

    return Known(list(linear_right().values())[: len(op.inputs)], draw)


def matmul(op: Any) -> Known:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        N, C, F = map(int, rng.permutation([3, 4, 5]) + rng.integers(0, 2))
        leading = broadcast_alike(rng, [np.ones(array.shape[:-2]) for array in arrays])
        a, b = [batch.shape for batch in leading]
        return [rng.standard_normal((*a, N, C)), rng.standard_normal((*b, C, F))]

    return Known(list(matmul_right().values()), draw)


def cross_entropy(op: Any) -> Known:
    labels = np.where(op.labels == op.ignore_index, -1, op.labels)  # -1: ignored, for the formulas

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        return [2 * rng.standard_normal((len(labels), arrays[0].shape[1] + int(rng.integers(0, 3))))]

    return Known([cross_entropy_right(op.label_smoothing)], draw, (labels,))


def pooled(kind: str) -> Callable[[Any], Known]:
    def known(op: Any) -> Known:
        def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
            N, H, W = images(rng, op.kernel_size)
            return [rng.standard_normal((N, 2, H, W))]

        return Known([pool_right(kind, op.kernel_size, op.stride, op.padding)], draw)

    return known


def global_pool(op: Any) -> Known:
    return Known([global_pool_right()], of_shape(lambda rng, arrays: (2, 3, *map(int, rng.permutation([2, 5]) + 1))))


def option_a(op: Any) -> Known:
    def shape(rng: np.random.Generator, arrays: list[Array]) -> tuple[int, ...]:
        N, H, W = images(rng)
        return N, arrays[0].shape[1], H, W

    return Known([option_a_right(op.stride)], of_shape(shape))


def along_axis(right: Callable[[int], Right]) -> Callable[[Any], Known | None]:
    def known(op: Any) -> Known | None:
        axes = op.axis if isinstance(op.axis, tuple) else (op.axis,)
        return Known([right(axes[0])], of_shape(some_shape)) if len(axes) == 1 else None

    return known


def pointwise(right: Callable[[Any], Right]) -> Callable[[Any], Known]:
    return lambda op: Known([right(op)], of_shape(some_shape))


def binary(name: str, base_above_zero: bool = False) -> Callable[[Any], Known]:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        a, b = broadcast_alike(rng, arrays)
        return [np.abs(a), b] if base_above_zero else [a, b]

    return lambda op: Known(binary_rights(name), draw)


def above_zero(y_of: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[[Any], Known]:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        return [rng.uniform(0.5, 2, some_shape(rng, arrays))]

    return lambda op: Known([pointwise_right(y_of, slope)], draw)


def reduced(kind: str) -> Callable[[Any], Known]:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        x = rng.standard_normal(some_shape(rng, arrays))
        return [rng.integers(0, 4, x.shape) * 1.0 if kind == "max" else x]  # a maximum with ties

    return lambda op: Known([reduction_right(kind, op.axes, op.keepdims)], draw)


def batch_norm_inference(op: Any) -> Known:
    axes = (0,) if op.inputs[0].data.ndim == 2 else (0, 2, 3)
    rights = inference_right(op.mean.astype(np.float64), op.var.astype(np.float64), op.eps, axes)

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        C, (N, _, W) = len(arrays[1]), images(rng)
        x = rng.normal(1, 0.8, (N + 4, C) if arrays[0].ndim == 2 else (N, C, 2, W))
        return [x, rng.uniform(0.5, 2, C), rng.standard_normal(C)]

    return Known([rights["x"], rights["weight"], rights["bias"]], draw)


def adaptive_pool(op: Any) -> Known:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        N, H, W = images(rng)
        return [rng.standard_normal((N, 2, H + op.output_size[0], W + op.output_size[1]))]

    return Known([adaptive_pool_right(op.output_size)], draw)


SKIPS = {Skip.NOTHING: "nothing", Skip.IDENTITY: "identity", Skip.OPTION_A: "option A", None: "given"}


def conv_chain(op: Any) -> Known:
    strides = [int(np.prod([stride[way] for stride, _, _ in op.settings])) for way in range(2)]

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        (N, C, H, W), grown = arrays[0].shape, rng.integers(0, 3, 2)
        if strides[0] != strides[1]:
            grown[1] = 0  # option A, which has one stride for both, may fit this width alone
        # Larger by whole strides: then the shortcut still has the shape of what it is added to.
        x = rng.standard_normal((min(N, 2) + 1, C, H + int(grown[0]) * strides[0], W + int(grown[1]) * strides[1]))
        drawn, y = [x], x
        for i, (stride, padding, _) in enumerate(op.settings):
            filters, F = rng.standard_normal(arrays[1 + 3 * i].shape), len(arrays[1 + 3 * i])
            drawn += [filters, rng.uniform(0.5, 2, F), rng.standard_normal(F)]
            y = convolved(y, filters, stride, padding)
        return [*drawn, rng.standard_normal(y.shape)][: len(arrays)]

    return Known(chain_rights(op.settings, SKIPS[op.skip]), draw)


def layer_norm(op: Any) -> Known:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        x = rng.normal(1, 0.8, tuple(map(int, 3 + rng.permutation(4)[: arrays[0].ndim] % 3)))
        shape = x.shape[-op.ndim :]
        return [x, rng.uniform(0.5, 2, shape), rng.standard_normal(shape)][: len(arrays)]

    return Known(layer_norm_rights(op.ndim, op.eps)[: len(op.inputs)], draw)


def group_norm(op: Any) -> Known:
    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        image = tuple(map(int, 2 + rng.permutation(4)[: arrays[0].ndim - 2]))
        x = rng.normal(1, 0.8, (2 + int(rng.integers(0, 2)), op.num_groups * int(rng.integers(2, 4)), *image))
        C = (x.shape[1],)
        drawn: list[Array] = [x, rng.uniform(0.5, 2, C), rng.standard_normal(C)]
        return drawn[: len(arrays)]

    return Known(group_norm_rights(op.num_groups, op.eps)[: len(op.inputs)], draw)


KNOWN: dict[type[Op], Callable[[Any], Known | None]] = {
    arithmetic.Add: binary("Add"),
    arithmetic.Subtract: binary("Subtract"),
    arithmetic.Multiply: binary("Multiply"),
    arithmetic.Divide: binary("Divide"),
    arithmetic.Power: binary("Power", base_above_zero=True),
    arithmetic.Negative: pointwise(lambda op: Right(lambda g, x: -g)),
    arithmetic.Exp: pointwise(lambda op: pointwise_right(np.exp, np.exp)),
    arithmetic.Log: above_zero(np.log, lambda x: 1 / x),
    arithmetic.Sqrt: above_zero(np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    arithmetic.Abs: pointwise(lambda op: sign_right()),
    arithmetic.Where: lambda op: Known(where_rights(op.condition), as_it_was),
    reduction.Sum: reduced("sum"),
    reduction.Mean: reduced("mean"),
    reduction.Max: reduced("max"),
    reduction.Var: reduced("var"),
    shape.Reshape: lambda op: Known([reshape_right()], as_it_was),
    shape.Transpose: lambda op: Known([transpose_right(op.axes)], of_shape(some_shape)),
    shape.Pad: lambda op: Known([pad_right(op.widths)], of_shape(some_shape)),
    shape.Concatenate: lambda op: Known(concatenate_rights(op.axis, len(op.inputs)), as_it_was),
    shape.Getitem: lambda op: Known([getitem_right(op.index)], as_it_was),
    activation.ReLU: pointwise(lambda op: relu_right()),
    activation.LeakyReLU: pointwise(lambda op: two_sided_right(lambda x: np.full(x.shape, op.negative_slope))),
    activation.ELU: pointwise(lambda op: elu_right(op.alpha, op.scale)),
    activation.Tanh: pointwise(lambda op: pointwise_right(np.tanh, lambda x: 1 - np.tanh(x) ** 2)),
    activation.Sigmoid: pointwise(lambda op: sigmoid_right()),
    gaussian.GELU: pointwise(lambda op: gelu_right()),
    gaussian.TanhGELU: pointwise(lambda op: tanh_gelu_right()),
    activation.Softmax: along_axis(softmax_right),
    activation.LogSoftmax: along_axis(log_softmax_right),
    regularization.Dropout: lambda op: Known([dropout_right(np.asarray(op.kept), op.scale)], as_it_was),
    affine.Linear: linear,
    affine.MatMul: matmul,
    convolution.Conv2d: conv2d,
    grouped_convolution.GroupedConv2d: grouped_conv2d,
    chain.ConvChain: conv_chain,
    normalization.BatchNorm: batch_norm,
    group_normalization.GroupNorm: group_norm,
    layer_normalization.LayerNorm: layer_norm,
    normalization.BatchNormInference: batch_norm_inference,
    shortcut.ResidualAdd: lambda op: Known(list(residual_add_right().values()), of_shape(some_shape)),
    shortcut.OptionA: option_a,
    pooling.MaxPool2d: pooled("max"),
    pooling.AvgPool2d: pooled("mean"),
    pooling.GlobalAvgPool2d: global_pool,
    pooling.AdaptiveAvgPool2d: adaptive_pool,
    loss.CrossEntropy: cross_entropy,
    loss.MSELoss: lambda op: Known(mse_rights(), of_shape(lambda rng, arrays: (3 + int(rng.integers(0, 3)), 4))),
    soft_cross_entropy.SoftCrossEntropy: lambda op: Known([soft_cross_entropy_right(op.targets)], as_it_was),
}
