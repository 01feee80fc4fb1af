"""Which ops have known gradients, and the mistake in an op's backward, named on small arrays drawn anew."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.engine import Op, Tensor
from minires.gradient_check.differences import random_gradient
from minires.gradient_check.fitting import Right, Sample, name_mistake
from minires.gradient_check.known.activation import pointwise_right, relu_right
from minires.gradient_check.known.affine import linear_right, matmul_right
from minires.gradient_check.known.convolution import conv2d_right
from minires.gradient_check.known.loss import cross_entropy_right
from minires.gradient_check.known.normalization import batch_norm_right
from minires.gradient_check.known.pooling import global_pool_right, pool_right
from minires.gradient_check.known.probabilities import log_softmax_right, softmax_right
from minires.gradient_check.known.shortcut import option_a_right, residual_add_right
from minires.kernels import Array

SAMPLES = 4

Draw = Callable[[np.random.Generator, list[Array]], list[Array]]


@dataclass(frozen=True)
class Known:
    """What is known of an op: the right gradient of each input that has one, and how to draw small inputs for it.

    more: what the right gradients take besides the inputs (labels).
    """

    rights: list[Right]
    draw: Draw
    more: tuple[Any, ...] = ()


def known_of(op: Op) -> Known | None:
    """Return what is known of an op, None for one that nothing is known of."""
    maker = KNOWN.get(type(op).__name__)
    return maker(op) if maker is not None else None


def name_op_mistakes(op: Op, seed: int = 0) -> dict[int, str]:
    """Run an op's backward on small inputs drawn anew; return what is wrong with the gradient of each input, "" if it
    has no name. Inputs whose gradient is right there are left out."""
    known = known_of(op)
    if known is None:
        return {}
    samples: list[list[Sample]] = [[] for _ in known.rights]
    for number in range(SAMPLES):
        rng = np.random.default_rng([seed, number])
        arrays = known.draw(rng, [tensor.data for tensor in op.inputs])
        again = copy.copy(op)
        again.has_run, again.released = False, False
        y = again(*[Tensor(array.astype(np.float64), requires_grad=True) for array in arrays])
        grad_y = random_gradient(y.shape, rng)
        grads = again.backward(grad_y.copy())
        for which, grad in zip(samples, grads, strict=False):
            if grad is not None:
                which.append(Sample((grad_y, *arrays, *known.more), np.asarray(grad)))
    found = {}
    for i, (right, which) in enumerate(zip(known.rights, samples, strict=True)):
        if which and any(not right_here(right, sample) for sample in which):
            found[i] = name_mistake(right, which)
    return found


def right_here(right: Right, sample: Sample) -> bool:
    wanted = right.of(sample.arguments)
    return wanted.shape == sample.given.shape and np.allclose(sample.given, wanted, rtol=1e-7, atol=1e-10)


def of_shape(shape: Callable[[np.random.Generator, list[Array]], tuple[int, ...]]) -> Draw:
    """Draw all inputs with one shape."""

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        chosen = shape(rng, arrays)
        return [rng.standard_normal(chosen) for _ in arrays]

    return draw


def some_shape(rng: np.random.Generator, arrays: list[Array]) -> tuple[int, ...]:
    """A small shape of as many axes as the first input has."""
    return tuple(map(int, 3 + rng.permutation(arrays[0].ndim) % 3 + rng.integers(0, 2)))


def images(rng: np.random.Generator, least: tuple[int, int] = (1, 1)) -> tuple[int, int, int]:
    """A small batch, and a height and a width that differ and are no smaller than `least`."""
    height, width = rng.permutation([6, 7]) + rng.integers(0, 2)
    return int(2 + rng.integers(0, 2)), max(int(height), least[0]), max(int(width), least[1])


def conv2d(op: Any) -> Known:
    rights = conv2d_right(op.stride, op.padding)

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        # Few channels are enough, and quick; those of the filters must be those of x.
        (F, C, KH, KW), N_H_W = arrays[1].shape, images(rng, arrays[1].shape[2:])
        F, C = min(F, 3 + int(rng.integers(0, 2))), min(C, 2 + int(rng.integers(0, 2)))
        shapes = [(N_H_W[0], C, *N_H_W[1:]), (F, C, KH, KW), (F,)]
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


def matmul(op: Any) -> Known | None:
    if any(tensor.data.ndim != 2 for tensor in op.inputs):
        return None

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        N, C, F = map(int, rng.permutation([3, 4, 5]) + rng.integers(0, 2))
        return [rng.standard_normal((N, C)), rng.standard_normal((C, F))]

    return Known(list(matmul_right().values()), draw)


def cross_entropy(op: Any) -> Known | None:
    labels = np.asarray(op.labels)
    if (labels == op.ignore_index).any():
        return None

    def draw(rng: np.random.Generator, arrays: list[Array]) -> list[Array]:
        return [2 * rng.standard_normal((len(labels), arrays[0].shape[1] + int(rng.integers(0, 3))))]

    return Known([cross_entropy_right(op.label_smoothing)], draw, (labels,))


def pooling(kind: str) -> Callable[[Any], Known]:
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


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


KNOWN: dict[str, Callable[[Any], Known | None]] = {
    "Conv2d": conv2d,
    "BatchNorm": batch_norm,
    "Linear": linear,
    "MatMul": matmul,
    "CrossEntropy": cross_entropy,
    "MaxPool2d": pooling("max"),
    "AvgPool2d": pooling("mean"),
    "GlobalAvgPool2d": global_pool,
    "ResidualAdd": lambda op: Known(list(residual_add_right().values()), of_shape(some_shape)),
    "OptionA": option_a,
    "ReLU": pointwise(lambda op: relu_right()),
    "Tanh": pointwise(lambda op: pointwise_right(np.tanh, lambda x: 1 - np.tanh(x) ** 2)),
    "Sigmoid": pointwise(lambda op: pointwise_right(sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x)))),
    "Softmax": along_axis(softmax_right),
    "LogSoftmax": along_axis(log_softmax_right),
}
