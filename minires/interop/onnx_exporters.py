"""How each op is said in ONNX: one function per op class, and the table of them.

    def leaky_relu(graph, step, x): return graph.node("LeakyRelu", x, alpha=step.options["negative_slope"])

graph writes nodes and constants, step is the op's record, the rest are the names of its inputs; the name of its output
is returned. An op of your own exports when it has such a function: `interop.ONNX_EXPORTERS[MyOp] = my_function`. What
the fused op does in one is written as the plain nodes it consists of, which every runtime fuses again in its own way.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minires.engine import Op
from minires.interop.onnx_graph import Graph
from minires.interop.onnx_index import getitem
from minires.interop.onnx_record import Step
from minires.kernels.chain import Skip
from minires.kernels.devices import to_device
from minires.ops import (
    activation,
    affine,
    arithmetic,
    chain,
    convolution,
    gaussian,
    general_pooling,
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
)
from minires.ops import soft_cross_entropy as soft_loss

Exporter = Callable[..., str]


def plain(kind: str) -> Exporter:
    """Return the exporter of an op that ONNX has under a name of its own, with the same inputs and no options."""

    def export(graph: Graph, step: Step, *inputs: str) -> str:
        return graph.node(kind, *inputs)

    return export


# Elementwise.


def where(graph: Graph, step: Step, a: str, b: str) -> str:
    condition = graph.constant(to_device(step.options["condition"], "cpu"))
    return graph.node("Where", condition, a, b)


def leaky_relu(graph: Graph, step: Step, x: str) -> str:
    return graph.node("LeakyRelu", x, alpha=float(step.options["negative_slope"]))


def elu(graph: Graph, step: Step, x: str) -> str:
    y = graph.node("Elu", x, alpha=float(step.options["alpha"]))
    scale = step.options["scale"]
    return y if scale == 1 else graph.node("Mul", y, graph.number(scale))


def dropout(graph: Graph, step: Step, x: str) -> str:
    kept = graph.constant(to_device(step.options["kept"], "cpu"))
    return graph.node("Where", kept, graph.node("Mul", x, graph.number(step.options["scale"])), graph.number(0))


def softmax(graph: Graph, step: Step, x: str) -> str:
    axes = step.options["axis"]
    if len(axes) == 1:
        return graph.node("Softmax", x, axis=axes[0])
    exp = graph.node("Exp", shifted(graph, x, axes))
    return graph.node("Div", exp, graph.reduced("ReduceSum", exp, axes, keepdims=True))


def log_softmax(graph: Graph, step: Step, x: str) -> str:
    axes = step.options["axis"]
    if len(axes) == 1:
        return graph.node("LogSoftmax", shifted(graph, x, axes), axis=axes[0])  # a runtime may add log Σ to the maximum
    below = shifted(graph, x, axes)
    total = graph.reduced("ReduceSum", graph.node("Exp", below), axes, keepdims=True)
    return graph.node("Sub", below, graph.node("Log", total))


def shifted(graph: Graph, x: str, axes: tuple[int, ...]) -> str:
    """x − max x, which keeps eˣ from overflowing."""
    return graph.node("Sub", x, graph.reduced("ReduceMax", x, axes, keepdims=True))


def gelu(graph: Graph, step: Step, x: str) -> str:
    return graph.node("Gelu", x)


def tanh_gelu(graph: Graph, step: Step, x: str) -> str:
    return graph.node("Gelu", x, approximate="tanh")


# Reductions.


def reduction_of(kind: str) -> Exporter:
    def export(graph: Graph, step: Step, x: str) -> str:
        return graph.reduced(kind, x, step.options["axes"], step.options["keepdims"])

    return export


def var(graph: Graph, step: Step, x: str) -> str:
    axes = step.options["axes"]
    return mean_square(graph, centred(graph, x, axes), axes, step.options["keepdims"])


def centred(graph: Graph, x: str, axes: tuple[int, ...]) -> str:
    """x − its mean over axes."""
    return graph.node("Sub", x, graph.reduced("ReduceMean", x, axes, keepdims=True))


def mean_square(graph: Graph, x: str, axes: tuple[int, ...], keepdims: bool) -> str:
    return graph.reduced("ReduceMean", graph.node("Mul", x, x), axes, keepdims)


# Shapes.


def reshape(graph: Graph, step: Step, x: str) -> str:
    new, before = list(step.shape), step.input_shapes[0]
    if new.count(None) > 1:  # one is found from the others; more can only be those that were there before
        new = [0 if size is None and i < len(before) and before[i] is None else size for i, size in enumerate(new)]
    if new.count(None) > 1:
        raise ValueError(f"save_onnx: {step}: {new.count(None)} sizes of its result follow the batch; at most one can")
    return graph.node("Reshape", x, graph.integers([-1 if size is None else size for size in new]))


def transpose(graph: Graph, step: Step, x: str) -> str:
    return graph.node("Transpose", x, perm=list(step.options["axes"]))


def pad(graph: Graph, step: Step, x: str) -> str:
    before, after = zip(*step.options["widths"], strict=True) if step.options["widths"] else ((), ())
    return graph.node("Pad", x, graph.integers([*before, *after]))


def concatenate(graph: Graph, step: Step, *inputs: str) -> str:
    return graph.node("Concat", *inputs, axis=step.options["axis"])


def option_a(graph: Graph, step: Step, x: str) -> str:
    return with_zero_channels(
        graph, x, step.input_shapes[0][1], step.options["out_channels"], step.options["stride"]
    )


def with_zero_channels(graph: Graph, x: str, C: Any, F: int, stride: int) -> str:
    """Every stride-th pixel of x, its C channels in the middle of F."""
    if stride > 1:
        ends = graph.integers([np.iinfo(np.int64).max] * 2)
        x = graph.node("Slice", x, graph.integers([0, 0]), ends, graph.integers([2, 3]), graph.integers([stride] * 2))
    if F > C:
        front = (F - C) // 2
        x = graph.node("Pad", x, graph.integers([0, front, 0, 0, 0, F - C - front, 0, 0]))
    return x


# Layers.


def linear(graph: Graph, step: Step, x: str, weight: str, *bias: str) -> str:
    return graph.node("Gemm", x, weight, *bias, transB=1)


def conv2d(graph: Graph, step: Step, x: str, weight: str, *bias: str) -> str:
    return conv(graph, step.options["stride"], step.options["padding"], x, weight, *bias)


def conv(graph: Graph, stride: tuple[int, int], padding: tuple[int, int], *inputs: str) -> str:
    return graph.node("Conv", *inputs, strides=list(stride), pads=[*padding, *padding])


def grouped_conv2d(graph: Graph, step: Step, x: str, weight: str, *bias: str) -> str:
    stride, padding, dilation = (list(step.options[name]) for name in ("stride", "padding", "dilation"))
    pads, groups = [*padding, *padding], step.options["groups"]
    return graph.node("Conv", x, weight, *bias, strides=stride, pads=pads, dilations=dilation, group=groups)


def batch_norm_inference(graph: Graph, step: Step, x: str, weight: str, bias: str) -> str:
    mean, var = graph.state(step.options["mean"]), graph.state(step.options["var"])
    return graph.node("BatchNormalization", x, weight, bias, mean, var, epsilon=step.options["eps"])


def batch_norm(graph: Graph, step: Step, x: str, weight: str, bias: str) -> str:
    return norm_by_batch(graph, len(step.input_shapes[0]), step.options["eps"], x, weight, bias)


def norm_by_batch(graph: Graph, ndim: int, eps: float, x: str, weight: str, bias: str) -> str:
    """Batch norm by the batch's own statistics: ONNX has it for running ones alone."""
    axes = (0, *range(2, ndim))
    if ndim > 2:  # (C,) to (C, 1, 1)
        weight, bias = (graph.node("Unsqueeze", one, graph.integers(range(1, ndim - 1))) for one in (weight, bias))
    return graph.node("Add", graph.node("Mul", standardized(graph, x, axes, eps), weight), bias)


def group_norm(graph: Graph, step: Step, x: str, *weight_and_bias: str) -> str:
    """As rows (N, G, M). ONNX's GroupNormalization takes the variance for E[x²] − mean², which loses its digits."""
    rows = graph.node("Reshape", x, graph.integers([0, step.options["num_groups"], -1]))
    y = graph.node("Reshape", standardized(graph, rows, (2,), step.options["eps"]), graph.node("Shape", x))
    ones = graph.integers(range(1, len(step.input_shapes[0]) - 1))  # (C,) to (C, 1, 1)
    return scaled_and_shifted(graph, y, [graph.node("Unsqueeze", each, ones) for each in weight_and_bias])


def layer_norm(graph: Graph, step: Step, x: str, *weight_and_bias: str) -> str:
    ndim, eps, sizes = step.options["ndim"], step.options["eps"], step.input_shapes[0]
    if step.dtype == np.float32:
        if None in sizes[-ndim:]:
            raise ValueError(f"save_onnx: {step}: what it normalizes over follows the batch")
        ones = np.ones([size or 0 for size in sizes[-ndim:]], step.dtype)
        weight_and_bias = weight_and_bias or (graph.constant(ones),)  # it wants a weight
        return graph.node("LayerNormalization", x, *weight_and_bias, axis=-ndim, epsilon=eps)
    axes = tuple(range(len(sizes) - ndim, len(sizes)))  # ONNX's evaluator has that node in float32 alone
    return scaled_and_shifted(graph, standardized(graph, x, axes, eps), weight_and_bias)


def scaled_and_shifted(graph: Graph, y: str, weight_and_bias: Iterable[str]) -> str:
    for kind, factor in zip(("Mul", "Add"), weight_and_bias, strict=False):
        y = graph.node(kind, y, factor)
    return y


def standardized(graph: Graph, x: str, axes: tuple[int, ...], eps: float) -> str:
    """(x − mean)/√(var + eps), mean and var over the axes."""
    x = centred(graph, x, axes)
    var = mean_square(graph, x, axes, keepdims=True)
    return graph.node("Div", x, graph.node("Sqrt", graph.node("Add", var, graph.number(eps))))


def max_pool2d(graph: Graph, step: Step, x: str) -> str:
    return graph.node("MaxPool", x, **window(step))


def avg_pool2d(graph: Graph, step: Step, x: str) -> str:
    return graph.node("AveragePool", x, count_include_pad=1, **window(step))


def window(step: Step) -> dict[str, list[int]]:
    size, stride, padding = window_of(step)
    return {"kernel_shape": list(size), "strides": list(stride), "pads": [*padding, *padding]}


def ceil_max_pool2d(graph: Graph, step: Step, x: str) -> str:
    """With what windows reach beyond the image as padding: runtimes differ in what their ceil_mode leaves out."""
    return graph.node("MaxPool", x, **window_with_room(step, "max_pool2d"))


def general_avg_pool2d(graph: Graph, step: Step, x: str) -> str:
    """ONNX divides by KH·KW also where a window reaches beyond a padding that counts: set right by a constant."""
    if not step.options["ceil_mode"]:
        return graph.node("AveragePool", x, count_include_pad=0, **window(step))
    if not step.options["count_include_pad"]:
        return graph.node("AveragePool", x, count_include_pad=0, **window_with_room(step, "avg_pool2d"))
    y = graph.node("AveragePool", x, count_include_pad=1, **window_with_room(step, "avg_pool2d"))
    shares = general_pooling.window_shares(step.shape, step.input_shapes[0], *window_of(step), True)  # type: ignore[arg-type]
    return graph.node("Mul", y, graph.constant(np.asarray(shares, step.dtype)))


def window_with_room(step: Step, function: str) -> dict[str, list[int]]:
    """Return a window of ceil_mode, in attributes of ONNX: its padding behind goes as far as the windows do."""
    shape = step.input_shapes[0]
    if shape[2] is None or shape[3] is None:
        raise ValueError(f"save_onnx: {step}: the size of its images follows the batch")
    room = general_pooling.room_behind(function, shape, *window_of(step))  # type: ignore[arg-type]
    P, Q = step.options["padding"]
    return {**window(step), "pads": [P, Q, P + room[0], Q + room[1]]}


def window_of(step: Step) -> tuple[Any, Any, Any]:
    return step.options["kernel_size"], step.options["stride"], step.options["padding"]


def global_avg_pool2d(graph: Graph, step: Step, x: str) -> str:
    return graph.node("Flatten", graph.node("GlobalAveragePool", x), axis=1)


def adaptive_avg_pool2d(graph: Graph, step: Step, x: str) -> str:
    """rows @ x @ columns: the windows' means are products with constant matrices, since their places are known."""
    H, W = step.input_shapes[0][2:]
    if H is None or W is None:
        raise ValueError(f"save_onnx: {step}: the size of its images follows the batch")
    I, J = step.options["output_size"]
    columns = graph.constant(averaging(W, J).T.astype(step.dtype))
    rows = graph.constant(averaging(H, I).astype(step.dtype))
    return graph.node("MatMul", rows, graph.node("MatMul", x, columns))


def averaging(size: int, parts: int) -> Any:
    """Return the matrix (parts, size) whose row i is the mean over places ⌊i·size/parts⌋ to ⌈(i+1)·size/parts⌉."""
    matrix = np.zeros((parts, size))
    for i in range(parts):
        start, stop = i * size // parts, -(-(i + 1) * size // parts)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


# Losses: their labels and targets are constants.


def cross_entropy(graph: Graph, step: Step, logits: str) -> str:
    labels, smoothing = to_device(step.options["labels"], "cpu"), step.options["label_smoothing"]
    kept = labels != step.options["ignore_index"]
    classes = step.input_shapes[0][1]
    wanted = np.zeros((len(labels), classes or 0), step.dtype)
    wanted[kept] = smoothing / wanted.shape[1]
    wanted[kept, labels[kept]] += 1 - smoothing
    log_p = graph.node("LogSoftmax", shifted(graph, logits, (1,)), axis=1)
    agreement = graph.node("Mul", log_p, graph.constant(-wanted / kept.sum(dtype=step.dtype)))
    return graph.reduced("ReduceSum", agreement, (0, 1), keepdims=False)


def soft_cross_entropy(graph: Graph, step: Step, logits: str) -> str:
    targets = to_device(step.options["targets"], "cpu")
    log_p = graph.node("LogSoftmax", shifted(graph, logits, (1,)), axis=1)
    counted = graph.node("Where", graph.constant(targets == 0), graph.number(0), log_p)  # 0 · log 0 is 0
    agreement = graph.node("Mul", counted, graph.constant(-targets))
    return graph.reduced("ReduceSum", agreement, (1,), keepdims=False)


def mse_loss(graph: Graph, step: Step, prediction: str, target: str) -> str:
    axes = tuple(range(len(step.input_shapes[0])))
    return mean_square(graph, graph.node("Sub", prediction, target), axes, keepdims=False)


# The fused op, as the layers that it is made of.


def conv_chain(graph: Graph, step: Step, x: str, *inputs: str) -> str:
    settings, skip, folded = step.options["settings"], step.options["skip"], step.options["folded"]
    y, rest, total_stride = x, list(inputs), 1
    for i, (stride, padding, eps) in enumerate(settings):
        if i > 0:
            y = graph.node("Relu", y)
        filters = rest.pop(0)
        if folded:
            y = conv(graph, stride, padding, y, filters, rest.pop(0))
        else:
            y = norm_by_batch(graph, 4, eps, conv(graph, stride, padding, y, filters), rest.pop(0), rest.pop(0))
        total_stride *= stride[0]
    if skip is None:
        y = graph.node("Add", rest.pop(0), y)
    elif skip is Skip.IDENTITY:
        y = graph.node("Add", x, y)
    elif skip is Skip.OPTION_A:
        C, F = step.input_shapes[0][1], step.shape[1]
        assert F is not None
        y = graph.node("Add", with_zero_channels(graph, x, C, F, total_stride), y)
    return graph.node("Relu", y)


EXPORTERS: dict[type[Op], Exporter] = {
    activation.ReLU: plain("Relu"),
    activation.LeakyReLU: leaky_relu,
    activation.ELU: elu,
    activation.Tanh: plain("Tanh"),
    activation.Sigmoid: plain("Sigmoid"),
    activation.Softmax: softmax,
    activation.LogSoftmax: log_softmax,
    affine.MatMul: plain("MatMul"),
    affine.Linear: linear,
    arithmetic.Add: plain("Add"),
    arithmetic.Subtract: plain("Sub"),
    arithmetic.Multiply: plain("Mul"),
    arithmetic.Divide: plain("Div"),
    arithmetic.Power: plain("Pow"),
    arithmetic.Negative: plain("Neg"),
    arithmetic.Exp: plain("Exp"),
    arithmetic.Log: plain("Log"),
    arithmetic.Sqrt: plain("Sqrt"),
    arithmetic.Abs: plain("Abs"),
    arithmetic.Where: where,
    convolution.Conv2d: conv2d,
    grouped_convolution.GroupedConv2d: grouped_conv2d,
    gaussian.GELU: gelu,
    gaussian.TanhGELU: tanh_gelu,
    group_normalization.GroupNorm: group_norm,
    layer_normalization.LayerNorm: layer_norm,
    chain.ConvChain: conv_chain,
    loss.CrossEntropy: cross_entropy,
    loss.MSELoss: mse_loss,
    soft_loss.SoftCrossEntropy: soft_cross_entropy,
    normalization.BatchNorm: batch_norm,
    normalization.BatchNormInference: batch_norm_inference,
    pooling.MaxPool2d: max_pool2d,
    pooling.AvgPool2d: avg_pool2d,
    general_pooling.CeilMaxPool2d: ceil_max_pool2d,
    general_pooling.GeneralAvgPool2d: general_avg_pool2d,
    pooling.GlobalAvgPool2d: global_avg_pool2d,
    pooling.AdaptiveAvgPool2d: adaptive_avg_pool2d,
    reduction.Sum: reduction_of("ReduceSum"),
    reduction.Mean: reduction_of("ReduceMean"),
    reduction.Max: reduction_of("ReduceMax"),
    reduction.Var: var,
    regularization.Dropout: dropout,
    shape.Reshape: reshape,
    shape.Transpose: transpose,
    shape.Pad: pad,
    shape.Concatenate: concatenate,
    shape.Getitem: getitem,
    shortcut.ResidualAdd: plain("Add"),
    shortcut.OptionA: option_a,
}
