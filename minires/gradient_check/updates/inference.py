"""Forward passes of which no gradient is taken: what a norm says that it saw, folded norms, maxima of whole numbers."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minires import ops
from minires.engine import Tensor, no_grad
from minires.gradient_check.cases.convolution import convolved
from minires.gradient_check.cases.normalization import normalized
from minires.gradient_check.cases.pooling import pooled
from minires.gradient_check.updates.update import DTYPES, Update, roundings_off
from minires.kernels import Array
from minires.ops.loss import mass_of

LAYERS = [((4, 3, 3, 3), (2, 2), (1, 1)), ((5, 4, 1, 1), (1, 1), (0, 0)), ((5, 5, 3, 3), (1, 1), (1, 1))]


def forward_passes(seed: int) -> Iterator[Update]:
    for dtype in DTYPES:
        yield Update(f"statistics that batch_norm gives back, {dtype}", partial(check_returned, dtype, seed))
        yield Update(f"statistics that conv_chain gives back, {dtype}", partial(check_of_chain, dtype, seed))
        for number in (1, 2, 3):
            name = f"conv_chain with folded norms, {number} layer{'s' if number > 1 else ''}, {dtype}"
            yield Update(name, partial(check_folded, number, dtype, seed))
    yield Update("an operation of two numbers", check_numbers)
    yield Update("by what a mean loss is divided", check_mass)
    for dtype in ("int64", "int16"):
        yield Update(f"max_pool2d of whole numbers, {dtype}", partial(check_whole, dtype, seed))


def check_returned(dtype: str, seed: int) -> tuple[str, str]:
    rng = np.random.default_rng(seed)
    x, (weight, bias, mean) = rng.normal(1, 2, (3, 4, 2, 5)), rng.standard_normal((3, 4))
    var = rng.uniform(0.5, 2, 4)
    x_tensor, w, b = [Tensor(array.astype(dtype)) for array in (x, weight, bias)]
    _, own_mean, own_var = ops.batch_norm(x_tensor, w, b)
    _, given_mean, given_var = ops.batch_norm(x_tensor, w, b, mean.astype(dtype), var.astype(dtype))
    found = [("the batch's mean", own_mean, x.mean((0, 2, 3))), ("the batch's var", own_var, x.var((0, 2, 3)))]
    return roundings_off([*found, ("the given mean", given_mean, mean), ("the given var", given_var, var)], dtype)


def layers_of(rng: np.random.Generator) -> list[tuple[Array, Array, Array]]:
    """Draw the filters, weight and bias of each layer."""
    return [(rng.standard_normal(s), rng.uniform(0.5, 2, s[0]), rng.standard_normal(s[0])) for s, _, _ in LAYERS]


def check_of_chain(dtype: str, seed: int) -> tuple[str, str]:
    rng, eps = np.random.default_rng(seed), 1e-3
    x, drawn = rng.standard_normal((2, 3, 7, 6)), layers_of(rng)
    layers: list[Any] = []
    right, y = [], x
    for (filters, weight, bias), (_, stride, padding) in zip(drawn, LAYERS, strict=True):
        given: Any = [Tensor(array.astype(dtype)) for array in (filters, weight, bias)]
        layers.append(ops.ConvLayer(given[0], given[1], given[2], stride, padding, eps))
        z = convolved(y, filters, None, stride, padding)
        right.append((z.size // z.shape[1], z.mean((0, 2, 3)), z.var((0, 2, 3))))
        y = np.maximum(normalized(z, weight, bias, None, None, eps), 0)
    _, statistics = ops.conv_chain(Tensor(x.astype(dtype)), layers)
    pairs = []
    for (count, mean, var), (right_count, right_mean, right_var) in zip(statistics, right, strict=True):
        if count != right_count:
            return f"a norm saw {right_count} numbers a channel, conv_chain says {count}", "-"
        pairs += [("a mean", mean, right_mean), ("a var", var, right_var)]
    return roundings_off(pairs, dtype)


def check_folded(number: int, dtype: str, seed: int) -> tuple[str, str]:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((2, 3, 7, 6))
    x, layers = Tensor(y.astype(dtype)), []
    for (filters, _, bias), (_, stride, padding) in list(zip(layers_of(rng), LAYERS, strict=True))[:number]:
        tensors = [Tensor(array.astype(dtype)) for array in (filters, bias)]
        layers.append(ops.ConvLayer(tensors[0], None, tensors[1], stride, padding))
        y = np.maximum(convolved(y, filters, bias, stride, padding), 0)
    with no_grad():
        found, statistics = ops.conv_chain(x, layers)
    problem = f"there is no norm, and {len(statistics)} have statistics" if statistics else ""
    wrong, off = roundings_off([("the output", found.data, y)], dtype)
    return problem or wrong, off


def check_numbers() -> tuple[str, str]:
    found = ops.subtract(2.0, 0.5).data
    if found.dtype != np.float32 or found != 1.5:
        return f"2 − 0.5 is {found.dtype} {found}, and should be float32 1.5", "-"
    return "", "0.0 roundings"


def check_mass() -> tuple[str, str]:
    labels, weight, soft = np.array([0, 2, 2, 1]), np.array([0.5, 2.0, 3.25]), np.full((4, 3), 1 / 3)
    for what, given, by, right in (
        ("labels", labels, None, 4), ("labels with weights", labels, weight, 9.0),
        ("soft labels", soft, None, 4), ("soft labels with weights", soft, weight, 4),
    ):  # fmt: skip
        if (found := mass_of(given, by)) != right:
            return f"the mean of {what} is divided by {found}, and should be by {right}", "-"
    return "", "0.0 roundings"


def check_whole(dtype: str, seed: int) -> tuple[str, str]:
    x = np.random.default_rng(seed).integers(-9, 0, (2, 2, 5, 6)).astype(dtype)
    found = ops.max_pool2d(Tensor(x), 3, 2, 1).data
    right = pooled(x.astype(np.float64), (3, 3), (2, 2), (1, 1), True)
    if found.dtype != dtype or not np.array_equal(found, right):
        return f"the maxima are {found.dtype} {found.ravel()[:4]}, not {right.ravel()[:4]}", "-"
    return "", "0.0 roundings"
