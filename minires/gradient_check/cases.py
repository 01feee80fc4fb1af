"""Every public op with inputs that can show a mistake: H ≠ W, kernels not square, stride above 1, padding, batches.

`all_cases()` is the one list that `minires gradcheck` prints and the tests go through. A new op gets its cases here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.kernels import Array


@dataclass
class Case:
    """One op in one configuration: `fn(*arguments.values())` gives a Tensor, or a tuple that starts with one."""

    op: str  # the public function's name
    variant: str
    fn: Callable[..., Any]
    arguments: dict[str, Array]

    @property
    def name(self) -> str:
        return f"{self.op}, {self.variant}" if self.variant else self.op


def all_cases(seed: int = 0) -> list[Case]:
    """Return the cases of all ops, with random inputs drawn from `seed`."""
    from minires.gradient_check.loss_options import loss_option_cases  # it needs Case

    groups = [arithmetic_cases, reduction_cases, shape_cases, activation_cases, layer_cases, pooling_cases, loss_cases,
              fused_cases, loss_option_cases]  # fmt: skip
    generators = np.random.default_rng(seed).spawn(len(groups))  # a new case moves no other group's inputs
    cases = [case for group, generator in zip(groups, generators, strict=True) for case in group(generator)]
    order = list(dict.fromkeys(case.op for case in cases))
    return sorted(cases, key=lambda case: order.index(case.op))  # an op's cases side by side


def positive(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(0.5, 2.0, shape)


def away_from_zero(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def arithmetic_cases(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    condition = rng.random((3, 4)) > 0.5
    cases = []
    for function in (ops.add, ops.subtract, ops.multiply, ops.divide, ops.power):
        name = function.__name__
        a_of = positive if name == "power" else away_from_zero
        cases += [
            Case(name, "", function, {"a": a_of(rng, 3, 4), "b": away_from_zero(rng, 3, 4)}),
            Case(name, "broadcast", function, {"a": a_of(rng, 2, 1, 4), "b": away_from_zero(rng, 3, 1)}),
        ]
    return [
        *cases,
        Case("subtract", "number − tensor", lambda x: 2.0 - x, {"x": normal((3, 4))}),
        Case("power", "tensor ** 3", lambda x: x**3, {"x": away_from_zero(rng, 3, 4)}),
        Case("power", "2 ** tensor", lambda x: 2**x, {"x": normal((3, 4))}),
        Case("negative", "", ops.negative, {"x": normal((3, 4))}),
        Case("exp", "", ops.exp, {"x": normal((3, 4))}),
        Case("log", "", ops.log, {"x": positive(rng, 3, 4)}),
        Case("sqrt", "", ops.sqrt, {"x": positive(rng, 3, 4)}),
        Case("abs", "", ops.abs, {"x": away_from_zero(rng, 3, 4)}),
        Case("where", "", lambda a, b: ops.where(condition, a, b), {"a": normal((3, 4)), "b": normal((3, 4))}),
        Case("where", "broadcast", lambda a, b: ops.where(condition, a, b), {"a": normal((3, 1)), "b": normal(4)}),
    ]


def reduction_cases(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    cases = []
    for function in (ops.sum, ops.mean, ops.max, ops.var):
        name = function.__name__
        cases += [
            Case(name, "all", function, {"x": normal((3, 4))}),
            Case(name, "axis 1", lambda x, function=function: function(x, axis=1), {"x": normal((3, 4, 2))}),
            Case(
                name,
                "axes 0 and −1, keepdims",
                lambda x, function=function: function(x, axis=(0, -1), keepdims=True),
                {"x": normal((3, 4, 2))},
            ),
        ]
    return [*cases, Case("max", "ties", lambda x: ops.max(x, axis=1), {"x": np.array([[1.0, 2, 2, 0], [3, 1, 0, 2]])})]


def shape_cases(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    rows = np.array([0, 2, 2, 1, 2])
    mask = rng.random((4, 3)) > 0.5
    return [
        Case("reshape", "", lambda x: ops.reshape(x, 4, -1), {"x": normal((2, 3, 4))}),
        Case("transpose", "", lambda x: ops.transpose(x, 1, 2, 0), {"x": normal((2, 3, 4))}),
        Case("transpose", "reversed", lambda x: ops.transpose(x), {"x": normal((2, 3))}),
        Case("flatten", "", ops.flatten, {"x": normal((2, 3, 2, 2))}),
        Case("pad", "", lambda x: ops.pad(x, ((1, 0), (2, 3))), {"x": normal((3, 4))}),
        Case(
            "concatenate",
            "axis 1",
            lambda a, b, c: ops.concatenate((a, b, c), axis=1),
            {"a": normal((2, 3)), "b": normal((2, 1)), "c": normal((2, 2))},
        ),
        Case("getitem", "slices", lambda x: x[1:, ::2], {"x": normal((4, 5))}),
        Case("getitem", "repeated rows", lambda x: x[rows], {"x": normal((3, 4))}),
        Case("getitem", "mask", lambda x: x[mask], {"x": normal((4, 3))}),
    ]


def activation_cases(rng: np.random.Generator) -> list[Case]:
    x = away_from_zero(rng, 3, 4)
    return [
        *[Case(function.__name__, "", function, {"x": x}) for function in (ops.tanh, ops.sigmoid, ops.relu, ops.selu)],
        Case("relu", "zeros", ops.relu, {"x": np.array([0.0, 1.0, -1.0, 0.0, 2.0])}),
        Case("leaky_relu", "slope 0.2", lambda x: ops.leaky_relu(x, 0.2), {"x": x}),
        Case("elu", "alpha 0.7", lambda x: ops.elu(x, 0.7), {"x": x}),
        Case("softmax", "", ops.softmax, {"x": rng.standard_normal((3, 4))}),
        Case("softmax", "axis 1", lambda x: ops.softmax(x, axis=1), {"x": rng.standard_normal((2, 4, 3))}),
        Case("log_softmax", "", ops.log_softmax, {"x": rng.standard_normal((3, 4))}),
        Case("log_softmax", "axis 0", lambda x: ops.log_softmax(x, axis=0), {"x": rng.standard_normal((4, 3))}),
        Case("dropout", "p 0.4", lambda x: ops.dropout(x, 0.4, np.random.default_rng(1)), {"x": x}),
    ]


def layer_cases(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    mean, var = normal(3), positive(rng, 3)

    def inference(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return ops.batch_norm(x, weight, bias, mean, var)

    def convolution(stride: Any, padding: Any) -> Callable[..., Any]:
        return lambda x, weight, bias=None: ops.conv2d(x, weight, bias, stride, padding)

    def norm_arguments(*shape: int) -> dict[str, Array]:
        return {"x": normal(shape), "weight": away_from_zero(rng, 3), "bias": normal(3)}

    def conv_arguments(*kernel: int) -> dict[str, Array]:
        return {"x": normal((2, 2, 5, 6)), "weight": normal((3, 2, *kernel)), "bias": normal(3)}

    return [
        Case("matmul", "", ops.matmul, {"a": normal((2, 3)), "b": normal((3, 4))}),
        Case("matmul", "square", ops.matmul, {"a": normal((3, 3)), "b": normal((3, 3))}),
        Case("matmul", "batches, broadcast", ops.matmul, {"a": normal((2, 1, 2, 3)), "b": normal((4, 3, 2))}),
        Case("matmul", "vectors", ops.matmul, {"a": normal(3), "b": normal(3)}),
        Case("linear", "", ops.linear, {"x": normal((4, 3)), "weight": normal((2, 3)), "bias": normal(2)}),
        Case("linear", "square", ops.linear, {"x": normal((3, 3)), "weight": normal((3, 3)), "bias": normal(3)}),
        Case("linear", "no bias", ops.linear, {"x": normal((4, 3)), "weight": normal((2, 3))}),
        Case("conv2d", "3×3", convolution(1, 0), conv_arguments(3, 3)),
        Case("conv2d", "3×3, stride 2, padding 1", convolution(2, 1), conv_arguments(3, 3)),
        Case("conv2d", "3×2, stride (2, 1), padding (1, 2)", convolution((2, 1), (1, 2)), conv_arguments(3, 2)),
        Case("conv2d", "1×1, stride 2", convolution(2, 0), conv_arguments(1, 1)),
        Case("conv2d", "no bias", convolution(1, 1), {"x": normal((2, 3, 4, 5)), "weight": normal((2, 3, 3, 3))}),
        Case("batch_norm", "images", ops.batch_norm, norm_arguments(2, 3, 4, 5)),
        Case("batch_norm", "rows", ops.batch_norm, norm_arguments(6, 3)),
        Case("batch_norm", "given statistics", inference, norm_arguments(2, 3, 4, 5)),
        Case("batch_norm", "given statistics, rows", inference, norm_arguments(6, 3)),
        Case(
            "residual_add",
            "",
            ops.residual_add,
            {"shortcut": normal((2, 3, 2, 3)), "branch": normal((2, 3, 2, 3))},
        ),
        Case("residual_add", "x + tanh x", lambda x: ops.residual_add(x, ops.tanh(x)), {"x": normal((2, 3, 2, 3))}),
        Case("option_a", "stride 2", lambda x: ops.option_a(x, 6, 2), {"x": normal((2, 3, 4, 5))}),
        Case("option_a", "stride 1", lambda x: ops.option_a(x, 4, 1), {"x": normal((2, 2, 2, 3))}),
    ]


def pooling_cases(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    cases = []
    for function in (ops.max_pool2d, ops.avg_pool2d):
        name = function.__name__

        def pool(size: Any, stride: Any, padding: Any, function: Callable[..., Any] = function) -> Callable[..., Any]:
            return lambda x: function(x, size, stride, padding)

        cases += [
            Case(name, "2×2", pool(2, None, 0), {"x": normal((2, 2, 4, 6))}),
            Case(name, "3×3, stride 2, padding 1", pool(3, 2, 1), {"x": normal((2, 2, 5, 6))}),
            Case(name, "2×3, stride (1, 2), padding (0, 1)", pool((2, 3), (1, 2), (0, 1)), {"x": normal((2, 2, 4, 5))}),
        ]
    tied = rng.integers(0, 3, (1, 2, 4, 4)).astype(np.float64)
    tied[0, 0, 0, 0] = 5.0
    return [
        *cases,
        Case("max_pool2d", "ties", lambda x: ops.max_pool2d(x, 2), {"x": tied}),
        Case("global_avg_pool2d", "", ops.global_avg_pool2d, {"x": normal((2, 3, 4, 5))}),
        Case("adaptive_avg_pool2d", "2×3", lambda x: ops.adaptive_avg_pool2d(x, (2, 3)), {"x": normal((2, 2, 5, 7))}),
    ]


def loss_cases(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    labels = np.array([0, 3, 1, 2, 3])
    some = np.array([0, -100, 1, -100, 3])
    return [
        Case("cross_entropy", "", lambda logits: ops.cross_entropy(logits, labels), {"logits": normal((5, 4))}),
        Case(
            "cross_entropy",
            "smoothing 0.1",
            lambda logits: ops.cross_entropy(logits, labels, label_smoothing=0.1),
            {"logits": normal((5, 4))},
        ),
        Case(
            "cross_entropy",
            "smoothing 0.1, some ignored",
            lambda logits: ops.cross_entropy(logits, some, label_smoothing=0.1),
            {"logits": normal((5, 4))},
        ),
        Case("mse_loss", "", ops.mse_loss, {"prediction": normal((3, 4)), "target": normal((3, 4))}),
    ]


def fused_cases(rng: np.random.Generator) -> list[Case]:
    normal = rng.standard_normal
    return [
        chain_case(rng, "one layer, 3×3, stride 2, padding 1", (2, 2, 5, 6), [((3, 2, 3, 3), 2, 1)]),
        chain_case(rng, "one layer, 3×2, shortcut", (2, 2, 5, 6), [((3, 2, 3, 2), 1, 0)], normal((2, 3, 3, 5))),
        chain_case(rng, "one layer, identity", (2, 3, 4, 5), [((3, 3, 3, 3), 1, 1)], "identity"),
        chain_case(rng, "identity", (2, 3, 4, 5), [((3, 3, 3, 3), 1, 0), ((3, 3, 3, 3), 1, 2)], "identity"),
        chain_case(rng, "option A, stride 2", (3, 2, 5, 4), [((5, 2, 3, 3), 2, 1), ((5, 5, 3, 3), 1, 1)], "A"),
        chain_case(
            rng,
            "bottleneck",
            (2, 4, 3, 4),
            [((2, 4, 1, 1), 1, 0), ((2, 2, 3, 3), 1, 1), ((4, 2, 1, 1), 1, 0)],
            "identity",
        ),
        chain_case(rng, "no shortcut", (2, 2, 4, 5), [((3, 2, 3, 3), (1, 2), (1, 0)), ((2, 3, 1, 1), 1, 0)]),
    ]


def chain_case(
    rng: np.random.Generator,
    variant: str,
    x: tuple[int, ...],
    layers: list[tuple[tuple[int, ...], Any, Any]],
    shortcut: Array | str | None = None,
) -> Case:
    """Return the case of a chain, of the shape of its x, and the filters' shape, stride and padding of its layers."""

    def chain(x: Tensor, *tensors: Tensor) -> Any:
        given = [
            ops.ConvLayer(tensors[3 * i], tensors[3 * i + 1], tensors[3 * i + 2], stride, padding)
            for i, (_, stride, padding) in enumerate(layers)
        ]
        return ops.conv_chain(x, given, tensors[-1] if isinstance(shortcut, np.ndarray) else shortcut)

    arguments = {"x": rng.standard_normal(x)}
    for place, (shape, _, _) in enumerate(layers, 1):
        F = shape[0]
        arguments[f"filters{place}"] = rng.standard_normal(shape)
        arguments |= {f"weight{place}": away_from_zero(rng, F), f"bias{place}": rng.standard_normal(F)}
    if isinstance(shortcut, np.ndarray):
        arguments["shortcut"] = shortcut
    return Case("conv_chain", variant, chain, arguments)
